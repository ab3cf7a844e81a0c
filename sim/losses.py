"""What a chronicle says was lost of standing slices: when, how, and among how many.

A journal tells what the controller learned and when. What really happened came a little earlier: a
host that fell silent died when it was last heard. A slice of which the cloud said so before anybody
was silent died then. Nothing dies before the last word that it spoke.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from iris.core.ids import SliceId, WorkerId
from iris.core.instant import SECOND, Instant, Millis
from iris.core.lifecycle import SliceState
from iris.core.records import Attempt, Slice
from sim.chronicle import Chronicle, Death, Silence
from sim.recorded_model import Happening, Loss, LossKind

USUAL_SILENCE: Final = Millis(5 * SECOND)
"""From a host's death to its silence being known, where no host was ever silent."""


def losses_of(chronicle: Chronicle) -> Iterator[Loss]:
    """What was lost of standing slices; a boot that failed is no loss, nor what an operator ended."""
    last = _last_words(chronicle)
    for slice_ in chronicle.slices:
        death = chronicle.deaths.get(slice_.number)
        if death is not None and (death.by_operator or slice_.failure):
            continue
        if never_booted(chronicle, slice_):
            continue
        workers = [name for name in slice_.workers if name is not None]
        for host, name in enumerate(slice_.workers):
            silences = chronicle.silences.get(name, ()) if name is not None else ()
            for silence in silences:
                if silence.heard is not None:
                    yield _silenced(chronicle, slice_, host, silence)
        if death is not None:
            yield from _lost(chronicle, slice_, death, _Ends(workers, chronicle, last))


def _silenced(chronicle: Chronicle, slice_: Slice, host: int, silence: Silence) -> Loss:
    assert silence.heard is not None, slice_.id
    at = Instant(max(0, silence.since - chronicle.began))
    span = Millis(max(1, silence.heard - chronicle.began - at))
    return replace(_loss_of(slice_), at=at, kind=LossKind.HOST_SILENT, host=host, span=span)


def _loss_of(slice_: Slice) -> Loss:
    place = (slice_.id, slice_.group, slice_.zone)
    return Loss(Instant(0), LossKind.VANISHED, *place, booting=slice_.ready_at is None)


@dataclass(frozen=True, slots=True)
class _Ends:
    """When the hosts of a slice fell silent for good."""

    workers: list[WorkerId]
    chronicle: Chronicle
    last: dict[WorkerId, Instant]

    def silent(self) -> dict[WorkerId, Instant]:
        """Those that did, each no earlier than just after the last that it told."""
        found: dict[WorkerId, Instant] = {}
        for name in self.workers:
            silences = self.chronicle.silences.get(name)
            if silences and silences[-1].heard is None:
                spoke = self.last.get(name)
                since = silences[-1].since
                found[name] = since if spoke is None else Instant(max(since, spoke + 1))
        return found


def _lost(chronicle: Chronicle, slice_: Slice, death: Death, ends: _Ends) -> Iterator[Loss]:
    silent = ends.silent()
    began = chronicle.began
    gone = min(silent.values(), default=death.at)
    at = Instant(max(0, gone - began))
    loss = replace(_loss_of(slice_), at=at, told=not silent)
    timeout = chronicle.config_at(death.at).timeouts.worker_timeout
    if death.state is SliceState.PREEMPTED:
        noticed = Instant(max(0, chronicle.notices.get(slice_.number, gone) - began))
        first = min(noticed, at)
        yield replace(loss, at=first, kind=LossKind.PREEMPTED, span=Millis(at - first))
    elif silent and death.at - gone >= timeout:
        dead = min(silent, key=lambda name: silent[name])
        yield replace(loss, kind=LossKind.HOST_DEAD, host=int(dead.rpartition("-w")[2]))
    else:
        yield loss


def _last_words(chronicle: Chronicle) -> dict[WorkerId, Instant]:
    """The last that each worker told of an attempt."""
    found: dict[WorkerId, Instant] = {}
    for job in chronicle.jobs:
        for task in job.tasks:
            for attempt in task.attempts:
                said = _last_word(attempt, chronicle)
                if said is not None:
                    found[attempt.worker] = max(found.get(attempt.worker, said), said)
    return found


def _last_word(attempt: Attempt, chronicle: Chronicle) -> Instant | None:
    place = chronicle.place_of(attempt)
    death = None if place is None else chronicle.deaths.get(place.number)
    if attempt.ended_at is not None and (death is None or attempt.ended_at < death.at):
        return attempt.ended_at
    return attempt.started_at


def in_order(chronicle: Chronicle, happenings: list[Happening]) -> Iterator[Happening]:
    """All of it by its instants, where each loss knows among how many it hit."""
    losses = [one for one in happenings if isinstance(one, Loss)]
    to_be_lost = {one.slice for one in losses if one.kind is not LossKind.HOST_SILENT}
    lost: dict[SliceId, None] = {}
    for one in sorted(happenings, key=lambda one: one.at):
        if isinstance(one, Loss):
            at = Instant(one.at + chronicle.began)
            others = [s for s in chronicle.slices if s.group == one.group and s.id != one.slice]
            alike = [s for s in others if s.id not in lost and _is_alike(s, at, one)]
            there = [s for s in alike if s.id in to_be_lost or not _is_over(chronicle, s, at)]
            if one.kind is not LossKind.HOST_SILENT:
                lost[one.slice] = None
            yield replace(one, among=1 + len(there))
        else:
            yield one


def _is_alike(slice_: Slice, at: Instant, loss: Loss) -> bool:
    """Whether a slice had been asked for by an instant, and was then as far as the lost one."""
    if slice_.accepted_at is None or slice_.failure:
        return False
    is_ready = slice_.ready_at is not None and slice_.ready_at <= at
    return slice_.accepted_at <= at and is_ready is not loss.booting


def _is_over(chronicle: Chronicle, slice_: Slice, at: Instant) -> bool:
    """Whether a slice was given back, or given up, by an instant."""
    death = chronicle.deaths.get(slice_.number)
    ends = [
        chronicle.deletes.get(slice_.number),
        slice_.gone_at,
        None if death is None else death.at,
    ]
    return any(end is not None and end <= at for end in ends)


def never_booted(chronicle: Chronicle, slice_: Slice) -> bool:
    """Whether the boot of a slice was given up."""
    death = chronicle.deaths.get(slice_.number)
    if death is None or death.state is not SliceState.FAILED or slice_.accepted_at is None:
        return False
    patience = chronicle.config_at(death.at).autoscaler.boot_timeout
    return slice_.ready_at is None and death.at - slice_.accepted_at >= patience
