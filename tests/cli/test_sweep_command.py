"""`iris sim sweep` as a user meets it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from iris.cli.main import main
from iris.exit_status import ExitStatus
from tests.cluster.running import until
from tests.sim.sweeping import ENDLESS, SHORT, traced


@pytest.fixture
def short(tmp_path: Path) -> Path:
    path = tmp_path / "short.yaml"
    path.write_text(SHORT)
    return path


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    status = main(["sim", "sweep", *map(str, words)])
    out, err = capsys.readouterr()
    return status, out, err


def test_a_sweep_is_a_line_for_each_point_and_says_how_to_read_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "altair", None)
    path, out = traced(tmp_path), tmp_path / "out"
    words = ("--set", "cloud.boot=1m,3m", "--set", "warm_up=0s", "--replications", 2)
    status, told, err = run(capsys, path, *words, "--jobs", 2, "--out", out)
    assert (status, err) == (ExitStatus.DONE, "")
    lines = told.splitlines()
    assert lines[0].split()[0] == "boot"
    assert [line.split()[:2] for line in lines[1:3]] == [["1", "1m"], ["2", "3m"]]
    assert "traced: 2 points, 2 seeds, 3 to 4; ±" in told
    assert lines[-1] == f"report: {out / 'report.html'}"
    summary = (out / "summary.json").read_text()
    again = run(capsys, path, *words, "--jobs", 1, "--json")
    assert again == (ExitStatus.DONE, summary, "")
    page = (out / "report.html").read_text()
    assert "iris sim sweep " in page
    assert "Plots need Iris to be installed with the extra" in page


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "missing option '--set'"),
        (["--set", "workload.step.count=5..1"], "`5..1` is an empty range"),
        (["--set", "workload.step.count=1.."], "`1..` is no range"),
        (["--set", "nothing=1,2"], "unknown key `nothing`"),
        (["--set", "workload.step.count=1,x"], "(at the point workload.step.count=x)"),
        (["--set", "k=1,2", "--memory", "1GB"], "--memory is for --executor iris, not process"),
        (["--set", "k=1,2", "--executor", "dask", "--jobs", "1"], "--jobs is for"),
        (["--set", "k=1,2", "--executor", "dask"], "no Dask scheduler is named"),
        (["--set", "workload.step.count=1,2", "--executor", "iris"], "no controller is named"),
    ],
)
def test_what_cannot_be_swept_is_one_error(
    short: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    said: str,
) -> None:
    for variable in ("DASK_SCHEDULER_ADDRESS", "IRIS_CONTROLLER_URL", "IRIS_CONFIG"):
        monkeypatch.delenv(variable, raising=False)
    status, out, err = run(capsys, short, *words)
    assert (status, out) == (ExitStatus.BAD_INPUT, "")
    assert said in err
    assert err.count("error: ") == 1


def test_without_the_extra_dask_is_refused_with_what_to_install(
    short: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://127.0.0.1:8786")
    words = ("--set", "workload.step.count=1,2", "--executor", "dask")
    status, out, err = run(capsys, short, *words)
    assert (status, out) == (ExitStatus.BAD_INPUT, "")
    assert "needs the package `distributed`" in err
    assert "pip install 'iris-orchestrator[dask]'" in err


def started(path: Path, *words: str) -> subprocess.Popen[str]:
    """A sweep of two points in a process of its own, which has begun to run them."""
    command = [sys.executable, "-c", "import sys; from iris.cli.main import main; sys.exit(main())"]
    command += ["sim", "sweep", str(path), "--jobs", "1", "--replications", "1", "--json", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: bool(spawned(process.pid)))
    return process


def spawned(pid: int) -> list[int]:
    """The processes in which a sweep computes."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [
        int(child)
        for child in children
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


def test_a_process_that_is_killed_loses_its_run_which_is_named_and_the_others_are_kept(
    tmp_path: Path,
) -> None:
    path = tmp_path / "endless.yaml"
    path.write_text(ENDLESS)
    with started(path, "--set", "workload.step.count=1000000000,2") as process:
        os.kill(spawned(process.pid)[0], signal.SIGKILL)
        out, err = process.communicate(timeout=60)
    assert process.returncode == ExitStatus.FAILED
    assert err == "1 run was lost: see above, or `lost` in the object\n"
    endless, short = json.loads(out)["points"]
    assert endless["set"] == {"workload.step.count": "1000000000"}
    assert endless["results"] is None
    assert "ended without an answer" in endless["lost"][0]["why"]
    assert short["results"]["jobs"]["succeeded"]["values"] == [2]


def test_an_interrupt_tells_what_has_ended_and_marks_it_as_partial(tmp_path: Path) -> None:
    path = tmp_path / "endless.yaml"
    path.write_text(ENDLESS)
    with started(path, "--set", "workload.step.count=1000000000,2") as process:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (ExitStatus.INTERRUPTED, "")
    whole = json.loads(out)
    assert whole["partial"] is True
    assert [one["results"] for one in whole["points"]] == [None, None]
