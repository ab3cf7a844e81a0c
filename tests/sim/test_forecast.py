"""Forecasts of worlds in which the answer is known, and of some in which only its bounds are."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from iris.core.ids import (
    JobId,
)
from iris.core.instant import DAY, HOUR, MINUTE, Instant, Millis
from iris.core.state import ClusterState
from sim.forecast import Forecast, Question, forecast
from tests.harness import cpu_group, fleet
from tests.sim.forecasts import QUEUE, study
from tests.sim.one_host import ONE_HOST, WORK, state_at
from tests.sim.watch import scenario_of
from tests.tidy.tree import ROOT


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


def test_a_gang_waits_for_the_last_of_those_on_its_slice() -> None:
    script = fleet(cpu_group(hosts=4, min_slices=1, max_slices=1))
    for number in range(20):
        past = script.submit(f"past-{number}", cpu=4)
        script.running(past).advance(HOUR)
        script.finish(past)
    names = [script.submit(f"now-{number}", cpu=4) for number in range(4)]
    for place in (1, 3, 0, 2):
        script.running(names[place]).advance(MINUTE)
    gang = script.submit("gang", cpu=4, replicas=4, gang=True)
    told = asked(script.controller.state, gang, script.now, futures=6)
    assert told.causes[0][0] == f"the end of {names[2]}"


def test_urgent_work_that_is_still_to_come_is_waited_for(tmp_path: Path) -> None:
    urgent = {**WORK, "name": "urgent", "band": "production", "run_time": "50m"}
    sections = {
        "cluster": {"scale_groups": ONE_HOST},
        "workload": [
            {**urgent, "arrivals": {"poisson": {"rate": "1/h"}}, "count": 60},
            {**WORK, "name": "patient", "band": "batch", "arrivals": {"at": ["20h"]}},
        ],
    }
    at = Instant(20 * HOUR + MINUTE)
    told = asked(state_at(tmp_path, at, sections), "/user/patient-0", at, futures=20)
    causes = dict(told.causes)
    assert 0 < causes.pop("the end of a job that is still to come") < 20
    assert not any("to-come" in cause for cause in causes)


def test_most_truths_of_a_queue_lie_in_the_range_that_was_told(tmp_path: Path) -> None:
    found = study(scenario_of(tmp_path, QUEUE, seed=1), count=8, jobs=2, futures=10)
    sides = [question.side for question in found]
    assert len(sides) >= 10
    # Eight in ten are expected of many; so few hang together, as they see the same queue.
    assert 0.6 <= sides.count(0) / len(sides) <= 0.95
    medians = [question.told.wait(50) for question in found]
    assert len(set(medians)) > 5
