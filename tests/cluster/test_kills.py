"""A short campaign of kills; `python -m tests.cluster.kills` runs the long one."""

from pathlib import Path

from tests.cluster.kills import run


def test_kills_of_controllers_and_workers_lose_nothing_and_run_nothing_twice(
    tmp_path: Path,
) -> None:
    found = run(tmp_path, controllers=8, workers=4, seed=2)
    assert found.faults == []
    assert len(found.recoveries) == 8
    assert len(found.expected) >= 12
