"""A journal retold as a run, and its outside world lived through again."""

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from iris.config import load_cluster
from iris.core.controller import Controller
from iris.core.events import CreateFailure
from iris.core.instant import HOUR, MINUTE, SECOND, Instant, Millis
from iris.core.lifecycle import JobState
from iris.core.record import Turn
from iris.core.retry import EndCause
from iris.core.snapshot import Snapshot, snapshot
from iris.core.spec import ClusterSpec, RetentionPolicy
from iris.problems import BadInput
from sim.chronicle import Chronicle, read_chronicle
from sim.courses import Courses
from sim.measure import Measures
from sim.outside import Outside, outside_of, under
from sim.recorded import measures_of
from sim.recorded_config import changed, document_of
from sim.recorded_model import LossKind, OwnEnd
from sim.results import summarize
from sim.resumed import live_again
from sim.run import simulate
from sim.scenario import load_scenario
from sim.what_if import fidelity
from tests.harness import Script, cluster, cpu_group, tpu_group
from tests.sim.journals import lived
from tests.sim.watch import scenario_of
from tests.tidy.tree import ROOT

EVENTFUL: Final[dict[str, object]] = {
    "seed": 3,
    "cluster": {
        "scale_groups": {
            "tpu": {
                "accelerator_type": "v5litepod-16",
                "max_slices": 5,
                "preemptible": True,
                "zones": ["zone-a", "zone-b"],
                "price_per_hour": 9.6,
            },
            "cpu": {"accelerator_type": "cpu", "vm": {"cpu": 8}, "min_slices": 1, "max_slices": 4},
        }
    },
    "cloud": {
        "boot": {"lognormal": {"median": "150s", "sigma": 0.5}},
        "lifetime": {"exponential": {"mean": "3h"}},
        "notice": "30s",
        "scarcity": {"exponential": {"mean": "10m"}},
        "capacity": {"zone-a": [["0s", 3], ["4h", 1], ["6h", 3]], "zone-b": [["0s", 1]]},
        "verdict": "20s",
    },
    "workload": [
        {
            "name": "train",
            "arrivals": {"poisson": {"rate": "4/h"}},
            "count": 16,
            "replicas": 4,
            "coscheduled": True,
            "resources": {"cpu": 8, "tpu": "v5litepod-16"},
            "run_time": {"lognormal": {"median": "40m", "sigma": 0.6}},
            "checkpoint": {"every": "10m"},
            "launch": {"uniform": {"min": "5s", "max": "40s"}},
            "failures": {"probability": 0.2},
            "max_retries_failure": 3,
        },
        {
            "name": "urgent",
            "band": "production",
            "arrivals": {"poisson": {"rate": "1/h"}},
            "count": 4,
            "replicas": 4,
            "coscheduled": True,
            "resources": {"cpu": 8, "tpu": "v5litepod-16"},
            "run_time": "20m",
        },
        {
            "name": "etl",
            "arrivals": {"poisson": {"rate": "12/h"}},
            "count": 60,
            "replicas": 2,
            "resources": {"cpu": 3, "memory": "2GB"},
            "run_time": {"exponential": {"mean": "15m"}},
            "failures": {"probability": 0.1, "out_of_memory": 0.5},
            "max_retries_failure": 1,
        },
    ],
    "faults": [
        {"at": "90m", "kind": "kill_worker", "group": "cpu", "slice": "any"},
        {"at": "2h", "kind": "silence_worker", "group": "cpu", "slice": "any", "for": "40s"},
        {"at": "2h30m", "kind": "stall_controller", "for": "50s"},
        {"at": "3h", "kind": "zone_outage", "zone": "zone-a", "for": "5m"},
        {"at": "3h20m", "kind": "stop_job"},
        {"at": "4h", "kind": "edit_config", "set": {"scale_groups.cpu.max_slices": 3}},
    ],
}


@pytest.fixture(scope="module")
def eventful(tmp_path_factory: pytest.TempPathFactory) -> tuple[Measures, list[Turn]]:
    """A run in which much befalls a cluster: what really was, and the journal of it."""
    return lived(scenario_of(tmp_path_factory.mktemp("eventful"), EVENTFUL))


def chronicle_of(turns: list[Turn], image: Snapshot | None = None) -> Chronicle:
    chronicle = read_chronicle(turns, image)
    assert chronicle is not None
    return chronicle


def ends(measures: Measures) -> dict[str, tuple[object, ...]]:
    """What became of each job, and when it first ran."""
    return {name: (job.first_running, job.end, job.state) for name, job in measures.jobs.items()}


