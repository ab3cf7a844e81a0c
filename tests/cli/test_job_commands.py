"""`iris job` and its sisters against a real cluster: statuses, streams, JSON, watching, and Ctrl-C."""

import json
import os
import re
import signal
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from iris.exit_status import ExitStatus
from tests.cli.commands import PROGRAM, Run, process
from tests.cluster.running import RunningCluster, free_port, running, until


def test_run_prints_the_jobs_output_and_ends_as_the_job_does(iris: Run) -> None:
    status, out, err = iris("job", "run", "--name", "says", "--", "sh", "-c", "echo hello")
    assert (status, out) == (0, "hello\n")
    assert err.splitlines()[0] == "submitted /alice/says"
    assert err.splitlines()[-1].startswith("/alice/says succeeded after ")
    status, out, err = iris("job", "run", "--name", "fails", "--", "sh", "-c", "exit 3")
    assert status == ExitStatus.JOB_FAILED
    assert "attempt 0 ended: exit_nonzero, exit status 3; max_retries_failure is 0" in err
    status, _, err = iris("job", "run", "--name", "huge", "--cpu", "999", "--", "true")
    assert status == ExitStatus.NEVER_PLACEABLE
    assert "no group can ever hold one of its tasks" in err


def test_lines_of_several_tasks_are_told_apart(iris: Run) -> None:
    words = [
        "job",
        "run",
        "--name",
        "several",
        "--replicas",
        "2",
        "--cpu",
        "0.1",
        "--memory",
        "10MB",
    ]
    status, out, _ = iris(*words, "--", "sh", "-c", "echo a; echo b")
    assert status == 0
    assert sorted(out.splitlines()) == ["[0] a", "[0] b", "[1] a", "[1] b"]
    status, _, err = iris("job", "logs", "/alice/several", "--task", "2")
    assert status == ExitStatus.NOT_FOUND
    assert "job /alice/several has no task 2, only 0 to 1" in err
    _, out, _ = iris("job", "logs", "/alice/several")
    assert out == "[0] a\n[0] b\n[1] a\n[1] b\n"
    _, out, _ = iris("job", "logs", "/alice/several", "--task", "1")
    assert out == "a\nb\n"


def test_logs_of_an_attempt_and_their_end(iris: Run) -> None:
    script = "echo $IRIS_ATTEMPT_ID one; echo two; exit 1"
    iris("job", "run", "--name", "tries", "--max-retries-failure", "1", "--", "sh", "-c", script)
    for extra in ((), ("-f",)):
        _, out, _ = iris("job", "logs", "/alice/tries", "--attempt", "0", *extra)
        assert out == "0 one\ntwo\n"
        _, out, _ = iris("job", "logs", "/alice/tries", "--tail", "1", *extra)
        assert out == "two\n"
    _, out, _ = iris("task", "logs", "/alice/tries:0", "--attempt", "1", "--tail", "2")
    assert out == "1 one\ntwo\n"
    status, _, err = iris("job", "logs", "/alice/tries", "--attempt", "7")
    assert status == ExitStatus.NOT_FOUND
    assert "attempt 7 of task /alice/tries:0 is not known" in err
    assert "see `iris job status JOB`" in err


def test_lists_are_filtered_by_the_controller(iris: Run) -> None:
    for name in ("filter-one", "filter-two"):
        assert iris("job", "run", "--no-wait", "--name", name, "--", "true") == (
            0,
            f"/alice/{name}\n",
            "",
        )
    assert iris("job", "wait", "/alice/filter-one", "/alice/filter-two")[0] == 0
    assert iris("job", "list", "--name", "filter-", "-q")[1].split() == [
        "/alice/filter-two",
        "/alice/filter-one",
    ]
    assert iris("job", "list", "--name", "filter-", "-q", "--limit", "1")[1].split() == [
        "/alice/filter-two"
    ]
    assert iris("job", "list", "--name", "filter-", "-q", "--user", "bob")[1] == ""
    assert iris("job", "list", "--name", "filter-", "-q", "--state", "running")[1] == ""
    assert len(iris("job", "list", "--name", "filter-", "-q", "--since", "10m")[1].split()) == 2
    assert iris("job", "list", "--name", "filter-", "-q", "--since", "1ms")[1] == ""
    status, _, err = iris("job", "list", "--state", "odd")
    assert status == ExitStatus.BAD_INPUT
    assert "state: 'odd' is none of pending, running" in err
    assert iris("job", "list", "--since", "soon")[0] == ExitStatus.BAD_INPUT


