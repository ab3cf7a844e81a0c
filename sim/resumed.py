"""A recorded outside world, lived through again: from an empty cluster, or from the snapshot that a record begins with.

What the snapshot holds goes on: slices stand and boot, attempts run, queues wait, each as long as the
record says that it did. Rows are told in time that begins with the record, as those of the record are.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from iris.core.ids import JobId, split_task_id
from iris.core.instant import Instant, Millis, after
from iris.core.records import Attempt, Job, Slice, Task
from iris.core.spec import GroupSpec
from sim import happenings
from sim.clone import Clone, Continuation, Drought
from sim.courses import saved_at
from sim.dice import LONGEST, Constant, Distribution
from sim.measure import Measures
from sim.model import Arrival, CloudModel, Scenario
from sim.outside import Outside
from sim.recorded_model import Happening, Stall
from sim.run import finish, simulate
from sim.world import PATIENCE


def live_again(outside: Outside, scenario: Scenario) -> Measures:
    """The rows of a recorded outside world under the configuration of a scenario made from it."""
    if outside.chronicle.image is None:
        return simulate(scenario)
    return _from_the_begin(finish(Resumed(outside, scenario)), outside.chronicle.began)


@dataclass(frozen=True, slots=True)
class _Known:
    """An outlook (`sim.clone.Outlook`) of one who knows what came; what it guesses is never asked for."""

    cloud: CloudModel
    droughts: tuple[Drought, ...] = ()

    def run_time(self, job: Job) -> Distribution:
        """Courses say it."""
        del job
        return Constant(Millis(0))

    def launch(self, job: Job) -> Distribution:
        """Courses say it."""
        del job
        return Constant(Millis(0))


class Resumed(Clone):
    """A world that goes on from the snapshot of a record, and in which the same happens."""

    def __init__(self, outside: Outside, scenario: Scenario) -> None:
        """At the instant of the snapshot."""
        chronicle = outside.chronicle
        assert chronicle.image is not None
        self._outside = outside
        self._recorded = scenario
        self._jobs: Mapping[JobId, Job] = {job.id: job for job in chronicle.jobs}
        self._slices = {slice_.number: slice_ for slice_ in chronicle.slices}
        began = chronicle.began
        answers = {
            place: tuple(replace(one, at=after(began, Millis(one.at))) for one in row)
            for place, row in scenario.cloud.answers.items()
        }
        plan = Continuation(
            state=chronicle.image,
            at=began,
            outlook=_Known(replace(scenario.cloud, answers=answers)),
            until=after(began, PATIENCE if scenario.duration is None else scenario.duration),
            arrivals=tuple(_later(arrival, began) for arrival in scenario.recorded),
        )
        super().__init__(plan)
        self.measures.scenario = scenario.name
        self.measures.group_price_per_hour |= {
            group.name: group.price_per_hour for group in scenario.cluster.groups
        }

    def _begin(self) -> None:
        super()._begin()
        if self._recorded.cluster != self.controller.state.spec:
            self.reconfigure(self._recorded.cluster)
        began = self._outside.chronicle.began
        happenings.script(self, tuple(_put_off(one, began) for one in self._recorded.happenings))

    def _stop_if_done(self) -> None:
        if not self._recorded.whole:
            super()._stop_if_done()

    def _rest_of_boot(self, slice_: Slice, group: GroupSpec) -> Millis:
        recorded = self._slices[slice_.number]
        if recorded.ready_at is not None:
            return Millis(recorded.ready_at - self.clock.now)
        if slice_.number in self._outside.chronicle.deaths:
            return LONGEST
        return super()._rest_of_boot(slice_, group)

    def _runs_at(self, job: Job, attempt: Attempt, task: Task) -> Instant:
        index = split_task_id(task.id)[1]
        recorded = self._jobs[job.id].tasks[index].attempts[attempt.number].started_at
        if recorded is not None:
            return recorded
        launch = self._outside.carried[job.id].courses[index].launch(attempt.number)
        return max(self.clock.now, after(attempt.assigned_at, launch))

    def _work_of(self, job: Job) -> tuple[Arrival, dict[int, int]]:
        arrival = self._outside.carried[job.id]
        saved = saved_at(job, self.clock.now)
        if arrival.template.coscheduled:
            return arrival, {0: saved[0]}
        return arrival, dict(enumerate(saved))


def _later(arrival: Arrival, began: Instant) -> Arrival:
    return replace(arrival, at=after(began, Millis(arrival.at)))


def _put_off(one: Happening, began: Instant) -> Happening:
    at = after(began, Millis(one.at))
    if isinstance(one, Stall):
        return Stall(at, after(began, Millis(one.until)))
    return replace(one, at=at)


def _from_the_begin(measures: Measures, began: Instant) -> Measures:
    """The same rows, in time that begins at an instant; what was before it begins with it."""

    def moved(at: Instant) -> Instant:
        return Instant(max(0, at - began))

    for row in _rows(measures):
        for name in (
            "submit",
            "first_running",
            "requested",
            "created",
            "ready",
            "start",
            "running",
            "end",
        ):
            at = getattr(row, name, None)
            if at is not None:
                setattr(row, name, moved(at))
    measures.samples[:] = [replace(one, at=moved(one.at)) for one in measures.samples]
    measures.now = moved(measures.now)
    return measures


def _rows(measures: Measures) -> Iterator[object]:
    yield from measures.jobs.values()
    yield from measures.attempts
    yield from measures.slices.values()
