"""What would help a job that waits: each thing is asked of the predicates, so that none is a guess.

A constraint is named only if a group would serve the job without it; a group only if its limit is
what stops it; a holder only if it has what the job could use.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from iris.core.answers import Question
from iris.core.fit import Shape, lacks, refusal
from iris.core.ids import GroupName, JobId
from iris.core.lifecycle import SliceState
from iris.core.reasons import NEVER, Advice, Advised, Verdict
from iris.core.resources import Resources, amount
from iris.core.room import Pool

MOST: Final = 5
"""Pieces of advice; whoever has more to choose from reads none."""
_MOVES: Final = frozenset(
    {
        Verdict.QUOTA,
        Verdict.BACKOFF,
        Verdict.HELD,
        Verdict.GANG_INCOMPLETE,
        Verdict.GROUP_AT_MAX,
        Verdict.FULL,
        Verdict.BARRED,
        Verdict.UNSUPPLIED,
    }
)
"""Where neither the next step nor slices on their way bring it by themselves."""


def advice_of(asked: Question, verdict: Verdict) -> Iterator[Advice]:
    """What would help, the surest first; nothing where it only has to wait a little."""
    found: dict[Advice, None] = {}
    if verdict in NEVER:
        found.update(dict.fromkeys(_other_jobs(asked)))
        if not found:
            found[_other_group(asked)] = None
    elif verdict in _MOVES:
        found.update(dict.fromkeys(_doors(asked)))
        found.update(dict.fromkeys(_limits(asked)))
        found.update(dict.fromkeys(_holders(asked)))
        found.update(dict.fromkeys(_constraints(asked)))
    elif verdict is Verdict.BEHIND_OTHERS:
        found.update(dict.fromkeys(_first(asked)))
    yield from list(found)[:MOST]


# ---- of a job that no group can serve ----------------------------------------------------------


def _other_jobs(asked: Question) -> Iterator[Advice]:
    """How the job would have to be for a group to serve it, were that one thing different."""
    yield from _constraints(asked)
    yield from _sizes(asked)
    yield from _gangs(asked)


def _constraints(asked: Question) -> Iterator[Advice]:
    """A constraint without which another group, or another zone, would serve it."""
    shape = asked.shape
    for pool in asked.state.room.pools.values():
        if not pool.group.max_slices or refusal(shape, pool.group, pool.zone) is None:
            continue
        for constraint in shape.constraints:
            rest = tuple(c for c in shape.constraints if c != constraint)
            if refusal(shape._replace(constraints=rest), pool.group, pool.zone) is None:
                told = f"{constraint.key} {constraint.op.value} {', '.join(constraint.values)}"
                text = f"drop the constraint {told.strip()}: {_where(pool)} would serve it"
                yield Advice(Advised.DROP_CONSTRAINT, constraint.key, text)


def _sizes(asked: Question) -> Iterator[Advice]:
    """The group whose hosts are too small by least."""
    shape = asked.shape
    small = [
        pool
        for pool in asked.state.room.pools.values()
        if refusal(_cut_to(shape, pool), pool.group, pool.zone) is None
    ]
    short = [(len(lacks(shape.need, pool.group.host)), pool.rank, pool) for pool in small]
    if short:
        *_, pool = min(short)
        most = [amount(lack.dimension, lack.have) for lack in lacks(shape.need, pool.group.host)]
        text = (
            f"ask for no more than {', '.join(most)} a task: what a host of {pool.group.name} has"
        )
        yield Advice(Advised.ASK_FOR_LESS, pool.group.name, text)


def _cut_to(shape: Shape, pool: Pool) -> Shape:
    """The same shape, of no more than a host of the pool has."""
    pairs = zip(shape.need, pool.group.host, strict=True)
    return shape._replace(need=Resources(*map(min, pairs)))


def _gangs(asked: Question) -> Iterator[Advice]:
    """The number of replicas that slices of a group would take as a gang."""
    for pool in asked.state.room.pools.values():
        hosts = pool.group.hosts
        if hosts != asked.shape.hosts:
            resized = asked.shape._replace(hosts=hosts)
            if refusal(resized, pool.group, pool.zone) is None:
                text = (
                    f"submit {hosts} replicas, coscheduled: slices of {pool.group.name} have"
                    f" {hosts} {'host' if hosts == 1 else 'hosts'}"
                )
                yield Advice(Advised.FIT_THE_GANG, pool.group.name, text)


def _other_group(asked: Question) -> Advice:
    kind = asked.job.spec.accelerator
    types = dict.fromkeys(
        group.accelerator for group in asked.state.spec.groups if group.accelerator is not None
    )
    if kind is None or kind in types:
        return Advice(Advised.ADD_GROUP, "", "add a scale group that matches it")
    there = f", or ask for one of {', '.join(types)}" if types else ""
    return Advice(Advised.ADD_GROUP, kind, f"add a scale group of {kind}{there}")


# ---- of a job that has to wait -----------------------------------------------------------------


def _limits(asked: Question) -> Iterator[Advice]:
    """What the operator has set, or the cloud refused, that stops slices which would serve it."""
    for told in asked.pools():
        if not told.is_bought:
            continue
        group = asked.state.groups[told.group]
        checks = {limit.check for limit in told.limits}
        if "max_slices" in checks:
            text = f"raise max_slices of {group.name}, which is {group.max_slices}"
            yield Advice(Advised.RAISE_MAX_SLICES, group.name, text)
        if "reservation" in checks:
            text = f"enlarge the reservation {group.reservation}, of which {group.name} draws"
            yield Advice(Advised.ENLARGE_RESERVATION, group.name, text)
        for limit in told.limits:
            if limit.check in ("gate", "quota") and limit.until is None:
                text = f"correct {group.name} and load it again: {limit.detail}"
                yield Advice(Advised.CORRECT_GROUP, group.name, text)


def _doors(asked: Question) -> Iterator[Advice]:
    """Hosts that an operator has closed, and that would have the room."""
    for worker in asked.whole.workers(asked.shape):
        if not worker.cordoned or worker.id in asked.shape.avoid:
            continue
        ready = asked.state.slices[worker.slice].state is SliceState.READY
        if ready and not lacks(asked.shape.need, worker.offers):
            text = f"let work onto {worker.id} again: iris worker drain --resume {worker.id}"
            yield Advice(Advised.LET_WORK_IN, worker.id, text)


def _holders(asked: Question) -> Iterator[Advice]:
    """Who has most of the slices that would serve it."""
    held = Counter(_holding(asked))
    if held:
        most = max(held.values())
        job, group = min(holder for holder, count in held.items() if count == most)
        text = f"{job} is on {most} {'slice' if most == 1 else 'slices'} of {group}"
        yield Advice(Advised.ASK_WHO_HOLDS, job, text)


def _holding(asked: Question) -> Iterator[tuple[JobId, GroupName]]:
    """The jobs on each slice that would serve it, and of which group that is."""
    tasks, workers = asked.state.tasks, asked.state.workers
    for pool in asked.state.room.candidates(asked.shape):
        for slice_ in asked.whole.slices[pool.group.name, pool.zone]:
            names = [name for name in slice_.workers if name is not None]
            jobs = {tasks[task].job: None for name in names for task in workers[name].attempts}
            for job in jobs:
                yield job, pool.group.name


def _first(asked: Question) -> Iterator[Advice]:
    first = asked.first_in_line()
    if first is not None:
        text = f"{first} is first in line and lets nobody pass: iris job why {first}"
        yield Advice(Advised.ASK_WHO_IS_FIRST, first, text)


def _where(pool: Pool) -> str:
    return f"{pool.group.name} in {pool.zone}"
