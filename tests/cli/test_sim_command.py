"""`iris sim` as a user meets it: what it prints where, its status, and what Ctrl-C leaves."""

import json
import os
import pty
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import pytest

from iris.cli.main import main
from iris.cli.progress import Progress
from iris.cli.sim import EXAMPLES, sim, status_of
from iris.exit_status import ExitStatus
from sim.export import FILES
from sim.results import summarize
from tests.sim.example_run import example
from tests.sim.example_study import example_scenario

CLUSTER = """\
cluster:
  scale_groups:
    cpu: {accelerator_type: cpu, vm: {cpu: 4, memory: 8GB}, max_slices: 2, zones: [a]}
"""
SHORT = f"""\
name: short
seed: 3
{CLUSTER}
workload:
  - name: step
    arrivals: {{poisson: {{rate: 20/h}}}}
    count: 30
    resources: {{cpu: 1, memory: 1GB}}
    run_time: {{lognormal: {{median: 5m, sigma: 0.5}}}}
expect:
  - jobs.succeeded == jobs.submitted
"""
ENDLESS = f"""\
name: endless
duration: 3000d
{CLUSTER}
workload:
  - name: drip
    arrivals: {{every: 1m}}
    resources: {{cpu: 1, memory: 1GB}}
    run_time: {{constant: 2m}}
"""
RUN = "import sys; from iris.cli.main import main; sys.exit(main())"
AT_ONCE = f"import iris.cli.progress; iris.cli.progress.SHOWN_AFTER_S = 0.0; {RUN}"
"""Whoever shows how far it is does so from the start."""


@pytest.fixture
def short(tmp_path: Path) -> Path:
    path = tmp_path / "short.yaml"
    path.write_text(SHORT)
    return path


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    path = tmp_path / "endless.yaml"
    path.write_text(ENDLESS)
    return path


def start(words: Sequence[str], *, stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
    """`iris` in a process of its own, which has progress to show however short it is."""
    return subprocess.Popen(
        [sys.executable, "-c", AT_ONCE, *words],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "200"},
    )


def results_of(text: str) -> dict[str, object]:
    found: object = json.loads(text)
    assert isinstance(found, dict)
    return found


