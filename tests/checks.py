"""What every step must leave behind: a settled turn, equal copies, true indexes, a full journal."""

import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from iris.core.controller import Controller
from iris.core.invariants import Auditor
from iris.core.record import Turn, to_json, turn_from_json
from iris.core.replay import recover
from iris.core.snapshot import Snapshot, restore, snapshot, snapshot_from_json, snapshot_to_json
from iris.core.state import ClusterState

_P = ParamSpec("_P")
_R = TypeVar("_R")


def untraced(check: Callable[_P, _R]) -> Callable[_P, _R]:
    """A check that coverage does not watch: what it calls counts where a test means to call it.

    Most of what the core's tests do is checks after each of their steps, and they take three times
    as long under the tracer.
    """

    def unwatched(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        tracer = sys.gettrace()
        sys.settrace(None)
        try:
            return check(*args, **kwargs)
        finally:
            sys.settrace(tracer)

    return unwatched


class Checks:
    """Watches one controller, and plays its journal on a second one that never decides."""

    def __init__(self, controller: Controller) -> None:
        self.controller = controller
        self.follower = Controller()
        self.auditor = Auditor(controller.state, every_turn=True)

    @untraced
    def begin(self) -> Snapshot:
        """The state before a step."""
        return snapshot(self.controller.state)

    def end(self, before: Snapshot, turn: Turn) -> None:
        """Hold the step against everything that must be true of any step."""
        self._machine_is_sound(before, turn)
        self.auditor.check(turn)
        assert not self.auditor.violated, self.auditor.sentences

    @untraced
    def _machine_is_sound(self, before: Snapshot, turn: Turn) -> None:
        digest, own = self.controller.digest(), indexes(self.controller.state)
        self._copies_are_equal(digest, own)
        self._turn_is_settled(turn, digest)
        self._journal_tells_it(before, turn, digest, own)

    def _copies_are_equal(self, digest: str, own: dict[str, object]) -> None:
        """A copy that was written down is the same; a twin is so without its new indexes, too."""
        written = snapshot_to_json(snapshot(self.controller.state))
        assert restore(snapshot_from_json(written)).digest() == digest
        twin = self.controller.clone()
        assert twin.next_deadline() == self.controller.next_deadline()
        assert indexes(twin.state) == own

    def _turn_is_settled(self, turn: Turn, digest: str) -> None:
        """A wake-up without news decides nothing, neither here nor on a twin with new indexes."""
        for machine in (self.controller, self.controller.clone()):
            decisions, effects = machine.step(turn.now, ())
            assert not decisions, decisions
            assert not effects, effects
            assert machine.digest() == digest

    def _journal_tells_it(
        self, before: Snapshot, turn: Turn, digest: str, own: dict[str, object]
    ) -> None:
        written = turn_from_json(to_json(turn))
        assert written == turn
        recovered = recover([written], before)
        recovered.step(turn.now, ())  # When the autoscaler wants to look again is not on record.
        assert recovered.digest() == digest
        assert recovered.next_deadline() == self.controller.next_deadline()
        self.follower.replay(written)
        assert self.follower.digest() == digest
        assert indexes(self.follower.state) == own


def indexes(state: ClusterState) -> dict[str, object]:
    """Every index of a state as plain values; empty entries count as none."""
    room, waiting = state.room, state.waiting
    return {
        "tasks": sorted(state.tasks),
        "jobs": {number: job.id for number, job in state.job_by_number.items()},
        "slices": {number: slice_.id for number, slice_ in state.slice_by_number.items()},
        "workers": {number: worker.id for number, worker in state.worker_by_number.items()},
        "shapes": state.shapes,
        # Those of one instant stand as they came, which a recovery forgets.
        "ended": sorted(state.ended),
        "ended at": [state.jobs[job].ended_at for job in state.ended],
        "fleet": {
            (group, s): count
            for group, tally in state.fleet.items()
            for s, count in tally.items()
            if count
        },
        "coming": {key: count for key, count in state.coming.items() if count},
        "present": {key: count for key, count in state.present.items() if count},
        "idle": {group: entries for group, entries in state.idle.items() if entries},
        "bands_on": {key: counts for key, counts in state.bands_on.items() if any(counts)},
        "leaving": state.leaving,
        "amounts": {key: pool.amounts for key, pool in room.pools.items()},
        "buckets": {key: pool.buckets for key, pool in room.pools.items()},
        "open slices": {key: pool.slices for key, pool in room.pools.items()},
        "where": {
            number: (pool.group.name, pool.zone, amount)
            for number, (pool, amount) in sorted(room.where.items())
        },
        "queues": {key: list(queue.units()) for key, queue in waiting.queues.items()},
        "queues by shape": {
            shape: sorted(keys, key=lambda key: (key.band, key.user))
            for shape, keys in waiting.by_shape.items()
        },
        "accelerators": waiting.accelerators,
    }
