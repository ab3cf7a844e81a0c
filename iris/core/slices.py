"""What becomes of slices that exist: which are lost, which are kept free of work, which are given back.

The cloud's word can only fail a slice faster; that one is ready is said by its workers alone. One
lost host loses the slice, since a pod with a hole in it runs nothing. Whatever has failed, was
preempted, or is empty after its drain is deleted, and the delete is repeated until the cloud no
longer has the machine.
"""

from collections.abc import Iterator

from iris.core import decisions as de
from iris.core import gates
from iris.core.deadlines import Due
from iris.core.due import is_due
from iris.core.effects import Accepted, Refusal, Rejected
from iris.core.ids import SliceId, TaskId, WorkerId
from iris.core.instant import after, since
from iris.core.lifecycle import ALIVE, COMING, SliceState, WorkerState
from iris.core.records import Slice
from iris.core.retry import EndCause
from iris.core.sightings import is_absent
from iris.core.state import ClusterState


def plan_slices(state: ClusterState) -> Iterator[de.Decision]:
    """Conclude what the facts and deadlines of this turn say about slices and workers."""
    yield from _closings(state)
    yield from _notices(state)
    yield from _operator(state)
    yield from _refusals(state)
    yield from _evidence(state)
    yield from _deadlines(state)
    yield from _bad_hosts(state)
    if state.news.reconfigured or state.news.ready:
        yield from _retired(state)


def plan_returns(state: ClusterState) -> Iterator[de.Decision]:
    """Give back what is lost or empty, and what was called deleted and lives on."""
    news = state.news
    retry_at = after(state.now, state.spec.autoscaler.delete_retry)
    for name in news.seen_alive:
        yield de.SliceDelete(name, retry_at, "it was called deleted and is alive")
    for name in sorted(news.lost):
        yield de.SliceDelete(name, retry_at, state.slices[name].why)
    for name in news.emptied:
        slice_ = state.slices[name]
        if slice_.state is SliceState.DRAINING and not slice_.live:
            yield de.SliceDelete(name, retry_at, slice_.why)


def plan_observations(state: ClusterState) -> Iterator[de.Decision]:
    """Ask the cloud what it has: at intervals about all, and at once about what is in doubt."""
    news, books = state.news, state.books
    policy = state.spec.autoscaler
    listing_due = any(due is Due.OBSERVE for due, _ in news.due) or state.now >= books.observe_at
    free = books.observing_since is None or (
        since(books.observing_since, state.now) >= policy.observe_timeout
    )
    if free and (listing_due or (news.vanished and books.asked_at != state.now)):
        next_at = after(state.now, policy.observe_interval)
        why = "something was not found" if news.vanished else "at intervals"
        yield de.Observation((), next_at, why)
    doubted = tuple(n for n in news.doubted if state.slices[n].state in ALIVE)
    if doubted:
        yield de.Observation(doubted, books.observe_at, news.doubted[doubted[0]])


# ---- what happened to slices -------------------------------------------------------------------


def _closings(state: ClusterState) -> Iterator[de.Decision]:
    """Close the books on what the cloud has taken back: its place is free for another slice."""
    for name, why in state.news.deleted.items():
        yield de.SliceGone(name, why)


def _notices(state: ClusterState) -> Iterator[de.Decision]:
    until = after(state.now, state.spec.timeouts.notice_timeout)
    for name, why in state.news.noticed.items():
        yield de.SliceCordon(name, until, why)


def _operator(state: ClusterState) -> Iterator[de.Decision]:
    for request in state.news.terminations:
        slice_ = state.slices.get(request.slice)
        if slice_ is None or slice_.state not in ALIVE:
            why = f"slice {request.slice} is not known, or gone already"
            yield de.Answer(request.request, Rejected(why, Refusal.UNKNOWN))
            continue
        why = "an operator terminated it"
        yield de.SliceLoss(slice_.id, SliceState.FAILED, EndCause.HOST_LOST, why)
        yield de.Answer(request.request, Accepted())
    for name, cordoned in state.news.drains.items():
        worker = state.workers.get(name)
        if worker is not None and worker.cordoned is not cordoned:
            yield de.WorkerCordon(name, cordoned, "an operator asked for it")


def _refusals(state: ClusterState) -> Iterator[de.Decision]:
    for name, reason, detail in state.news.refused:
        slice_ = state.slices[name]
        group = state.groups.get(slice_.group)
        if slice_.state not in COMING:
            continue
        if group is not None:
            yield from gates.after_refusal(state, slice_, group, reason, detail)
        why = f"create refused: {reason.value} {detail}".rstrip()
        yield de.SliceLoss(name, SliceState.FAILED, EndCause.HOST_LOST, why)


def _evidence(state: ClusterState) -> Iterator[de.Decision]:
    for name, (to, cause, why) in state.news.dead.items():
        yield from _lose(state, state.slices[name], to, cause, why)
    for name, asked_at in state.news.missed.items():
        slice_ = state.slices[name]
        if is_absent(state, slice_, asked_at):
            group = state.groups.get(slice_.group)
            lost = (SliceState.FAILED, EndCause.HOST_LOST)
            if group is not None and group.preemptible:
                lost = (SliceState.PREEMPTED, EndCause.PREEMPTION)
            yield from _lose(state, slice_, *lost, "it vanished: complete listings lack it")


