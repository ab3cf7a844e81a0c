"""A trace entry says what its rows mean, and a wrong file or row is told where it stands."""

from itertools import islice
from pathlib import Path

import pytest

from iris.problems import BadInput
from sim.dice import Dice
from sim.model import Scenario, Trace, TraceUnit
from sim.scenario import load_scenario
from sim.workload import arrivals, total_jobs_known
from tests.sim.real_traces import real_trace
from tests.sim.scenario_texts import Desk, bent, entry

TPU_ONLY = {
    "scale_groups": {"tpu": {"accelerator_type": "v5litepod-16", "max_slices": 2}},
}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def traced(**keys: object) -> list[object]:
    """A workload of one trace entry."""
    return entry(**{"arrivals": None, "count": None, "run_time": None, **keys})


def trace_of(scenario: Scenario) -> Trace:
    trace = scenario.workload[0].trace
    assert trace is not None
    return trace


@pytest.mark.parametrize(
    ("header", "keys", "unit"),
    [
        ("cpu", {}, TraceUnit.CPU),
        ("gpus", {}, TraceUnit.GPU),
        ("replicas", {}, TraceUnit.REPLICAS),
        ("cpu,gpus", {}, TraceUnit.CPU),
        ("cpu,gpus", {"as": "gpu"}, TraceUnit.GPU),
        ("num_gpus", {"columns": {"gpus": "num_gpus"}}, TraceUnit.GPU),
        ("num_gpus", {"columns": {"gpus": "num_gpus"}, "as": "gpu"}, TraceUnit.GPU),
        ("num_gpus", {"columns": {"gpus": "num_gpus"}, "as": "replicas"}, TraceUnit.REPLICAS),
        ("gpus", {"as": "cpu"}, TraceUnit.CPU),
        ("n", {"columns": {"replicas": "n"}}, TraceUnit.REPLICAS),
    ],
)
def test_the_entry_or_else_the_column_says_what_a_number_means(
    desk: Desk, header: str, keys: dict[str, object], unit: TraceUnit
) -> None:
    desk.put("jobs.csv", f"submit_s,duration_s,{header}\n0,60,2{',3' if ',' in header else ''}\n")
    scenario = desk.small(workload=traced(trace={"file": "jobs.csv"}, **keys))
    assert trace_of(scenario).unit is unit
    (job,) = arrivals(scenario, Dice(0))
    amounts = (job.template.cpu_milli, job.template.chips, job.template.replicas)
    wide = 3 if header == "cpu,gpus" and unit is TraceUnit.GPU else 2
    assert (
        amounts
        == {
            TraceUnit.CPU: (2_000, 0, 1),
            TraceUnit.GPU: (1, wide, 1),
            TraceUnit.REPLICAS: (1_000, 0, 2),
        }[unit]
    )


def test_a_cluster_without_gpus_takes_a_column_of_gpus_as_cpus(desk: Desk) -> None:
    desk.put("jobs.csv", "submit_s,duration_s,gpus\n0,60,2\n")
    scenario = desk.small(cluster=TPU_ONLY, workload=traced(trace="jobs.csv"))
    assert trace_of(scenario).unit is TraceUnit.CPU


def test_the_rows_of_a_trace_need_next_to_no_memory_unless_the_entry_says(desk: Desk) -> None:
    desk.put("jobs.swf", "1 0 -1 60 128 -1 -1 -1\n")
    template = desk.small(workload=traced(trace="jobs.swf")).workload[0].template
    assert 128 * template.memory < 10**9
    said = desk.small(workload=traced(trace="jobs.swf", resources={"memory": "2GB"}))
    assert said.workload[0].template.memory == 2 * 10**9


def test_the_only_gpu_of_the_cluster_is_meant_and_its_machine_bounds_a_task(desk: Desk) -> None:
    desk.put("jobs.csv", "submit_s,duration_s,gpus\n0,60,12\n")
    keys = {"trace": "jobs.csv", "as": "gpu"}
    scenario = desk.small(workload=traced(**keys))
    assert scenario.workload[0].template.accelerator == "V100"
    assert trace_of(scenario).gpus_per_task == 8
    four = desk.small(workload=traced(**keys, gpus_per_task=4))
    assert [job.template.replicas for job in arrivals(four, Dice(0))] == [3]
    named = desk.small(workload=traced(**keys, resources={"gpu": "a100:2"}))
    assert named.workload[0].template.accelerator == "A100"
    assert trace_of(named).gpus_per_task == 2


def test_units_and_columns_may_stand_in_the_trace_as_well(desk: Desk) -> None:
    desk.put("jobs.csv", "submit_s,duration_s,n,who\n0,60,9,bob\n")
    inside = {"file": "jobs.csv", "as": "gpu", "columns": {"gpus": "n", "user": "who"}}
    scenario = desk.small(workload=traced(trace={**inside, "gpus_per_task": 3, "limit": 1}))
    (job,) = arrivals(scenario, Dice(0))
    assert (job.user, job.template.replicas, job.template.chips) == ("bob", 3, 3)


