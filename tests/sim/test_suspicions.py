"""What a scenario says that can have no effect is told, and nothing else is."""

from pathlib import Path

import pytest

from sim.scenario import load_scenario
from sim.suspicions import suspicions

SCENARIO = """\
duration: 1h
cluster:
  scale_groups:
    cpu: {{accelerator_type: cpu, vm: {{cpu: 4, memory: 8GB}}, max_slices: 2, preemptible: {preemptible}}}
cloud: {{{cloud}}}
workload:
  - name: step
    arrivals: {{at: [{at}]}}
    resources: {{cpu: 1, memory: 1GB}}
    run_time: {{constant: 1m}}
  - {{name: old, trace: {{file: old.swf, format: swf}}}}
"""
WHOLE, UNKNOWN = "1 0 -1 5 4 -1 -1 -1", "2 0 -1 -1 4 -1 -1 -1"


def told(
    folder: Path, *rows: str, cloud: str = "", preemptible: str = "false", at: str = "0s"
) -> list[str]:
    """The warnings of a scenario."""
    (folder / "old.swf").write_text("\n".join((WHOLE, *rows)) + "\n")
    path = folder / "scenario.yaml"
    path.write_text(SCENARIO.format(cloud=cloud, preemptible=preemptible, at=at))
    return list(suspicions(load_scenario(path)))


def test_a_scenario_that_means_what_it_says_is_not_warned_of(tmp_path: Path) -> None:
    lives = "lifetime: {exponential: {mean: 2h}}, notice: 30s"
    assert told(tmp_path, cloud=lives, preemptible="true", at="0s, 59m") == []


def test_preemption_needs_something_preemptible(tmp_path: Path) -> None:
    assert told(tmp_path, cloud="notice: 30s") == [
        "cloud.notice has no effect: no scale group is `preemptible: true`"
    ]
    many = "lifetime: {constant: 2h}, lifetime_max: 24h, zone_lifetime: {default: {constant: 1h}}"
    (sentence,) = told(tmp_path, cloud=many)
    keys, _, rest = sentence.partition(" have ")
    assert keys == "cloud.lifetime, cloud.lifetime_max, cloud.zone_lifetime"
    assert rest.startswith("no effect")


@pytest.mark.parametrize(("count", "said"), [(1, "1 row was"), (3, "3 rows were")])
def test_rows_that_were_left_out_are_counted(tmp_path: Path, count: int, said: str) -> None:
    (sentence,) = told(tmp_path, *[UNKNOWN] * count)
    assert f"old.swf: {said} left out" in sentence


@pytest.mark.parametrize(("at", "said"), [("0s, 1h", "1 job comes"), ("5d, 6d", "2 jobs come")])
def test_arrivals_behind_the_end_are_told(tmp_path: Path, at: str, said: str) -> None:
    assert told(tmp_path, at=at) == [
        f"workload entry `step`: {said} after the duration, 1h, and will not be simulated"
    ]
