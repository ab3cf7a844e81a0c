"""The commands that call a controller, against a real one, as processes that a user starts."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from iris.exit_status import ExitStatus
from tests.cluster.running import RunningCluster, free_port, running, until

IRIS = [sys.executable, "-c", "import sys; from iris.cli.main import main; sys.exit(main())"]
TOKEN = "alices-long-enough-token"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    auth = {"tokens": {"alice": TOKEN, "bob": "bobs-long-enough-token"}, "admins": ["bob"]}
    yield from running(tmp_path_factory.mktemp("cli"), auth=auth)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[RunningCluster]:
    yield from running(tmp_path)


def environment(cluster: RunningCluster, token: str = TOKEN) -> dict[str, str]:
    own = {"IRIS_CONTROLLER_URL": cluster.url, "COLUMNS": "200", "XDG_CONFIG_HOME": "/nonexistent"}
    kept = {k: v for k, v in os.environ.items() if not k.startswith("IRIS_")}
    return {**kept, **own, **({"IRIS_TOKEN": token} if token else {})}


def iris(
    cluster: RunningCluster, *words: str, token: str = TOKEN
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*IRIS, *words],
        env=environment(cluster, token),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def one_error(done: subprocess.CompletedProcess[str], status: ExitStatus, *said: str) -> None:
    """One clear error with what to do, and nothing on stdout."""
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    assert sum(line.startswith("error:") for line in done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr
    for words in said:
        assert words in done.stderr


# ---- running ---------------------------------------------------------------------------------------


def test_run_prints_the_output_and_ends_as_the_job_does(cluster: RunningCluster) -> None:
    done = iris(cluster, "job", "run", "--name", "hello", "--", "echo", "hi")
    assert (done.returncode, done.stdout) == (0, "hi\n")
    assert "submitted /alice/hello" in done.stderr
    failed = iris(cluster, "job", "run", "--name", "exit3", "--", "sh", "-c", "exit 3")
    assert failed.returncode == ExitStatus.JOB_FAILED
    assert "attempt 0 ended: exit_nonzero, exit status 3; max_retries_failure is 0" in failed.stderr


def test_run_with_json_keeps_stdout_for_the_job(cluster: RunningCluster) -> None:
    done = iris(cluster, "job", "run", "--name", "as-json", "--json", "--", "echo", "hi")
    told = json.loads(done.stdout)
    assert (told["kind"], told["id"], told["state"]) == ("Job", "/alice/as-json", "succeeded")
    assert "hi\n" in done.stderr


def test_a_workspace_and_variables_go_along(cluster: RunningCluster, tmp_path: Path) -> None:
    (tmp_path / "said.txt").write_text("from the workspace\n")
    words = ["--workspace", str(tmp_path), "--env", "WORD=and a word"]
    done = iris(cluster, "job", "run", *words, "--", "sh", "-c", "cat said.txt; echo $WORD")
    assert done.stdout == "from the workspace\nand a word\n"


def test_ctrl_c_detaches_and_the_job_goes_on(cluster: RunningCluster) -> None:
    running_ = subprocess.Popen(
        [*IRIS, "job", "run", "--name", "goes-on", "--", "sh", "-c", "echo up; sleep 4; echo down"],
        env=environment(cluster),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running_.stdout is not None
    assert running_.stdout.readline() == "up\n"
    running_.send_signal(signal.SIGINT)
    _, err = running_.communicate(timeout=60)
    assert running_.returncode == ExitStatus.INTERRUPTED
    assert "detached; /alice/goes-on goes on" in err
    assert "Traceback" not in err
    assert iris(cluster, "job", "wait", "goes-on").returncode == 0
    assert iris(cluster, "job", "logs", "goes-on").stdout == "up\ndown\n"


def test_i_136_run_goes_on_following_while_the_controller_is_killed_and_comes_back(
    own: RunningCluster,
) -> None:
    following = subprocess.Popen(
        [*IRIS, "job", "run", "--name", "long", "--", "sh", "-c", "echo 1; sleep 5; echo 2"],
        env=environment(own, token=""),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert following.stdout is not None
    assert following.stdout.readline() == "1\n"
    own.kill()
    time.sleep(1)
    own.start()
    out, err = following.communicate(timeout=100)
    assert following.returncode == 0, err
    assert out == "2\n"
    assert "Traceback" not in err


# ---- looking ---------------------------------------------------------------------------------------


def test_lists_and_states_are_tables_or_json(cluster: RunningCluster) -> None:
    iris(cluster, "job", "run", "--name", "looked-at", "--", "true")
    table = iris(cluster, "job", "list").stdout.splitlines()
    assert table[0].split() == ["JOB", "STATE", "TASKS", "BAND", "AGE"]
    assert any(line.startswith("/alice/looked-at ") for line in table)
    kinds = {
        ("job", "list"): "JobList",
        ("job", "status", "looked-at"): "Job",
        ("job", "why", "looked-at"): "Explanation",
        ("task", "list", "/alice/looked-at"): "TaskList",
        ("worker", "list"): "WorkerList",
        ("cluster", "status"): "Cluster",
        ("cluster", "slice", "list"): "SliceList",
    }
    for words, kind in kinds.items():
        done = iris(cluster, *words, "--json")
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert (told["schema"], told["kind"]) == ("iris/v1", kind)


def test_a_name_or_the_beginning_of_a_path_is_enough_where_one_job_is_meant(
    cluster: RunningCluster,
) -> None:
    for name in ("twin-1", "twin-2"):
        iris(cluster, "job", "run", "--name", name, "--", "true")
    assert iris(cluster, "job", "status", "twin-1").stdout.startswith("/alice/twin-1 ")
    assert iris(cluster, "job", "status", "/alice/twin-2").returncode == 0
    one_error(
        iris(cluster, "job", "status", "/alice/twin"),
        ExitStatus.BAD_INPUT,
        "/alice/twin could be /alice/twin-1, /alice/twin-2",
    )


def test_watch_ends_with_the_job_and_shows_each_change(cluster: RunningCluster) -> None:
    iris(cluster, "job", "run", "--no-wait", "--name", "watched", "--", "sleep", "3")
    done = iris(cluster, "job", "status", "watched", "-w", "--json")
    states = [json.loads(line)["state"] for line in done.stdout.splitlines()]
    assert states[-1] == "succeeded"
    assert "running" in states


def test_watch_on_a_terminal_draws_the_picture_anew(cluster: RunningCluster) -> None:
    iris(cluster, "job", "run", "--no-wait", "--name", "drawn", "--", "sleep", "2")
    terminal, side = pty.openpty()
    process = subprocess.Popen(
        [*IRIS, "job", "status", "drawn", "--watch"],
        env={**environment(cluster), "TERM": "xterm"},
        stdout=side,
        stderr=side,
    )
    os.close(side)
    shown = b""
    while True:
        try:
            piece = os.read(terminal, 4096)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    assert process.wait(60) == 0
    os.close(terminal)
    assert shown.count(b"\x1b[2J") >= 2
    assert b"/alice/drawn  succeeded" in shown.rpartition(b"\x1b[2J")[2]


def test_watch_waits_for_a_controller_that_is_away(own: RunningCluster) -> None:
    iris(own, "job", "run", "--no-wait", "--name", "away", "--", "sleep", "4", token="")
    watching = subprocess.Popen(
        [*IRIS, "job", "status", "away", "-w", "--json"],
        env=environment(own, token=""),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert watching.stdout is not None
    assert json.loads(watching.stdout.readline())["id"].endswith("/away")
    own.kill()
    time.sleep(2)
    own.start()
    out, err = watching.communicate(timeout=100)
    assert watching.returncode == 0, err
    assert json.loads(out.splitlines()[-1])["state"] == "succeeded"
    assert err.count("waiting: ") <= 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_and_jobs(cluster: RunningCluster, shell: str) -> None:
    script = iris(cluster, "completion", shell)
    assert script.returncode == 0
    assert "_IRIS_COMPLETE" in script.stdout
    iris(cluster, "job", "run", "--name", "completed", "--", "true")
    asked = {
        "bash": {"COMP_WORDS": "iris job status /alice/compl", "COMP_CWORD": "3"},
        "zsh": {"COMP_WORDS": "iris job status /alice/compl", "COMP_CWORD": "3"},
        "fish": {"COMP_WORDS": "iris job status", "COMP_CWORD": "/alice/compl"},
    }[shell]
    done = subprocess.run(
        [sys.executable, "-c", "from iris.cli.main import main; main()"],
        env={**environment(cluster), **asked, "_IRIS_COMPLETE": f"{shell}_complete"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "/alice/completed" in done.stdout, done.stderr


# ---- what cannot be --------------------------------------------------------------------------------


def test_i_145_without_a_good_token_nothing_is_told(cluster: RunningCluster) -> None:
    for words in (("job", "run", "--", "true"), ("job", "list"), ("cluster", "status")):
        one_error(
            iris(cluster, *words, token=""),
            ExitStatus.NOT_PERMITTED,
            "this controller asks for a token, and none was shown",
            "help:  set IRIS_TOKEN",
        )
        one_error(
            iris(cluster, *words, token="a-wrong-token-of-some-length"),
            ExitStatus.NOT_PERMITTED,
            "the token is not known to this controller",
        )


def test_a_user_may_not_do_what_is_an_administrators(cluster: RunningCluster) -> None:
    one_error(
        iris(cluster, "worker", "drain", "iris-cpu-1-w0"),
        ExitStatus.NOT_PERMITTED,
        "a token of a user is not good for DrainWorker",
    )


def test_a_wrong_port_is_told_with_its_address(cluster: RunningCluster) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    for words in (("job", "run", "--", "true"), ("job", "list")):
        done = iris(cluster, *words[:2], "--controller-url", url, *words[2:])
        one_error(done, ExitStatus.UNREACHABLE, f"no controller answers at {url}", "help:  check")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--name", "a/b"], ExitStatus.BAD_INPUT, "name 'a/b' cannot be one: use 1 to 63 letters"),
        (["--replicas", "0"], ExitStatus.BAD_INPUT, "'--replicas': 0 is not in the range x>=1"),
        (["--tpu", "v5litepod-999"], ExitStatus.BAD_INPUT, "'v5litepod-999' is no TPU type"),
        (["--gpu", "H100:0"], ExitStatus.BAD_INPUT, "0 GPUs: ask for one or more"),
        (["--gpu", "H100:x"], ExitStatus.BAD_INPUT, "x"),
        (["--cpu", "lots"], ExitStatus.BAD_INPUT, "'lots'"),
        (["--memory", "1XB"], ExitStatus.BAD_INPUT, "'1XB'"),
        (["--timeout", "soon"], ExitStatus.BAD_INPUT, "'soon' is not a duration"),
        (["--env", "X"], ExitStatus.BAD_INPUT, "'X' has no value"),
        (["--workspace", "/nonexistent"], ExitStatus.BAD_INPUT, "/nonexistent: there is no such"),
        (["--controller-url", "ftp://x"], ExitStatus.BAD_INPUT, "'ftp://x' is no address"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(
    cluster: RunningCluster, words: list[str], status: ExitStatus, said: str
) -> None:
    one_error(iris(cluster, "job", "run", *words, "--", "true"), status, said)


@pytest.mark.parametrize(
    "words", [["--cpu", "1000"], ["--tpu", "v5litepod-16"], ["--gpu", "H100:8"]]
)
def test_what_no_group_can_ever_give_is_status_7_and_says_why(
    cluster: RunningCluster, words: list[str]
) -> None:
    done = iris(cluster, "job", "run", *words, "--", "true")
    assert done.returncode == ExitStatus.NEVER_PLACEABLE
    assert "unschedulable after 0s: no group can ever hold" in done.stderr


def test_a_name_that_is_taken_is_a_conflict(cluster: RunningCluster) -> None:
    words = ["job", "run", "--no-wait", "--name", "taken", "--", "sleep", "2"]
    assert iris(cluster, *words).stdout == "/alice/taken\n"
    one_error(iris(cluster, *words), ExitStatus.CONFLICT, "job /alice/taken exists already")


@pytest.mark.parametrize(
    "words",
    [
        ["job", "status", "/alice/none"],
        ["job", "logs", "/alice/none"],
        ["job", "why", "/alice/none"],
        ["job", "stop", "/alice/none"],
        ["job", "wait", "/alice/none"],
        ["task", "list", "/alice/none"],
        ["task", "logs", "/alice/none:0"],
        ["cluster", "slice", "get", "none"],
    ],
)
def test_what_is_not_there_is_status_3(cluster: RunningCluster, words: list[str]) -> None:
    one_error(iris(cluster, *words), ExitStatus.NOT_FOUND, "none")


def test_a_workspace_of_five_gigabytes_is_refused_at_once(
    cluster: RunningCluster, tmp_path: Path
) -> None:
    with (tmp_path / "large.bin").open("wb") as file:
        file.truncate(5 << 30)
    done = iris(cluster, "job", "run", "--workspace", str(tmp_path), "--", "true")
    one_error(done, ExitStatus.BAD_INPUT, "5120 MiB, more than 200", "large.bin (5120 MiB)")


def test_not_finished_in_time_is_status_12(cluster: RunningCluster) -> None:
    iris(cluster, "job", "run", "--no-wait", "--name", "slow", "--", "sleep", "60")
    done = iris(cluster, "job", "wait", "slow", "--timeout", "500ms")
    one_error(done, ExitStatus.NOT_FINISHED, "job /alice/slow is ")
    assert iris(cluster, "job", "stop", "slow").returncode == 0
    until(lambda: iris(cluster, "job", "wait", "slow").returncode == ExitStatus.JOB_STOPPED)
