"""Forecasts of worlds in which the answer is known, and of some in which only its bounds are."""

import os
import subprocess
import sys
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from iris.core.ids import GroupName, JobId, Zone
from iris.core.instant import DAY, HOUR, MINUTE, SECOND, Instant, Millis
from iris.core.lifecycle import SliceState
from iris.core.records import Life
from iris.core.spec import ClusterSpec
from iris.core.state import LIVES_KEPT, ClusterState
from sim.dice import Dice, Exponential
from sim.forecast import Forecast, Question, forecast
from sim.history import History
from sim.run import world_of
from sim.survival import Survival
from tests.harness import cpu_group
from tests.sim.forecasts import QUEUE, study
from tests.sim.watch import scenario_of
from tests.tidy.tree import ROOT

ONE_HOST: Final = {
    "cpu": {
        "accelerator_type": "cpu",
        "vm": {"cpu": 4, "memory": "16GB"},
        "min_slices": 1,
        "max_slices": 1,
    }
}
WORK: Final = {
    "name": "work",
    "arrivals": {"at": ["0s"] * 24},
    "resources": {"cpu": 4},
    "run_time": "30m",
}


def state_at(folder: Path, at: Instant, sections: Mapping[str, object]) -> ClusterState:
    """What the controller of a simulated cluster knows at an instant."""
    world = world_of(scenario_of(folder, sections))
    while world.clock.env.peek() <= at:
        world.clock.step()
    return world.controller.state


def asked(state: ClusterState, job: str, at: Instant, **effort: int) -> Forecast:
    futures = effort.get("futures", 10)
    horizon = Millis(effort.get("horizon", 7 * DAY))
    return forecast(Question(state, JobId(job), at, futures, horizon))


def test_who_is_next_starts_when_the_host_is_free_to_the_millisecond(tmp_path: Path) -> None:
    at = Instant(20 * 30 * MINUTE + 10 * MINUTE)
    state = state_at(tmp_path, at, {"cluster": {"scale_groups": ONE_HOST}, "workload": [WORK]})
    told = asked(state, "/user/work-21", at)
    assert [told.wait(percent) for percent in (10, 50, 90)] == [20 * MINUTE] * 3
    assert told.causes[0][0] == "the end of /user/work-20"
    behind = asked(state, "/user/work-22", at)
    assert behind.wait(50) == 50 * MINUTE
    assert behind.causes[0][0] == "the end of /user/work-21"
    assert asked(state, "/user/work-22", at, horizon=40 * MINUTE).wait(50) is None


BOOTS: Final = {
    "cluster": {
        "scale_groups": {**ONE_HOST, "cpu": {**ONE_HOST["cpu"], "min_slices": 0}},
        "autoscaler": {"idle_timeout": "1m"},
    },
    "cloud": {"boot": "5m"},
    "workload": [{**WORK, "arrivals": {"every": "2h"}, "count": 20}],
}


def test_a_slice_that_boots_is_waited_for_as_long_as_boots_there_take(tmp_path: Path) -> None:
    at = Instant(15 * 2 * HOUR + 2 * MINUTE)
    told = asked(state_at(tmp_path, at, BOOTS), "/user/work-15", at)
    assert [told.wait(percent) for percent in (10, 50, 90)] == [3 * MINUTE] * 3
    assert told.causes[0] == ("the boot of slice iris-cpu-16", 10)
    assert told.learned_from == (15, 15, 0)


def test_what_ends_unstarted_in_every_future_says_why(tmp_path: Path) -> None:
    impatient = {**WORK, "name": "impatient", "arrivals": {"at": ["10h5m"]}}
    impatient["scheduling_timeout"] = "10m"
    sections = {"cluster": {"scale_groups": ONE_HOST}, "workload": [WORK, impatient]}
    at = Instant(10 * HOUR + 6 * MINUTE)
    told = asked(state_at(tmp_path, at, sections), "/user/impatient-0", at, futures=3)
    assert told.never
    assert all(future.ended for future in told.futures)
    assert told.causes == [("not every task ran within its scheduling timeout", 3)]


def test_a_drought_is_expected_to_last_as_long_again(tmp_path: Path) -> None:
    capacity = {"default": [["0s", 1], ["10h", 0]]}
    sections = {**BOOTS, "cloud": {"boot": "5m", "capacity": capacity}}
    at = Instant(18 * HOUR)
    told = asked(state_at(tmp_path, at, sections), "/user/work-5", at, futures=25)
    low, middle, high = (told.wait(percent) for percent in (10, 50, 90))
    assert low is not None
    assert middle is not None
    assert low < 2 * HOUR
    assert 3 * HOUR < middle < 16 * HOUR
    assert high is None or high > DAY
    assert told.causes[0][0] == "stock for group cpu"


LIVELY: Final = {
    "cluster": {
        "scale_groups": {
            "cpu": {**ONE_HOST["cpu"], "max_slices": 3, "preemptible": True},
            "spare": {**ONE_HOST["cpu"], "preemptible": True, "zones": ["b"]},
        }
    },
    "cloud": {"boot": "5m", "lifetime": {"exponential": {"mean": "2h"}}},
    "workload": [
        {
            **WORK,
            "name": name,
            "user": name,
            "arrivals": {"poisson": {"rate": "6/h"}},
            "count": 60,
            "run_time": {"exponential": {"mean": "30m"}},
        }
        for name in ("ann", "bea")
    ],
}

PRINTS: Final = """
import sys
from pathlib import Path
from sim.forecast import Question, forecast
from sim.run import world_of
from sim.scenario import load_scenario
from iris.core.instant import HOUR, Instant
from iris.core.lifecycle import JobState

world = world_of(load_scenario(Path(sys.argv[1])))
at = Instant(6 * HOUR)
while world.clock.env.peek() <= at:
    world.clock.step()
state = world.controller.state
waiting = [job.id for job in state.jobs.values() if job.state is JobState.PENDING]
before = state.digest()
told = forecast(Question(state, waiting[-1], at, 4))
assert state.digest() == before
print(told)
"""


def test_the_same_state_and_seed_give_the_same_forecast_under_any_hash_seed(
    tmp_path: Path,
) -> None:
    scenario_of(tmp_path, LIVELY)
    told = [
        subprocess.run(
            [sys.executable, "-c", PRINTS, str(tmp_path / "story.yaml")],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert told[0] == told[1]
    assert told[0].count("wait=") == 4


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


@pytest.mark.untraced
def test_most_truths_of_a_queue_lie_in_the_range_that_was_told(tmp_path: Path) -> None:
    found = study(scenario_of(tmp_path, QUEUE, seed=1), count=8, jobs=2, futures=10)
    sides = [question.side for question in found]
    assert len(sides) >= 10
    # Eight in ten are expected of many; so few hang together, as they see the same queue.
    assert 0.6 <= sides.count(0) / len(sides) <= 0.95
    medians = [question.told.wait(50) for question in found]
    assert len(set(medians)) > 5
