"""`iris sim compare` as a user meets it."""

import json
from pathlib import Path

import pytest

from iris.cli.main import main
from iris.exit_status import ExitStatus
from tests.cli.test_sim_command import SHORT


@pytest.fixture
def short(tmp_path: Path) -> Path:
    path = tmp_path / "short.yaml"
    path.write_text(SHORT)
    return path


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    status = main(["sim", "compare", *map(str, words)])
    out, err = capsys.readouterr()
    return status, out, err


def test_two_settings_of_one_file_are_compared_and_named(
    short: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change = "cluster.scale_groups.cpu.max_slices=1"
    status, out, err = run(capsys, short, short, "--set-b", change, "--replications", 3)
    assert (status, err) == (ExitStatus.DONE, "")
    assert out.splitlines()[0].split() == ["A", "B", "B", "-", "A", "95%", "from", "to"]
    end = ["A: short", f"B: short --set {change}", "3 pairs of runs, seeds 3 to 5"]
    assert out.splitlines()[-3:] == end


def test_the_number_of_processes_changes_no_byte_and_the_seed_is_that_of_both(
    short: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (short, short, "--set", "workload.0.count=5", "--json")
    told = []
    for jobs in (1, 2):
        status, out, _ = run(capsys, *words, "--replications", 2, "--seed", 40, "--jobs", jobs)
        assert status == ExitStatus.DONE
        found = json.loads(out)
        for side in ("a", "b"):
            del found[side]["wall_s"]
            assert found[side]["seed"]["values"] == [40, 41]
            assert found[side]["jobs"]["submitted"]["mean"] == 5
        told.append(json.dumps(found))
    assert told[0] == told[1]
    assert all(not one["distinct"] for one in json.loads(told[0])["figures"].values())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no.yaml", "no.yaml"], "no.yaml"),
        (["a.yaml"], "missing argument 'B'"),
        (["a.yaml", "b.yaml", "--set-b", "seed=9"], "say --seed instead of --set"),
        (["a.yaml", "b.yaml", "--replications", "1"], "1 is not in the range"),
    ],
)
def test_what_cannot_be_compared_is_one_error(
    capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    status, out, err = run(capsys, *words)
    assert (status, out) == (ExitStatus.BAD_INPUT, "")
    assert said in err
    assert "Traceback" not in err


def test_a_mistake_in_what_is_changed_names_the_side_of_it(
    short: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = run(capsys, short, short, "--set-b", "cluster.nothing=1")
    assert status == ExitStatus.BAD_INPUT
    assert "nothing" in err
