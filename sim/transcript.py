"""A run as a story: one line for each fact and decision, with the world's own record at its end."""

from collections.abc import Iterator
from dataclasses import fields
from enum import Enum

from iris.core.events import AttemptReport
from iris.core.instant import Instant, Millis
from iris.core.record import Turn
from iris.units import format_duration
from sim.containers import Container

_WIDTH = 150


def transcript(turns: list[Turn], containers: list[Container]) -> str:
    """The turns in order, facts first, and then every container as it really was."""
    lines = [line for turn in turns for line in _turn(turn)]
    lines.append("containers, as they really were:")
    lines += [_container(container) for container in containers]
    return "\n".join(lines) + "\n"


def _turn(turn: Turn) -> Iterator[str]:
    at = f"{_when(turn.now):>16}"
    for event in turn.events:
        yield f"{at}  {_line(event)}"
    for decision in turn.decisions:
        yield f"{at}    -> {_line(decision)}"


def _when(at: Instant) -> str:
    return format_duration(Millis(at))


def _line(record: object) -> str:
    """A record by its name and whatever it says that is not empty."""
    parts = [type(record).__name__]
    for field in fields(record):  # type: ignore[arg-type]  # every fact and decision is a dataclass
        value = getattr(record, field.name)
        if value not in (None, (), "", 0) and field.name != "spec":
            parts.append(f"{field.name}={_value(value)}")
    line = " ".join(parts)
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 3]}..."


def _value(value: object) -> str:
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, tuple):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, AttemptReport):
        return f"{value.task}@{value.attempt} {value.state.value}"
    return str(value)


def _container(container: Container) -> str:
    ran = "never ran" if container.ran is None else f"ran from {_when(container.ran)}"
    ended = "is there" if container.ended is None else f"ended {_when(container.ended)}"
    cause = "" if container.cause is None else f", {container.cause.value}"
    began = _when(container.began)
    name = f"{container.task}@{container.attempt}"
    return f"  {name} on {container.worker}: began {began}, {ran}, {ended}{cause}"