@pytest.mark.parametrize(
    ("keys", "key", "reason"),
    [
        ({"trace": "none.swf"}, "workload.0.trace.file", "no such file"),
        ({"trace": "jobs.txt"}, "workload.0.trace", "format: swf"),
        ({"trace": {"file": "jobs.csv", "fromat": "csv"}}, "workload.0.trace.fromat", "`format`"),
        ({"trace": {"file": "jobs.csv", "time_scale": 0}}, "workload.0.trace.time_scale", "0"),
        ({"trace": "jobs.csv", "run_time": "1h"}, "workload.0.run_time", "the trace says"),
        ({"trace": "jobs.csv", "replicas": 2}, "workload.0.replicas", "rows of the trace"),
        ({"trace": "jobs.csv", "as": "none"}, "workload.0.as", "replicas"),
        ({"trace": "jobs.csv", "columns": {"gpu": "x"}}, "workload.0.columns.gpu", "`gpus`"),
        ({"trace": {"file": "jobs.csv", "as": "cpu"}, "as": "cpu"}, "workload.0.as", "keep one"),
        (
            {"trace": "jobs.csv", "resources": {"cpu": 2}},
            "workload.0.resources.cpu",
            "as: replicas",
        ),
        (
            {"trace": "jobs.csv", "as": "gpu", "resources": {"tpu": "v5litepod-16"}},
            "workload.0.resources.tpu",
            "gpu: TYPE",
        ),
        ({"trace": "jobs.swf", "columns": {"cpu": "x"}}, "workload.0.trace", "fixed columns"),
        (
            {
                "trace": "jobs.csv",
                "as": "replicas",
                "coscheduled": True,
                "resources": {"tpu": "v5litepod-16"},
            },
            "workload.0.coscheduled",
            "a gang of 2",
        ),
    ],
)
def test_a_wrong_trace_entry_is_refused_at_its_key(
    desk: Desk, keys: dict[str, object], key: str, reason: str
) -> None:
    for name in ("jobs.txt", "jobs.csv"):
        desk.put(name, "submit_s,duration_s,cpu\n0,60,2\n")
    desk.put("jobs.swf", "1 0 -1 60 4 -1 -1 -1\n")
    problem = desk.refused_small(workload=traced(**keys))
    assert problem.path == key
    assert reason in f"{problem.message}; {problem.help}"
    assert problem.line > 0


def test_gpus_of_a_cluster_without_any_must_be_named(desk: Desk) -> None:
    desk.put("jobs.csv", "submit_s,duration_s,gpus\n0,60,2\n")
    wanted = traced(trace="jobs.csv", **{"as": "gpu"})
    problem = desk.refused_small(cluster=TPU_ONLY, workload=wanted)
    assert problem.path == "workload.0.resources"
    assert "gpu: TYPE" in problem.help


def test_wrong_rows_are_told_in_the_trace_with_their_lines(desk: Desk) -> None:
    path = desk.put("jobs.csv", "submit_s,duration_s,cpu\n0,60,2\n1,60,0\n2,-60,1\n")
    problems = desk.refused(bent(workload=traced(trace="jobs.csv")))
    assert [(one.file, one.line, one.source_line) for one in problems] == [
        (str(path), 3, "1,60,0"), (str(path), 4, "2,-60,1"),
    ]  # fmt: skip
    assert "0 processors" in problems[0].message
    assert "`workload.0.trace.file`" in problems[0].message


def test_a_wrong_row_of_a_capacity_trace_is_told_at_its_line(desk: Desk) -> None:
    path = desk.put("zone.csv", "t_s,capacity\n0,4\n9,-4\n")
    problem = desk.refused_small(cloud={"capacity": {"zone-a": {"trace": "zone.csv"}}})
    assert (problem.file, problem.line) == (str(path), 3)


def test_a_missing_column_is_told_with_those_that_there_are(desk: Desk) -> None:
    desk.put("jobs.csv", "submit,duration_s,cpu\n0,60,2\n")
    problem = desk.refused_small(workload=traced(trace="jobs.csv"))
    assert "no column `submit_s`, only submit, duration_s, cpu" in problem.message
    assert problem.line == 1


def test_the_philly_trace_loads_as_tasks_of_at_most_eight_gpus(desk: Desk) -> None:
    file = real_trace("jobs/philly_82k.csv.gz")
    scenario = desk.small(
        workload=traced(
            trace={"file": str(file), "format": "csv"},
            columns={"gpus": "num_gpus", "user": "vc"},
            **{"as": "gpu"},
        )
    )
    assert total_jobs_known(scenario) == 82_247
    shapes: dict[tuple[int, int], int] = {}
    for job in arrivals(scenario, Dice(0)):
        shape = (job.template.replicas, job.template.chips)
        shapes[shape] = shapes.get(shape, 0) + 1
    assert shapes == {
        (1, 1): 76_627, (1, 2): 1_818, (1, 4): 1_870, (1, 8): 1_643, (2, 8): 7 + 199,
        (3, 8): 7, (4, 8): 67, (8, 8): 6, (16, 8): 3,
    }  # fmt: skip


def test_the_nasa_log_is_one_task_of_cpus_for_each_row(desk: Desk) -> None:
    file = real_trace("jobs/NASA-iPSC-1993-3.1-cln.swf.gz")
    scenario = desk.small(workload=traced(trace=str(file)))
    first, second = islice(arrivals(scenario, Dice(0)), 2)
    assert (first.at, first.run_time, first.template.cpu_milli) == (0, 1_451_000, 128_000)
    assert (second.at, second.number, second.user) == (1_460_000, 1, "user1")


def test_a_trace_is_checked_when_the_scenario_is_loaded(desk: Desk) -> None:
    desk.put("jobs.swf", "")
    path = desk.put("s.yaml", bent(workload=traced(trace="jobs.swf")))
    with pytest.raises(BadInput, match="has no jobs"):
        load_scenario(path)
