"""What facts say of slices: that the cloud took, refused, announced, deleted or listed them.

Half of `iris.core.learn`. A listing proves that what it holds exists, in whatever state; that
something is gone it proves only when it is complete, and only once nobody there speaks or it has
been so for a while.
"""

from typing import Final

from iris.core import events as ev
from iris.core.ids import GroupName, SliceId, Zone
from iris.core.instant import Instant, Millis, after
from iris.core.lifecycle import (
    COMING,
    SliceState,
    WorkerState,
)
from iris.core.records import Slice
from iris.core.retry import EndCause
from iris.core.state import ClusterState

GIVEN_UP: Final = frozenset(
    {SliceState.FAILED, SliceState.PREEMPTED, SliceState.DELETING, SliceState.GONE}
)
"""States of slices that are over or on their way out."""
_ALIVE: Final = frozenset({ev.CloudState.CREATING, ev.CloudState.READY, ev.CloudState.REPAIRING})


def adopt(state: ClusterState, name: SliceId, group: GroupName | None, zone: Zone) -> Slice:
    """Take a machine with our label onto the books: it is ready once its hosts speak."""
    number = state.books.slices_minted + 1
    tail = name.rpartition("-")[2]
    if tail.isdecimal():
        number = max(number, int(tail))
    state.books.slices_minted = number
    spec = state.groups.get(group) if group is not None else None
    slice_ = Slice(
        id=name,
        number=number,
        group=group if group is not None else GroupName(""),
        zone=zone,
        requested_at=state.now,
        deadline=after(state.now, state.spec.autoscaler.adoption_grace),
        accelerator_type=spec.accelerator_type if spec is not None else "",
        state=SliceState.BOOTING,
        accepted_at=state.now,
        workers=[None] * (spec.hosts if spec is not None else 0),
        adopted=True,
        why="a machine with our label that was not on the books",
    )
    state.add_slice(slice_)
    return slice_


def slice_accepted(state: ClusterState, name: SliceId) -> None:
    """The cloud took a create; the machines may come now."""
    slice_ = state.slices.get(name)
    if slice_ is None or slice_.state is not SliceState.REQUESTED:
        state.books.stale_facts += 1
        if slice_ is not None and slice_.state is SliceState.GONE:
            state.news.seen_alive[name] = None
        return
    slice_.accepted_at = state.now
    slice_.deadline = after(state.now, state.spec.autoscaler.boot_timeout)
    state.move_slice(slice_, SliceState.BOOTING, "the cloud took the request")
    state.arm_slice(slice_)


def create_failed(state: ClusterState, event: ev.SliceCreateFailed) -> None:
    """The cloud refused a create; of a slice that is ready its operation may say what it likes."""
    slice_ = state.slices.get(event.slice)
    if slice_ is None or slice_.state not in COMING:
        # A slice whose every host speaks is ready, whatever its operation says.
        state.books.stale_facts += 1
        return
    slice_.failure = event.reason.value
    state.news.refused.append((event.slice, event.reason, event.detail))


def noticed(state: ClusterState, name: SliceId, why: str) -> None:
    """Something announced that a slice will go."""
    slice_ = state.slices.get(name)
    if slice_ is None or slice_.state in GIVEN_UP:
        state.books.stale_facts += 1
        return
    state.news.noticed[name] = why


def slice_deleted(state: ClusterState, name: SliceId, why: str) -> None:
    """A slice that was being deleted is no more."""
    slice_ = state.slices.get(name)
    if slice_ is None or slice_.state is not SliceState.DELETING:
        state.books.stale_facts += 1
        return
    state.news.deleted[name] = why


def delete_failed(state: ClusterState, event: ev.SliceDeleteFailed) -> None:
    """A slice could not be deleted now; the deadline of the delete asks again."""
    slice_ = state.slices.get(event.slice)
    if slice_ is None or slice_.state is not SliceState.DELETING:
        state.books.stale_facts += 1
        return
    slice_.why = f"the cloud could not delete it: {event.detail}"