@pytest.mark.parametrize(
    ("words", "kind", "keys"),
    [
        (["job", "list"], "JobList", {"items", "total"}),
        (["job", "status", "/alice/shapes"], "Job", {"id", "state", "user", "tasks", "attempts"}),
        (["job", "why", "/alice/shapes"], "Explanation", {"job", "why"}),
        (["task", "list", "/alice/shapes"], "TaskList", {"items", "total"}),
        (["worker", "list"], "WorkerList", {"items", "total"}),
        (["cluster", "status"], "Cluster", {"controller", "version", "groups"}),
        (["cluster", "slice", "list"], "SliceList", {"items", "total"}),
        (["cluster", "slice", "get", "iris-cpu-1"], "Slice", {"id", "group", "state"}),
        (["cluster", "vm", "status"], "VmList", {"items", "total"}),
        (["cluster", "vm", "get", "iris-cpu-1-w0"], "Vm", {"id", "slice", "attempts"}),
    ],
)
def test_every_reading_command_speaks_json_on_stdout_and_nothing_else(
    iris: Run, shared: RunningCluster, words: list[str], kind: str, keys: set[str]
) -> None:
    iris("job", "run", "--name", "shapes", "--", "true")
    until(lambda: bool(shared.workers()))
    status, out, err = iris(*words, "--json")
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert (found["schema"], found["kind"]) == ("iris/v1", kind)
    assert keys <= found.keys()


def test_run_with_json_prints_the_ended_job_alone(iris: Run) -> None:
    words = ["job", "run", "--json", "--name", "as-json"]
    status, out, err = iris(*words, "--", "sh", "-c", "echo to stderr; exit 1")
    assert status == ExitStatus.JOB_FAILED
    assert json.loads(out)["state"] == "failed"
    assert "to stderr" in err
    _, out, _ = iris("job", "run", "--json", "--no-wait", "--name", "as-json-2", "--", "true")
    assert json.loads(out)["id"] == "/alice/as-json-2"


BAD: list[tuple[list[str], int, str]] = [
    (["job", "run", "--name", "a/b", "--", "true"], 2, "name 'a/b' cannot be one: use 1 to 63"),
    (["job", "run", "--replicas", "0", "--", "true"], 2, "0 is not in the range x>=1"),
    (
        ["job", "run", "--replicas", "99999999999", "--", "true"],
        2,
        "replicas: 99999999999 is more than",
    ),
    (["job", "run", "--replicas", "200000", "--", "true"], 2, "replicas: 200000 is more than"),
    (["job", "run", "--max-retries-failure", "2000000", "--", "true"], 2, "max_retries_failure:"),
    (["job", "run", "--cpu", "many", "--", "true"], 2, "'many'"),
    (["job", "run", "--memory", "2XB", "--", "true"], 2, "'2XB'"),
    (["job", "run", "--timeout", "soon", "--", "true"], 2, "'soon'"),
    (["job", "run", "--timeout", "0", "--", "true"], 2, "timeout_ms: 0 is less than 1"),
    (["job", "run", "--env", "A", "--", "true"], 2, "'A' has no value; write --env NAME=VALUE"),
    (["job", "run", "--env", "=v", "--", "true"], 2, "'=v' names no variable; write --env NAME="),
    (["job", "run", "--name", "", "--", "true"], 2, "name '' cannot be one"),
    (["job", "run", "--workspace", __file__, "--", "true"], 2, "it is a file, and a workspace is"),
    (["job", "run", "--tpu", "v99", "--", "true"], 2, "'v99' is no TPU type; there are"),
    (["job", "run", "--gpu", "H100:x", "--", "true"], 2, "'H100:x'"),
    (["job", "run", "--workspace", "/no/such", "--", "true"], 2, "there is no such folder"),
    (["job", "run"], 2, "missing argument '-- COMMAND...'"),
    (["job", "status", "/alice/nobody"], 3, "job /alice/nobody is not known"),
    (["job", "stop", "/alice/nobody"], 3, "see `iris job list`"),
    (["task", "logs", "/alice/nobody"], 2, "'/alice/nobody' is no task; write one as"),
    (["task", "logs", "/alice/nobody:0"], 3, "see `iris task list JOB`"),
    (["worker", "drain", "nobody"], 3, "see `iris worker list`"),
    (["cluster", "slice", "terminate", "nothing"], 3, "see `iris cluster slice list`"),
    (["cluster", "slice", "terminate", "-y", "nothing"], 3, "see `iris cluster slice list`"),
    (["cluster", "slice", "create", "nothing"], 3, "see `iris cluster status`"),
    (["cluster", "slice", "get", "nothing"], 3, "see `iris cluster slice list`"),
]