def outcomes(measures: Measures) -> dict[str, int]:
    """How many slices came to each end; one with a dead host is lost to some and deleted to others."""
    found: dict[str, int] = {}
    for row in measures.slices.values():
        end = "failed or deleted" if row.outcome in ("failed", "deleted") else row.outcome
        found[end] = found.get(end, 0) + 1
    return found


def split(turns: list[Turn], part: float) -> tuple[Snapshot, list[Turn]]:
    """A snapshot so far into the turns, and those behind it."""
    copy = Controller()
    number = int(len(turns) * part)
    for turn in turns[:number]:
        copy.replay(turn)
    return snapshot(copy.state), turns[number:]


# ---- what happened ---------------------------------------------------------------------------------


def test_what_is_retold_is_what_was(eventful: tuple[Measures, list[Turn]]) -> None:
    truth, turns = eventful
    told = measures_of(chronicle_of(turns), "told")
    assert ends(told) == ends(truth)
    assert {state for *_, state in ends(told).values()} > {JobState.SUCCEEDED, JobState.KILLED}
    assert outcomes(told) == outcomes(truth)
    assert {"preempted", "failed or deleted", "stockout"} <= set(outcomes(told))
    real, results = summarize(truth, ()), summarize(told, ())
    same = ("jobs", "attempts", "queue_wait_s", "completion_s", "makespan_s", "turns", "events")
    assert {key: results[key] for key in same} == {key: real[key] for key in same}
    assert results["explanations"] == real["explanations"]
    invariants = results["invariants"]
    assert isinstance(invariants, dict)
    assert invariants["violations"] == []  # The ledger adds up, too.
    assert len(told.samples) > 1_000
    assert max(one.pending_tasks for one in told.samples) > 4


def test_a_record_from_a_snapshot_on_tells_what_was_since(
    eventful: tuple[Measures, list[Turn]],
) -> None:
    truth, turns = eventful
    image, rest = split(turns, 0.5)
    told = measures_of(chronicle_of(rest, image), "told")
    later = {n: row for n, row in truth.jobs.items() if row.end is None or row.end > image.now}
    assert set(told.jobs) == set(later)
    assert any(row.submit == 0 for row in told.jobs.values())
    for name, row in told.jobs.items():
        assert row.submit == max(0, later[name].submit - image.now)
        assert row.end == Instant((later[name].end or 0) - image.now)
    assert summarize(told, ())["invariants"] != {}
    assert told.violations == []


def test_a_name_that_is_used_again_is_two_jobs() -> None:
    script = cluster(cpu_group(min_slices=1))
    script.ready("cpu")
    for _ in range(2):
        job = script.submit("again")
        script.advance(SECOND).running(job).advance(MINUTE).finish(job)
        script.config(cpu_group(min_slices=1), retention=RetentionPolicy(ended_jobs=0))
        script.advance(2 * HOUR)
    told = measures_of(chronicle_of(script.journal), "told")
    assert list(told.jobs) == ["/alice/again", "/alice/again.2"]
    assert [row.state for row in told.jobs.values()] == [JobState.SUCCEEDED] * 2


# ---- the same again --------------------------------------------------------------------------------


def test_under_its_own_configuration_the_record_happens_again(
    eventful: tuple[Measures, list[Turn]],
) -> None:
    _, turns = eventful
    chronicle = chronicle_of(turns)
    told = measures_of(chronicle, "told")
    outside = outside_of(chronicle, "again")
    again = live_again(outside, outside.scenario)
    assert ends(again) == ends(told)
    assert outcomes(again) == outcomes(told)
    closeness = fidelity(told, again)
    assert (closeness["jobs"], closeness["same_end"]) == (80, 80)
    kinds = {one.kind for one in outside.scenario.happenings if hasattr(one, "kind")}
    assert kinds == {LossKind.PREEMPTED, LossKind.HOST_DEAD, LossKind.HOST_SILENT, LossKind.VANISHED}


@pytest.mark.parametrize("part", [0.2, 0.5, 0.8])
def test_a_record_from_a_snapshot_on_happens_again(
    eventful: tuple[Measures, list[Turn]], part: float
) -> None:
    image, rest = split(eventful[1], part)
    chronicle = chronicle_of(rest, image)
    told = measures_of(chronicle, "told")
    outside = outside_of(chronicle, "again")
    again = live_again(outside, outside.scenario)
    assert len(outside.carried) > 2
    differ = [name for name, end in ends(told).items() if ends(again)[name] != end]
    assert differ == []
