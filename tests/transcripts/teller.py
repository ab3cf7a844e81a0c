"""The teller: reads the commands of a story, tells them to a script, and writes down what followed.

A block is a few lines of commands, a line `----`, and what they brought about, up to an empty line:
decisions as they were made (with their time, when it passed), then, behind `>`, what was asked of
the world. Lines that begin with `#` are for the reader. While time passes, the cloud lists its
machines and deletes what it should at once; all else is told by a command. Users are all alice.
"""

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from enum import Enum
from typing import Final

from iris.core import decisions as de
from iris.core import effects as ef
from iris.core import events as ev
from iris.core.ids import JobId, SliceId, TaskId, WorkerId
from iris.core.lifecycle import SliceState
from iris.core.records import Attempt
from iris.core.retry import EndCause
from iris.core.spec import Band, GroupSpec
from iris.units import parse_duration
from tests.harness import Script, cpu_group, gpu_group, tpu_group

RULER: Final = "----"
KINDS: Final[Mapping[str, Callable[..., GroupSpec]]] = {
    "tpu": tpu_group,
    "gpu": gpu_group,
    "cpu": cpu_group,
}
DURATIONS: Final = frozenset({"timeout", "scheduling_timeout", "checkpoint_every"})
NAMED: Final[Mapping[str, Callable[[Script, str], object]]] = {
    "advance": lambda script, span: script.advance(parse_duration(span)),
    "running": lambda script, job: script.running(JobId(f"/alice/{job}")),
    "finish": lambda script, job: script.finish(JobId(f"/alice/{job}")),
    "stopped": lambda script, job: script.stopped(JobId(f"/alice/{job}")),
    "stop": lambda script, job: script.stop(JobId(f"/alice/{job}")),
    "ready": lambda script, name: script.ready(name),
    "preempted": lambda script, name: script.preempted(SliceId(name)),
    "notice": lambda script, name: script.step(ev.PreemptionNoticed(SliceId(name))),
    "deleted": lambda script, name: script.deleted(SliceId(name)),
    "terminate": lambda script, name: script.terminate(SliceId(name)),
    "silent": lambda script, name: script.silent(WorkerId(name)),
    "lose": lambda script, name: script.lose(WorkerId(name)),
}
"""The commands that take one name, or one span of time."""

UNTOLD: Final = frozenset({"spec", "need", "version", "incarnation", "grace", "group", "request"})
"""Fields that a story need not tell."""


def retell(text: str) -> str:
    """The same story, with what follows from its commands now."""
    teller = Teller()
    blocks = text.strip().split("\n\n")
    return "\n\n".join(_retell_block(teller, block) for block in blocks) + "\n"


def _retell_block(teller: "Teller", block: str) -> str:
    lines = block.splitlines()
    commands = lines[: lines.index(RULER)] if RULER in lines else lines
    told = [line for line in commands if line and not line.startswith("#")]
    if not told:
        return block
    outcome = [line for command in told for line in teller.tell(command)]
    return "\n".join([*commands, RULER, *outcome])


class Teller:
    """Knows the commands."""

    def __init__(self) -> None:
        self.script = Script()

    def tell(self, command: str) -> Iterator[str]:
        """Tell one command to the script; what followed, line by line."""
        verb, *words = shlex.split(command)
        if verb == "state":
            yield from self._state()
            return
        began, told = self.script.now, len(self.script.journal)
        self._do(verb, words)
        for turn in self.script.journal[told:]:
            when = f"{(turn.now - began) // 1000}s " if turn.now != began else ""
            yield from (when + spell(decision) for decision in turn.decisions)
        yield from (f"> {spell(effect)}" for effect in self.script.effects)

    def _do(self, verb: str, words: list[str]) -> None:
        script = self.script
        match verb, words:
            case _, [name] if verb in NAMED:
                NAMED[verb](script, name)
            case "config", _:
                script.config(*_groups(words))
            case "submit", [name, *more]:
                script.submit(name, **_options(more))  # type: ignore[arg-type]  # as they are named
            case "ends", [task, cause]:
                script.ends(TaskId(f"/alice/{task}"), EndCause(cause))
            case "refuse", [name, reason]:
                script.refused(SliceId(name), ev.CreateFailure(reason))
            case "restart", []:
                script.step(ev.ControllerRestarted())
            case "listing", []:
                script.listing()
            case _:
                raise AssertionError(f"no such command: {verb} {' '.join(words)}")

    def _state(self) -> Iterator[str]:
        state = self.script.controller.state
        yield f"at {self.script.now // 1000}s"
        for job in state.jobs.values():
            yield f"{job.id}: {job.state.value}" + (f", {job.why}" if job.why else "")
            for task in job.tasks:
                attempts = "; ".join(_attempt(attempt) for attempt in task.attempts)
                yield f"  {task.index} {task.state.value}: {attempts or 'never tried'}"
        for slice_ in state.slices.values():
            if slice_.state is not SliceState.GONE:
                yield f"{slice_.id} in {slice_.zone}: {slice_.state.value}"


def _attempt(attempt: Attempt) -> str:
    cause = f" ({attempt.cause.value})" if attempt.cause else ""
    return f"{attempt.state.value} on {attempt.worker}{cause}"


def _groups(words: list[str]) -> list[GroupSpec]:
    """`tpu hosts=2 / cpu cores=4`: groups of the kind that their names begin with."""
    groups = []
    for part in " ".join(words).split(" / ") if words else []:
        name, *options = part.split()
        make = KINDS[name[:3]]
        groups.append(make(name, **_options(options)))
    return groups


def _options(words: list[str]) -> dict[str, object]:
    options: dict[str, object] = {}
    for word in words:
        key, _, value = word.partition("=")
        if key == "band":
            options[key] = Band[value.upper()]
        elif key == "parent":
            options[key] = JobId(f"/alice/{value}")
        elif key == "zones":
            options[key] = tuple(value.split(","))
        elif key in DURATIONS:
            options[key] = parse_duration(value)
        else:
            options[key] = int(value) if value.isdecimal() else value or True
    return options


def spell(record: de.Decision | ef.Effect) -> str:
    """A decision or an effect on one line: its kind, and its fields that say something."""
    told = [
        f"{field.name}={_spell(getattr(record, field.name))}"
        for field in fields(record)
        if field.name not in UNTOLD and getattr(record, field.name) not in (None, (), "", False)
    ]
    return " ".join([type(record).__name__, *told])


def _spell(value: object) -> str:
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, tuple):
        return ",".join(str(item) for item in value)
    if isinstance(value, ef.Rejected):
        return f"rejected: {value.why}"
    if isinstance(value, ef.Accepted):
        return f"accepted {value.job or ''}".rstrip()
    return f"'{value}'" if " " in str(value) else str(value)