def _lose(
    state: ClusterState, slice_: Slice, to: SliceState, cause: EndCause, why: str
) -> Iterator[de.Decision]:
    if slice_.state not in ALIVE:
        return
    if to is SliceState.PREEMPTED and slice_.state in COMING:
        why = f"while it was coming: {why}"
    was_standing = slice_.state is not SliceState.DRAINING
    yield de.SliceLoss(slice_.id, to, cause, why)
    group = state.groups.get(slice_.group)
    if group is not None and was_standing:
        yield from gates.after_early_death(state, slice_, group)


def _deadlines(state: ClusterState) -> Iterator[de.Decision]:
    for due, key in state.news.due:
        if due is Due.SILENCE:
            yield from _silence(state, WorkerId(key))
        elif due is Due.STOP:
            yield from _hung_stop(state, key)
        elif due is Due.SLICE:
            yield from _overdue(state, state.slices[SliceId(key)])
        elif due is Due.CORDON and is_due(state, due, key, state.now):
            yield de.SliceCordon(SliceId(key), None, "the announced preemption did not come")
        elif due is Due.SETTLE:
            slice_ = state.slices[SliceId(key)]
            group = state.groups.get(slice_.group)
            if group is not None and slice_.state in (SliceState.READY, SliceState.DRAINING):
                yield from gates.after_settling(state, slice_, group)
    for name in state.news.ready:
        slice_ = state.slices[name]
        group = state.groups.get(slice_.group)
        if group is not None and slice_.state is SliceState.READY:
            yield from gates.after_ready(state, slice_, group)


def _silence(state: ClusterState, name: WorkerId) -> Iterator[de.Decision]:
    worker = state.workers[name]
    if worker.state is not WorkerState.SILENT:
        return
    slice_ = state.slices[worker.slice]
    why = f"{name} was silent for {state.spec.timeouts.worker_timeout} ms"
    if slice_.cordon_until is not None:
        yield from _lose(state, slice_, SliceState.PREEMPTED, EndCause.PREEMPTION, why)
    else:
        yield from _lose(state, slice_, SliceState.FAILED, EndCause.HOST_LOST, why)


def _hung_stop(state: ClusterState, key: str) -> Iterator[de.Decision]:
    task = state.tasks[TaskId(key)]
    attempt = state.live_attempt(task)
    if attempt is None or attempt.stop_deadline is None or attempt.stop_deadline > state.now:
        return
    worker = state.workers[attempt.worker]
    why = f"{task.id} did not stop in time on {worker.id}"
    if worker.state is WorkerState.HEALTHY and attempt.stop_cause is not None:
        # The host speaks, so the end is that of the stop; were it silent, it would be the host's.
        yield de.AttemptLoss(task.id, attempt.stop_cause, why)
    slice_ = state.slices[worker.slice]
    yield from _lose(state, slice_, SliceState.FAILED, EndCause.HOST_LOST, why)


def _overdue(state: ClusterState, slice_: Slice) -> Iterator[de.Decision]:
    policy = state.spec.autoscaler
    if slice_.state is SliceState.REQUESTED:
        if since(slice_.requested_at, state.now) < policy.boot_timeout:
            yield de.SliceAgain(slice_.id, after(state.now, policy.create_answer_timeout))
        else:
            why = "the cloud never answered its create"
            yield from _lose(state, slice_, SliceState.FAILED, EndCause.HOST_LOST, why)
    elif slice_.state is SliceState.BOOTING:
        spoke = sum(1 for w in slice_.workers if w is not None)
        why = f"only {spoke} of {len(slice_.workers)} hosts registered in time"
        yield from _lose(state, slice_, SliceState.FAILED, EndCause.HOST_LOST, why)
    elif slice_.state is SliceState.DELETING:
        retry_at = after(state.now, policy.delete_retry)
        yield de.SliceDelete(slice_.id, retry_at, slice_.why)


def _bad_hosts(state: ClusterState) -> Iterator[de.Decision]:
    limit = state.spec.timeouts.launch_failures_per_host
    for name in state.news.blamed:
        worker = state.workers.get(name)
        if worker is None or worker.cordoned or worker.launch_failures < limit:
            continue
        why = f"{worker.launch_failures} launches failed on it"
        yield de.WorkerCordon(name, cordoned=True, why=why)
        if state.slices[worker.slice].state is SliceState.READY:
            yield de.SliceDrain(worker.slice, f"its host {name} is out: {why}")


def _retired(state: ClusterState) -> Iterator[de.Decision]:
    """Slices whose group, or whose zone or type of it, left the configuration."""
    retry_at = after(state.now, state.spec.autoscaler.delete_retry)
    why = "its group is no longer configured"
    names = list(state.slices) if state.news.reconfigured else list(state.news.ready)
    for slice_ in [state.slices[name] for name in names]:
        if state.pool_of(slice_) is not None:
            continue
        if slice_.state is SliceState.READY:
            yield de.SliceDrain(slice_.id, why)
        elif slice_.state in COMING and not slice_.adopted:
            yield de.SliceDelete(slice_.id, retry_at, why)