def test_json_is_the_result_on_stdout_and_nothing_else(
    short: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sim", str(short), "--json"]) == ExitStatus.DONE
    told = capsys.readouterr()
    results = results_of(told.out)
    assert (results["scenario"], results["seed"], results["partial"]) == ("short", 3, False)
    assert told.err == ""


def test_without_json_it_prints_a_summary(short: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", str(short)]) == ExitStatus.DONE
    told = capsys.readouterr()
    lines = told.out.splitlines()
    assert lines[0] == "jobs        30 submitted: 30 succeeded"
    assert any(line.startswith("holds  jobs.succeeded == jobs.submitted") for line in lines)
    assert lines[-1].startswith("short: seed 3, ")
    assert told.err == ""


def test_a_false_expectation_is_status_8_and_still_prints_the_result(
    short: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short.write_text(SHORT + "  - jobs.failed == 7\n")
    assert main(["sim", str(short), "--json"]) == ExitStatus.EXPECTATION_FALSE
    verdicts = results_of(capsys.readouterr().out)["expect"]
    assert isinstance(verdicts, list)
    assert verdicts[1] == {"expr": "jobs.failed == 7", "holds": False, "left": 0, "right": 7}


def test_a_violated_invariant_is_status_9_and_outweighs_a_false_expectation() -> None:
    scenario = example_scenario("jobs.unfinished == 0")
    measures = example()
    assert status_of(summarize(measures, scenario.expect)) == ExitStatus.EXPECTATION_FALSE
    measures.invariants_violated = 1
    assert status_of(summarize(measures, scenario.expect)) == ExitStatus.INVARIANT_VIOLATED
    assert status_of(summarize(measures, ())) == ExitStatus.INVARIANT_VIOLATED


def test_seed_and_set_change_the_run(short: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sim", str(short), "--json", "--seed", "9", "--set", "workload.step.count=4"]
    assert main(words) == ExitStatus.DONE
    results = results_of(capsys.readouterr().out)
    assert results["seed"] == 9
    jobs = results["jobs"]
    assert isinstance(jobs, dict)
    assert jobs["submitted"] == 4


def test_a_wrong_scenario_is_status_2_with_its_line(
    short: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short.write_text(SHORT.replace("seed: 3", "sede: 3"))
    assert main(["sim", str(short)]) == ExitStatus.BAD_INPUT
    told = capsys.readouterr()
    assert told.out == ""
    assert "short.yaml:2:1" in told.err
    assert "`seed`" in told.err


def test_with_json_an_error_is_an_object_on_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sim", str(tmp_path / "missing.yaml"), "--json"]) == ExitStatus.BAD_INPUT
    told = capsys.readouterr()
    assert told.out == ""
    assert "missing.yaml" in str(results_of(told.err)["error"])


@pytest.mark.parametrize(
    "words",
    [
        ["--replications", "0"],
        ["--jobs", "none"],
        ["--seed", "-1"],
        ["--seed", "seven"],
        ["--set"],
        ["--outt", "x"],
        ["another.yaml"],
    ],
)
def test_wrong_usage_is_status_2(
    short: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sim", str(short), *words]) == ExitStatus.BAD_INPUT
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("error: ")


def test_out_writes_the_files_and_says_where_the_report_is(
    short: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out"
    assert main(["sim", str(short), "--out", str(folder)]) == ExitStatus.DONE
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert capsys.readouterr().out.splitlines()[-1] == f"report: {folder / 'report.html'}"
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert f"iris sim {shlex.quote(str(short))} --seed 3" in page


def test_plots_are_the_charts_of_the_page_as_pictures(short: Path, tmp_path: Path) -> None:
    assert main(["sim", str(short), "--out", str(tmp_path), "--plots"]) == ExitStatus.DONE
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for picture in (tmp_path / "plots").iterdir():
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert f'id="chart-{picture.stem}"' in page
    assert len(list((tmp_path / "plots").iterdir())) == page.count('id="chart-') - 1


def test_plots_that_could_not_be_drawn_are_refused_before_anything_runs(
    short: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert main(["sim", str(short), "--plots"]) == ExitStatus.BAD_INPUT
    assert "--plots goes with --out DIR" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "altair", None)
    words = ["sim", str(short), "--plots", "--out", str(tmp_path / "out")]
    assert main(words) == ExitStatus.BAD_INPUT
    assert "pip install 'iris-orchestrator[report]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_place_of_the_folder_is_refused_before_anything_runs(
    short: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = short.read_text()
    assert main(["sim", str(short), "--out", str(short)]) == ExitStatus.BAD_INPUT
    assert capsys.readouterr().out == ""
    assert short.read_text() == before


def without_wall(results: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in results.items() if key != "wall_s"}


def test_an_empty_name_for_the_folder_is_refused(
    short: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(short.parent)
    assert main(["sim", str(short), "--out", ""]) == ExitStatus.BAD_INPUT
    assert "the folder's name is empty" in capsys.readouterr().err
    assert [path.name for path in short.parent.iterdir()] == ["short.yaml"]


def test_what_has_no_effect_is_told_on_stderr(
    short: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sim", str(short), "--json", "--set", "cloud.notice=30s"]) == ExitStatus.DONE
    captured = capsys.readouterr()
    assert captured.err.startswith("warning: cloud.notice has no effect")
    results_of(captured.out)


def test_a_name_of_two_lines_is_refused(short: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", str(short), "--set", 'name="a\\nb"']) == ExitStatus.BAD_INPUT
    assert "write it on one line" in capsys.readouterr().err


def test_an_interrupt_before_any_run_has_ended_says_that_there_is_nothing(
    short: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sim.study.run_study", lambda *_, **__: [])
    assert main(["sim", str(short), "--replications", "4"]) == ExitStatus.INTERRUPTED
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "there is no result" in captured.err


def test_an_interrupt_while_files_are_written_costs_no_result_and_is_told(
    short: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sim.export.write_outputs", interrupted)
    folder = short.parent / "out"
    assert main(["sim", str(short), "--json", "--out", str(folder)]) == ExitStatus.INTERRUPTED
    captured = capsys.readouterr()
    assert results_of(captured.out)["partial"] is False
    told = f"interrupted while {folder} was written: not all of its files are there"
    assert captured.err.splitlines()[-1] == told


def test_replications_are_the_same_in_one_process_and_in_two(
    short: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = []
    for jobs in ("1", "2"):
        words = ["sim", str(short), "--json", "--replications", "3", "--jobs", jobs]
        assert main(words) == ExitStatus.DONE
        seen.append(without_wall(results_of(capsys.readouterr().out)))
    assert seen[0] == seen[1]
    assert next(iter(seen[0])) == "replications"
    seeds = seen[0]["seed"]
    assert isinstance(seeds, dict)
    assert seeds["values"] == [3, 4, 5]


def test_two_hash_seeds_give_the_same_bytes_but_for_the_wall_time(short: Path) -> None:
    texts = []
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", RUN, "sim", str(short), "--json"],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        )
        lines = done.stdout.splitlines()
        texts.append([line for line in lines if not line.startswith('  "wall_s"')])
    assert texts[0] == texts[1]


def terminal_text_until(terminal: int, wanted: str) -> str:
    """What a terminal shows, up to the wanted words."""
    seen = ""
    while wanted not in seen:
        seen += os.read(terminal, 4096).decode(errors="replace")
    return seen


def test_progress_is_shown_on_a_terminal_and_ctrl_c_leaves_a_partial_result(
    endless: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    terminal, side = pty.openpty()
    process = start(["sim", str(endless), "--json", "--out", str(folder)], stderr=side)
    os.close(side)
    assert "times real time" in terminal_text_until(terminal, "jobs ended")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=120)
    os.close(terminal)
    assert process.returncode == ExitStatus.INTERRUPTED
    results = results_of(out)
    assert results["partial"] is True
    written = (folder / "summary.json").read_text(encoding="utf-8")
    assert results_of(written) == results
    assert "This run was interrupted" in (folder / "report.html").read_text(encoding="utf-8")


def test_in_a_pipe_there_is_no_progress(endless: Path) -> None:
    process = start(["sim", str(endless), "--set", "duration=6h"])
    out, err = process.communicate(timeout=300)
    assert process.returncode == ExitStatus.DONE, err
    assert err == ""
    assert "\x1b" not in out


@pytest.mark.parametrize("on_terminal", [True, False])
def test_what_is_said_beside_the_progress_stays_to_be_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, on_terminal: bool
) -> None:
    for name in ("SHOWN_AFTER_S", "SHOWN_EVERY_S", "SAID_EVERY_S"):
        monkeypatch.setattr(f"iris.cli.progress.{name}", 0.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: on_terminal)
    monkeypatch.setenv("TERM", "xterm")
    with Progress("worlds", None, 3) as progress:
        progress.ended(1)
        progress.say("seed 7: [wrong]")
        progress.ended(2)
    said = capsys.readouterr().err
    assert "seed 7: [wrong]\n" in said.replace("\r", "")
    assert ("worlds: 1 of 3 runs\n" in said) is not on_terminal
    assert "2 of 3 runs" in said


def test_every_example_of_the_help_is_a_command_line_that_parses() -> None:
    lines = [line.split() for line in EXAMPLES.splitlines() if line.startswith("  iris sim")]
    assert len(lines) >= 4
    for _, _, *words in lines:
        context = sim.make_context("sim", words)
        assert isinstance(context, click.Context)
        assert context.params["scenario"] == Path("scenario.yaml")


def test_the_help_has_examples_and_the_exit_status() -> None:
    help_text = sim.get_help(click.Context(sim, info_name="iris sim"))
    assert "iris sim scenario.yaml --replications 20 --jobs 4" in help_text
    assert "9 an invariant was" in help_text


def test_the_command_loads_the_simulator_only_when_it_runs() -> None:
    code = "import iris.cli.sim, sys; print([m for m in sys.modules if m.split('.')[0] in "
    code += "('sim', 'simpy', 'rich', 'pydantic', 'yaml', 'altair', 'multiprocessing')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
