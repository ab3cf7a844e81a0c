"""Whether a slice was given back before its time, or from under somebody: held against the policy's words.

One of the judges of `iris.core.conduct`. When work last left the slice it is told by those who heard
the work end, not by the clock of the state, which may be the one that is wrong.
"""

from collections.abc import Iterator

from iris.core import decisions as de
from iris.core.fit import Shape, refusal
from iris.core.instant import Instant, since
from iris.core.records import Slice
from iris.core.room import Pool
from iris.core.state import ClusterState


def what_is_wrong_with_drain(
    drain: de.SliceDrain, left_at: Instant | None, state: ClusterState
) -> Iterator[str]:
    """V-08, V-22, V-27: a slice drains idle, after `idle_timeout` and wanted by nobody, or for a reason.

    Args:
        drain: the decision.
        left_at: when work that keeps a slice was last seen to end there; nothing if none was.
        state: what the turn led to.
    """
    slice_ = state.slices[drain.slice]
    pool = state.pool_of(slice_)
    if pool is None or any(w and state.workers[w].cordoned for w in slice_.workers):
        return
    # CPU work on the spare cores of an accelerator does not keep it, but is let finish.
    used = slice_.live if pool.group.accelerator is None else slice_.chips_used
    if used:
        yield f"V-08 slice {slice_.id} drains while it is in use, and nothing is wrong with it"
    idle = since(max(slice_.ready_at or Instant(0), left_at or Instant(0)), state.now)
    if idle < state.spec.autoscaler.idle_timeout:
        yield f"V-27 slice {slice_.id} was given back after {idle} ms of idleness, before idle_timeout"
    if _is_wanted(state, slice_, pool):
        yield f"V-22 slice {slice_.id} was given back, and work waits that could use it"


def _is_wanted(state: ClusterState, slice_: Slice, pool: Pool) -> bool:
    """Whether work waits that goes to the slice's kind, and nobody waits on whom it has failed."""
    shapes = state.waiting.by_shape
    barred = any(worker in shape.avoid for shape in shapes for worker in slice_.workers)
    if barred or slice_.cordon_until is not None:
        return False
    return any(
        refusal(shape, pool.group, pool.zone) is None and not _is_guest(state, shape, pool)
        for shape in shapes
    )


def _is_guest(state: ClusterState, shape: Shape, pool: Pool) -> bool:
    """Whether work would only be let in on the spare cores, for which no accelerator work must wait."""
    kind = pool.group.accelerator
    return shape.accelerator is None and kind is not None and kind in state.waiting.accelerators
