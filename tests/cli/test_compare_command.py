"""`iris sim compare` as a user meets it."""

import html
import json
import shlex
from pathlib import Path

import pytest

from iris.cli.main import main
from iris.exit_status import ExitStatus
from sim.compare_export import verdict
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
    words = (short, short, "--set-b", change, "--replications", 3, "--jobs", 1)
    status, out, err = run(capsys, *words)
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


def test_out_writes_the_comparison_and_a_page_that_says_what_got_better(
    short: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [short, short, "--set-b", "cluster.scale_groups.cpu.max_slices=1"]
    words += ["--set", "workload.0.arrivals.poisson.rate=900/h", "--replications", 3, "--jobs", 1]
    status, out, _ = run(capsys, *words, "--out", tmp_path / "out")
    assert status == ExitStatus.DONE
    assert out.splitlines()[-1] == f"report: {tmp_path / 'out' / 'report.html'}"
    found = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert found["figures"]["queue_wait_s.mean"]["distinct"] is True
    page = (tmp_path / "out" / "report.html").read_text()
    assert '<span class="false">worse</span>' in page
    assert '<span class="faint">no difference shown</span>' in page
    assert 'id="chart-waits"' in page
    assert 'id="chart-completions"' in page
    repeat = page.partition("repeat it with <code>")[2].partition("</code>")[0]
    again = shlex.split(html.unescape(repeat))
    status, out, _ = run(capsys, *again[3:], "--json", "--jobs", 1)
    for side in (json_found := json.loads(out), found):
        for word in ("a", "b"):
            del side[word]["wall_s"]
    assert json_found == found


def test_more_is_better_of_good_things_only() -> None:
    assert verdict(("jobs", "succeeded"), 1.0, distinct=True) == "better"
    assert verdict(("work", "goodput_fraction"), -1.0, distinct=True) == "worse"
    assert verdict(("cost_usd",), -1.0, distinct=True) == "better"
    assert verdict(("cost_usd",), 1.0, distinct=False) == "no difference shown"
