"""Counts that are kept beside the tables: of slices, of attempts, of tasks, and which jobs are in which state.

Like every index they hold no truth of their own: an invariant counts them anew.
"""

from iris.core.ids import GroupName, JobId, SliceId, TaskId, WorkerId, Zone
from iris.core.lifecycle import COMING, JobState, SliceState
from iris.core.records import Job, Slice, Task, Worker

PoolKey = tuple[GroupName, Zone]


class Tallies:
    """The counts; whoever owns the tables begins them anew."""

    jobs: dict[JobId, Job]
    tasks: dict[TaskId, Task]
    slices: dict[SliceId, Slice]

    fleet: dict[GroupName, dict[SliceState, int]]
    coming: dict[PoolKey, int]
    present: dict[PoolKey, int]
    """Slices that may exist, by pool."""
    bands_on: dict[PoolKey, list[int]]
    """Unfinished attempts of each band, by pool."""
    leaving: dict[WorkerId, int]
    """How many attempts are stopping on a worker, where any is."""
    ended: dict[JobId, None]
    by_state: dict[JobState, dict[JobId, None]]

    def reindex_states(self) -> None:
        """List all jobs anew by their states, in the order in which they came into them.

        Those that have not ended are listed as they arrived, for what else they went through is not on record.
        """
        jobs = self.jobs.values()
        ended = sorted((j.ended_at, j.number, j.id) for j in jobs if j.ended_at is not None)
        self.ended = {job: None for _, _, job in ended}
        self.by_state = {state: {} for state in JobState}
        for name in (*(j.id for j in jobs if j.ended_at is None), *self.ended):
            self.by_state[self.jobs[name].state][name] = None

    def count_slice(self, slice_: Slice, state: SliceState, by: int) -> None:
        """Count a slice in (1) or out of (-1) the tallies of its group and pool."""
        tally = self.fleet.setdefault(slice_.group, {})
        tally[state] = tally.get(state, 0) + by
        key = (slice_.group, slice_.zone)
        if state is not SliceState.GONE:
            self.present[key] = self.present.get(key, 0) + by
        if state in COMING:
            self.coming[key] = self.coming.get(key, 0) + by

    def count_band(self, worker: Worker, task: TaskId, by: int) -> None:
        """Count an attempt in (1) or out of (-1) the bands that work in its pool."""
        slice_ = self.slices[worker.slice]
        key = (slice_.group, slice_.zone)
        counts = self.bands_on.setdefault(key, [0, 0, 0])
        counts[self.jobs[self.tasks[task].job].spec.band] += by

    def count_leaving(self, worker: WorkerId, by: int) -> None:
        """Count an attempt in (1) or out of (-1) those that are stopping on a worker."""
        count = self.leaving.get(worker, 0) + by
        if count:
            self.leaving[worker] = count
        else:
            del self.leaving[worker]