def slices_observed(state: ClusterState, event: ev.SlicesObserved) -> None:
    """The cloud answered what it has, or could not."""
    if event.complete or event.error:
        state.books.observing_since = None
        state.arm_books()
    if event.error:
        _list_again(state, state.spec.autoscaler.observe_timeout)
        return
    for sighting in event.listing:
        _sighted(state, sighting, event.asked_at)
    if event.missing:
        state.news.vanished = True
    if event.complete:
        state.news.grown = state.news.grown or not state.books.listed
        state.books.listed = True
        seen = {sighting.slice for sighting in event.listing}
        for slice_ in state.slices.values():
            if slice_.id not in seen:
                _missed(state, slice_, event.asked_at)


def _list_again(state: ClusterState, span: Millis) -> None:
    """The next complete listing is wanted no later than after this span."""
    at = after(state.now, span)
    if at < state.books.observe_at:
        state.books.observe_at = at
        state.arm_books()


def _sighted(state: ClusterState, sighting: ev.SliceSighting, asked_at: Instant) -> None:
    slice_ = state.slices.get(sighting.slice)
    if slice_ is None:
        if sighting.state is ev.CloudState.DELETING:
            return
        slice_ = adopt(state, sighting.slice, sighting.group, sighting.zone or Zone(""))
    elif sighting.state in _ALIVE and slice_.state not in GIVEN_UP:
        slice_.missing_since = None
        return
    if slice_.state in GIVEN_UP:
        lives = slice_.gone_at is not None and asked_at > slice_.gone_at
        if lives and sighting.state is not ev.CloudState.DELETING:
            state.news.seen_alive[slice_.id] = None
        return
    slice_.missing_since = None
    if sighting.state is ev.CloudState.DELETING:
        state.news.noticed[slice_.id] = "the cloud is deleting it, and nobody here asked for that"
    elif sighting.state is ev.CloudState.PREEMPTED:
        why = "the cloud says that it was preempted"
        state.news.dead[slice_.id] = (SliceState.PREEMPTED, EndCause.PREEMPTION, why)
    elif sighting.state not in _ALIVE:
        why = f"the cloud says that it is {sighting.state.value}"
        state.news.dead[slice_.id] = (SliceState.FAILED, EndCause.HOST_LOST, why)


def _missed(state: ClusterState, slice_: Slice, asked_at: Instant) -> None:
    """A complete listing lacks a slice: proof enough only once nobody on it speaks, or after a while."""
    if slice_.state is SliceState.DELETING:
        if slice_.missing_since is not None and asked_at > slice_.missing_since:
            slice_deleted(state, slice_.id, "a complete listing no longer holds it")
        return
    if slice_.state in GIVEN_UP or slice_.state is SliceState.REQUESTED:
        return
    if slice_.accepted_at is not None and asked_at < slice_.accepted_at:
        return
    if slice_.missing_since is None:
        slice_.missing_since = asked_at
    if is_absent(state, slice_, asked_at):
        state.news.missed[slice_.id] = asked_at
    else:
        _list_again(state, _grace(state, slice_))


def is_absent(state: ClusterState, slice_: Slice, asked_at: Instant) -> bool:
    """Whether a complete listing, asked for then, is proof that a slice which it lacks is gone.

    Asked when the listing is learned, and again when all is learned that came with it: a later listing that
    shows the slice, or a word of its worker, takes the proof away.
    """
    if slice_.missing_since is None:
        return False
    silent = any(
        w is not None and state.workers[w].state is WorkerState.SILENT for w in slice_.workers
    )
    return silent or asked_at - slice_.missing_since >= _grace(state, slice_)


def _grace(state: ClusterState, slice_: Slice) -> Millis:
    policy = state.spec.autoscaler
    return policy.adoption_grace if slice_.state in COMING else policy.absence_grace