@pytest.mark.parametrize(("words", "status", "said"), BAD, ids=[" ".join(w) for w, _, _ in BAD])
def test_what_cannot_be_is_one_error_with_its_status(
    iris: Run, words: list[str], status: int, said: str
) -> None:
    ended, out, err = iris(*words)
    assert (ended, out) == (status, "")
    assert said in err
    assert err.startswith("error: ")
    assert "Traceback" not in err
    assert err.count("error:") == 1


def test_a_token_that_no_header_holds_is_bad_input_and_is_not_repeated(
    iris: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IRIS_TOKEN", "sec\nret")
    status, out, err = iris("job", "list")
    assert (status, out) == (ExitStatus.BAD_INPUT, "")
    assert "set IRIS_TOKEN to the token alone" in err
    assert "sec" not in err


def test_what_only_does_something_says_it_as_json_too(iris: Run, shared: RunningCluster) -> None:
    until(lambda: bool(shared.workers()))
    iris("job", "run", "--no-wait", "--name", "json-stop", "--", "sleep", "60")
    assert json.loads(iris("job", "stop", "--json", "json-stop")[1])["items"] == [
        {"id": "/alice/json-stop"}
    ]
    status, out, _ = iris("job", "wait", "--json", "json-stop")
    assert status == ExitStatus.JOB_STOPPED
    assert [item["state"] for item in json.loads(out)["items"]] == ["killed"]
    worker = json.loads(iris("worker", "list", "--json")[1])["items"][0]["id"]
    for words, cordoned in ((["--json"], True), (["--json", "--resume"], False)):
        told = json.loads(iris("worker", "drain", worker, *words)[1])
        assert (told["id"], told["cordoned"]) == (worker, cordoned)


def test_a_lost_worker_is_listed_only_where_all_are(
    iris: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def listed(*words: str) -> list[str]:
        return [
            row["id"] for row in json.loads(iris("worker", "list", "--json", *words)[1])["items"]
        ]

    def is_replaced(name: str) -> bool:
        return name not in listed() and bool(listed())

    for own in running(tmp_path):
        monkeypatch.setenv("IRIS_CONTROLLER_URL", own.url)
        until(lambda: bool(listed()))
        (first,) = listed()
        iris("cluster", "slice", "terminate", "-y", first.rpartition("-w")[0])
        until(partial(is_replaced, first))
        assert first in listed("--all")


def test_the_address_may_stand_before_or_after_the_verb(
    iris: Run, shared: RunningCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IRIS_CONTROLLER_URL")
    url = ["--controller-url", shared.url]
    for words in (["status"], ["controller", "status"], ["slice", "list"]):
        before, after = ["cluster", *url, *words], ["cluster", *words, *url]
        assert iris(*before, "--json")[0] == iris(*after, "--json")[0] == 0
    assert iris("cluster", "slice", *url, "list")[0] == 0


def test_a_wrong_address_is_status_5_and_no_address_is_status_2(
    iris: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    for words in (["job", "list"], ["job", "run", "--", "true"], ["task", "logs", "/alice/x:0"]):
        head, tail = words[:2], words[2:]
        status, out, err = iris(*head, "--controller-url", url, *tail)
        assert (status, out) == (ExitStatus.UNREACHABLE, "")
        assert err.startswith(f"error: no controller answers at {url}: ")
    monkeypatch.delenv("IRIS_CONTROLLER_URL")
    monkeypatch.delenv("IRIS_CONFIG", raising=False)
    status, _, err = iris("job", "list")
    assert status == ExitStatus.BAD_INPUT
    assert "no controller is named" in err


def test_waiting_ends_with_the_worst_result_or_when_the_time_is_over(iris: Run) -> None:
    iris("job", "run", "--no-wait", "--name", "wait-ok", "--", "true")
    iris("job", "run", "--no-wait", "--name", "wait-bad", "--", "false")
    assert iris("job", "wait", "/alice/wait-bad", "/alice/wait-ok")[0] == ExitStatus.JOB_FAILED
    iris("job", "run", "--no-wait", "--name", "wait-long", "--", "sleep", "300")
    status, _, err = iris("job", "wait", "/alice/wait-long", "--timeout", "200ms")
    assert status == ExitStatus.NOT_FINISHED
    assert "it goes on" in err
    assert iris("job", "stop", "/alice/wait-long")[0] == 0
    assert iris("job", "wait", "/alice/wait-long")[0] == ExitStatus.JOB_STOPPED


def test_a_task_need_not_name_its_own_controller(
    iris: Run, shared: RunningCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IRIS_CONTROLLER_URL")
    monkeypatch.setenv("IRIS_CONTROLLER_ADDRESS", shared.url)
    assert iris("job", "list")[0] == ExitStatus.DONE


def test_a_watched_job_is_shown_until_it_has_ended_one_object_a_line(iris: Run) -> None:
    iris("job", "run", "--no-wait", "--name", "watched", "--", "sleep", "1.5")
    status, out, err = iris("job", "status", "/alice/watched", "--json", "-w")
    assert (status, err) == (0, "")
    states = [json.loads(line)["state"] for line in out.splitlines()]
    assert len(states) > 1
    assert states[-1] == "succeeded"
    assert "succeeded" not in states[:-1]


def test_a_watch_outlasts_its_controller_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    for own in running(tmp_path):
        watching = process(own, "job", "list", "--json", "--watch")
        assert watching.stdout is not None
        assert json.loads(watching.stdout.readline())["items"] == []
        own.kill()
        assert watching.stderr is not None
        line = watching.stderr.readline()
        assert re.match(r"no controller answers at .*; trying again until it answers$", line), line
        own.start()
        with own.client() as client:
            from iris.cluster.types import Entrypoint

            client.submit(Entrypoint.from_command("true"), "later")
        found: dict[str, Any] = {"items": []}
        while not found["items"]:
            found = json.loads(watching.stdout.readline())
        assert found["items"][0]["id"] == "/alice/later"
        watching.send_signal(signal.SIGINT)
        _, err = watching.communicate(timeout=60)
        assert watching.returncode == ExitStatus.INTERRUPTED
        assert "Traceback" not in err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_clicks_own(iris: Run, shell: str) -> None:
    status, out, err = iris("completion", shell)
    assert (status, err) == (0, "")
    assert f"_IRIS_COMPLETE={shell}_complete" in out


def test_what_bash_asks_for_is_completed() -> None:
    variables = {**os.environ, "_IRIS_COMPLETE": "bash_complete", "COMP_CWORD": "2"}
    variables["COMP_WORDS"] = "iris job st"
    done = subprocess.run(PROGRAM, env=variables, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["plain,status", "plain,stop"]


def test_a_name_is_enough_where_one_job_is_meant_and_a_shell_completes_paths(
    iris: Run, shared: RunningCluster
) -> None:
    for name in ("twin-1", "twin-2"):
        assert iris("job", "run", "--name", name, "--", "echo", name)[0] == 0
    assert iris("job", "logs", "twin-1")[1] == "twin-1\n"
    assert iris("job", "why", "/alice/twin-2")[0] == 0
    status, out, err = iris("job", "status", "/alice/twin")
    assert (status, out) == (ExitStatus.BAD_INPUT, "")
    assert "/alice/twin could be /alice/twin-1, /alice/twin-2" in err
    asked = {"COMP_WORDS": "iris job status /alice/tw", "COMP_CWORD": "3"}
    done = subprocess.run(
        PROGRAM,
        env={
            **os.environ,
            "IRIS_CONTROLLER_URL": shared.url,
            "_IRIS_COMPLETE": "bash_complete",
            **asked,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.split() == ["plain,/alice/twin-2", "plain,/alice/twin-1"]
