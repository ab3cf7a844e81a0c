"""What is learned from a cluster's past, from records of simulations and from some made by hand."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from iris.core.ids import (
    GroupName,
    JobId,
    RequestId,
    SliceId,
    UserName,
    WorkerId,
    Zone,
    task_id,
)
from iris.core.instant import DAY, HOUR, MINUTE, SECOND, Instant, Millis, after
from iris.core.lifecycle import SliceState
from iris.core.records import Attempt, Gate, Job, Life, Slice, Task
from iris.core.retry import EndCause
from iris.core.spec import ClusterSpec, GroupSpec, JobSpec
from iris.core.state import LIVES_KEPT, ClusterState
from sim.dice import Dice, Exponential, Remaining
from sim.history import History
from sim.survival import Later, Survival
from tests.harness import cpu_group
from tests.sim.one_host import ONE_HOST, WORK, state_at

# ---- what is learned ----------------------------------------------------------------------------


def test_survival_counts_what_is_not_over() -> None:
    ten, twenty, thirty = Millis(10), Millis(20), Millis(30)
    seen = Survival((ten, thirty), (twenty,))
    # One of four is over at 10; of the two left at 30 (one of them the last, which is never) one.
    assert [seen.sample(u) for u in (0.0, 0.24, 0.26, 0.62)] == [10, 10, 30, 30]
    # Beyond it lasts as long again with even odds: 37.5 % are left at 30, half of them at 60.
    assert seen.sample(1 - 0.375 / 2 + 1e-9) == 60
    assert Survival((), (twenty,)).sample(0.5) == 40


def life(end: SliceState, ready: int, over: int) -> Life:
    at = Instant(ready - 10 * SECOND)
    return Life(Zone("us-a"), at, at, Instant(ready), Instant(over), end)


def test_the_rate_of_losses_is_that_of_the_time_that_the_record_covers() -> None:
    state = ClusterState()
    group = cpu_group(preemptible=True)
    state.spec = ClusterSpec((group,))
    lost = life(SliceState.PREEMPTED, 0, 6 * HOUR)
    kept = life(SliceState.DELETING, 0, 18 * HOUR)
    state.lives[group.name] = (lost, kept)
    model = History(state, Instant(2 * DAY)).cloud
    # Two losses, one of them a day of doubt, in a day of slices and the day of doubt.
    assert model.lifetime_of(group.name, Zone("us-a")) == Exponential(Millis(DAY))
    # A full record says nothing of the time before its first loss, and does not count that loss.
    state.lives[group.name] = (life(SliceState.PREEMPTED, 0, HOUR),) * LIVES_KEPT
    model = History(state, Instant(2 * DAY)).cloud
    assert model.lifetime_of(group.name, Zone("us-a")) == Exponential(Millis(DAY))
    assert model.lifetime_of(GroupName("other"), Zone("us-a")) is None


def test_jobs_that_will_come_are_those_that_came_about_this_time_of_a_day(tmp_path: Path) -> None:
    daily = {**WORK, "arrivals": {"every": "1d"}, "count": 9, "run_time": "1h"}
    at = Instant(5 * DAY + 12 * HOUR)
    state = state_at(tmp_path, at, {"cluster": {"scale_groups": ONE_HOST}, "workload": [daily]})
    coming = list(History(state, at).arrivals(Instant(at + 10 * DAY), Dice(1)))
    gaps = [b.at - a.at for a, b in pairwise(coming)]
    assert gaps == [DAY] * 9
    # Midnight, as they came, give or take two hours.
    assert 10 * HOUR <= coming[0].at - at <= 14 * HOUR
    assert coming[0].user == "user"


def test_a_kind_of_jobs_speaks_for_itself_and_else_its_timeout_does(tmp_path: Path) -> None:
    other = {**WORK, "name": "other", "user": "bob", "run_time": "2h", "timeout": "4h"}
    sections = {
        "cluster": {"scale_groups": {"cpu": {**ONE_HOST["cpu"], "max_slices": 9}}},
        "workload": [
            {**WORK, "arrivals": {"at": ["0s"] * 6}},
            {**other, "arrivals": {"at": ["1s", "61m"]}},
        ],
    }
    state = state_at(tmp_path, Instant(HOUR + 2 * MINUTE), sections)
    history = History(state, Instant(HOUR + 2 * MINUTE))
    alike = history.run_time(state.jobs[JobId("/user/work-3")])
    assert alike.sample(0.5) == 30 * MINUTE
    declared = history.run_time(state.jobs[JobId("/bob/other-0")])
    assert declared.sample(0.5) == pytest.approx(2 * HOUR, abs=1)


# ---- records made by hand -----------------------------------------------------------------------


def state_of(*groups: GroupSpec) -> ClusterState:
    state = ClusterState()
    state.spec = ClusterSpec(groups)
    return state


def tried(state: ClusterState, number: int, *tries: tuple[int, EndCause | None]) -> Job:
    """A job on record whose one task was tried for so many minutes each; without a cause it runs."""
    name = JobId(f"/ann/job-{number}")
    attempts: list[Attempt] = []
    at = Instant(0)
    for index, (minutes, cause) in enumerate(tries):
        end = after(at, Millis(minutes * MINUTE))
        attempt = Attempt(index, WorkerId("w"), SliceId("s"), at, 1, started_at=at)
        if cause is not None:
            attempt.ended_at, attempt.cause = end, cause
        attempts.append(attempt)
        at = end
    task = Task(task_id(name, 0), name, 0, attempts=attempts)
    spec = JobSpec(UserName("ann"), f"job-{number}")
    job = Job(name, number, spec, RequestId(""), Instant(0), [task], children=[])
    state.jobs[name] = job
    return job


@pytest.mark.parametrize(
    ("tries", "expected"),
    [
        (
            [(50, EndCause.PREEMPTION), (30, EndCause.EXIT_ZERO)],
            Survival((Millis(30 * MINUTE),) * 5),
        ),
        (
            [(50, EndCause.PREEMPTION), (10, EndCause.PREEMPTION)],
            Survival((Millis(60 * MINUTE),) * 5, (Millis(50 * MINUTE),)),
        ),
    ],
)
def test_a_task_is_one_run_however_often_it_was_tried(
    tries: list[tuple[int, EndCause]], expected: Survival
) -> None:
    state = state_of()
    if expected.cut:
        for number in range(5):
            tried(state, number, (60, EndCause.EXIT_ZERO))
    jobs = [tried(state, number, *tries) for number in range(5, 6 if expected.cut else 10)]
    assert History(state, Instant(2 * HOUR)).run_time(jobs[0]) == expected


def test_boots_are_those_of_slices_that_were_given_and_are_ours() -> None:
    group = cpu_group()
    state = state_of(group)

    def booted(minutes: int) -> Life:
        whole = life(SliceState.DELETING, 0, DAY)
        return replace(whole, accepted_at=Instant(0), ready_at=Instant(minutes * MINUTE))

    late = replace(booted(50), ready_at=None, failure="stockout", end=SliceState.FAILED)
    foreign = replace(booted(90), accepted_at=None)
    state.lives[group.name] = (*map(booted, range(1, 6)), foreign, late)
    for number, adopted in enumerate((True, False)):
        name = SliceId(f"s{number}")
        at = Instant(0)
        state.slices[name] = Slice(
            name, number, group.name, Zone("us-a"), at, None, accepted_at=at, adopted=adopted
        )
        state.slices[name].state = SliceState.BOOTING
    boots = History(state, Instant(7 * MINUTE)).cloud.boot_of(group.name)
    minutes = tuple(Millis(n * MINUTE) for n in (5, 4, 3, 2, 1))
    assert boots == Survival(minutes, (Millis(7 * MINUTE),))


def test_a_drought_ends_between_its_last_refusal_and_the_next_slice() -> None:
    group = cpu_group()
    state = state_of(group)
    zone = Zone("us-a")

    def news(minutes: int, *, given: bool) -> Life:
        at = Instant(minutes * MINUTE)
        accepted, failure = (at, "") if given else (None, "stockout")
        return Life(zone, at, accepted, None, at, SliceState.FAILED, failure)

    refused = [news(n, given=False) for n in (0, 10)]
    state.lives[group.name] = (
        *refused,
        news(20, given=True),
        news(30, given=False),
        news(40, given=False),
    )
    state.gates[zone, "cpu"] = Gate(zone, "cpu", "cpu", group.chips, 1, scarce=True)
    (drought,) = History(state, Instant(45 * MINUTE)).droughts
    # The first lasted 15 minutes. The second is ten old, and nothing is known of the last five.
    whole = Survival((Millis(15 * MINUTE),), (Millis(10 * MINUTE),), MINUTE)
    assert drought.left == Later(Remaining(whole, Millis(10 * MINUTE)), Millis(5 * MINUTE))
    assert (drought.zone, drought.family, drought.chips) == (zone, "cpu", group.chips)


def test_three_jobs_of_a_first_minute_are_three_an_hour_and_children_come_with_their_parents() -> (
    None
):
    state = state_of()
    jobs = [tried(state, number, (1, EndCause.EXIT_ZERO)) for number in range(4)]
    jobs[3].spec = replace(jobs[3].spec, parent=JobId("/ann/job-0"))
    at = Instant(MINUTE)
    coming = list(History(state, at).arrivals(Instant(at + DAY), Dice(1)))
    assert len(coming) == 3 * 24
