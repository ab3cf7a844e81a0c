"""`iris cluster slice` and `vm`: what an operator sees, asks for and gives up, and who may."""

import io
import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from iris.cli.tables import fitted
from iris.exit_status import ExitStatus
from tests.cli.commands import Run, commands_of
from tests.cluster.running import RunningCluster, running, until

ALICE, OLGA = "a-token-of-alice-for-tests", "a-token-of-olga-for-tests"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """A cluster of which Olga is the operator, and Alice a user."""
    yield from running(
        tmp_path_factory.mktemp("operated"),
        auth={"tokens": {"alice": ALICE, "olga": OLGA}, "admins": ["olga"]},
    )


@pytest.fixture
def iris(
    shared: RunningCluster, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Run:
    """What Olga runs."""
    run = commands_of(shared.url, monkeypatch, capfd)
    monkeypatch.setenv("IRIS_TOKEN", OLGA)
    until(lambda: _is_settled(vms(run)))
    return run


def _is_settled(found: list[dict[str, Any]]) -> bool:
    """Whether there is a machine, and none comes or goes."""
    return {(vm["state"], vm["slice_state"]) for vm in found} == {("healthy", "ready")}


def vms(iris: Run, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(iris("cluster", "vm", "status", "--json", *words)[1])[
        "items"
    ]
    return found


def slices(iris: Run, *words: str) -> list[str]:
    found = json.loads(iris("cluster", "slice", "list", "--json", *words)[1])["items"]
    return [row["id"] for row in found if row["state"] in ("requested", "booting", "ready")]


def test_a_machine_shows_what_runs_there_and_says_what_it_did(iris: Run) -> None:
    iris("job", "run", "--no-wait", "--name", "long", "--", "sleep", "60")
    assert re.search(r"\n\d+ jobs?, 1 worker, \d+ turns\n", iris("cluster", "status")[1])
    until(lambda: [a["state"] for a in vms(iris)[0]["attempts"]] == ["running"])
    (found,) = vms(iris)
    (attempt,) = found["attempts"]
    assert (attempt["task"], attempt["attempt"]) == ("/olga/long:0", 0)
    assert (found["slice_state"], found["cpu"], found["cpu_used"]) == ("ready", 8, 1)
    name = str(found["id"])
    assert json.loads(iris("cluster", "vm", "get", name)[1])["heard_at"].endswith("Z")
    status, out, err = iris("cluster", "vm", "logs", name, "--tail", "1")
    assert (status, err) == (0, "")
    assert out.endswith(f"registered as {name}\n")
    iris("job", "stop", "long")


def test_what_is_no_machine_has_neither_state_nor_log(iris: Run) -> None:
    for verb in ("get", "logs"):
        status, out, err = iris("cluster", "vm", verb, "nothing")
        assert (status, out) == (ExitStatus.NOT_FOUND, "")
        assert err == "error: vm nothing is not known\nhelp:  see `iris cluster vm status`\n"


def test_a_slice_is_asked_for_within_the_limit_and_given_up_when_confirmed(
    iris: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    iris("job", "run", "--no-wait", "--name", "held", "--", "sleep", "60")
    first = slices(iris)
    status, out, _ = iris("cluster", "slice", "create", "cpu", "--keep", "1h")
    assert status == 0
    assert slices(iris) == [*first, out.strip()]
    status, out, err = iris("cluster", "slice", "create", "cpu")
    assert (status, out) == (ExitStatus.CONFLICT, "")
    assert "2 of max_slices 2 exist" in err

    until(lambda: [a["state"] for vm in vms(iris) for a in vm["attempts"]] == ["running"])
    reader, writer = os.pipe()
    os.close(writer)
    with os.fdopen(reader) as closed:
        monkeypatch.setattr("sys.stdin", closed)
        status, _, err = iris("cluster", "slice", "terminate", "--all")
    assert status == ExitStatus.BAD_INPUT
    assert "give up 2 slices and stop 1 task [y/N]" in err
    assert "ready: /olga/held:0 (running for " in err
    assert len(slices(iris)) == 2  # Nobody answered, so nothing was done.

    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    status, _, err = iris("cluster", "slice", "terminate", "--all")
    assert status == ExitStatus.BAD_INPUT
    assert "error: nothing was done" in err
    assert len(slices(iris)) == 2

    before = slices(iris)
    status, out, _ = iris("cluster", "slice", "terminate", "--all", "--yes", "--json")
    assert status == 0
    assert [item["id"] for item in json.loads(out)["items"]] == before
    until(partial(_is_replaced, iris, before))  # The job and min_slices want another one.
    assert set(before) <= {row["id"] for row in _all(iris)}
    iris("job", "stop", "held")


def _is_replaced(iris: Run, before: list[str]) -> bool:
    return bool(slices(iris)) and not set(slices(iris)) & set(before)


def _all(iris: Run) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(
        iris("cluster", "slice", "list", "--all", "--json")[1]
    )["items"]
    return found


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("slice list --group=cpus", "group 'cpus' is not known\nhelp:  did you mean `cpu`?"),
        ("vm status --group=cpus", "group 'cpus' is not known\nhelp:  did you mean `cpu`?"),
        ("slice terminate --all -y --group=cpus", "group 'cpus' is not known"),
        ("vm status --slice=iris-cpu-1000", "slice 'iris-cpu-1000' is not known"),
        ("slice get ", "slice '' is not known\nhelp:  see `iris cluster slice list`"),
    ],
)
def test_what_names_nothing_is_not_found(iris: Run, words: str, said: str) -> None:
    status, out, err = iris("cluster", *words.split(" "))
    assert (status, out) == (ExitStatus.NOT_FOUND, "")
    assert err.startswith(f"error: {said}")


@pytest.mark.parametrize(
    "words", [[], ["iris-cpu-1", "--all"], ["iris-cpu-1", "--group", "cpu"]], ids=" ".join
)
def test_what_is_to_be_given_up_is_said_in_one_way(iris: Run, words: list[str]) -> None:
    status, _, err = iris("cluster", "slice", "terminate", "-y", *words)
    assert status == ExitStatus.BAD_INPUT
    assert "--all" in err


def test_a_user_sees_machines_and_changes_none(iris: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (name, *_) = slices(iris)
    monkeypatch.setenv("IRIS_TOKEN", ALICE)
    assert iris("cluster", "vm", "status")[0] == iris("cluster", "slice", "list")[0] == 0
    for words in (
        ["slice", "create", "cpu"],
        ["slice", "terminate", "-y", name],
        ["vm", "logs", f"{name}-w0"],
    ):
        status, out, _ = iris("cluster", *words)
        assert (status, out) == (ExitStatus.NOT_PERMITTED, ""), words
    assert name in slices(iris)


# ---- tables ------------------------------------------------------------------------------------

HEADER = ("VM", "STATE", "ZONE", "TASKS")
ROW = ("iris-tpu-v5e-16-12-w3", "healthy, draining", "us-central1-a", "/alice/" + "train" * 20)


@pytest.mark.parametrize(
    ("width", "header", "row"),
    [
        (200, HEADER, ROW),
        (80, HEADER, (*ROW[:3], "/alice/traintraintrain…")),
        (60, ("VM", "STATE", "TASKS"), (*ROW[:2], "/alice/traintrain…")),
        (50, ("VM", "STATE"), ROW[:2]),
        (20, ("VM",), ROW[:1]),
    ],
)
def test_a_narrow_terminal_loses_columns_and_never_a_name(
    width: int, header: tuple[str, ...], row: tuple[str, ...]
) -> None:
    assert fitted([HEADER, ROW], ("ZONE", "TASKS", "STATE"), width) == [header, row]


@pytest.mark.parametrize("words", [["status"], ["slice", "list"], ["vm", "status"]], ids=" ".join)
def test_tables_fit_a_terminal_and_are_whole_in_a_pipe(
    iris: Run, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    columns, *_ = table_of(iris("cluster", *words)[1])
    for width in (40, 80, 160):
        monkeypatch.setenv("COLUMNS", str(width))
        table = table_of(on_terminal(iris, words, monkeypatch))
        assert max(map(len, table)) <= width
        assert all(re.fullmatch(r"cpu|iris-cpu-\d+(-w0)?", row.split()[0]) for row in table[1:])
        piped, *_ = table_of(iris("cluster", *words)[1])
        assert piped.split() == columns.split()
    wide, *_ = table_of(on_terminal(iris, [*words, "--wide"], monkeypatch))
    assert wide.split() == columns.split()


def table_of(text: str) -> list[str]:
    """A table from its header on, without what stands above it."""
    lines = text.splitlines()
    return lines[next(at for at, line in enumerate(lines) if line.isupper()) :]


def on_terminal(iris: Run, words: list[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """What a command prints whose output is a terminal."""
    ours, its = os.openpty()
    with os.fdopen(its, "w") as out, monkeypatch.context() as patched:
        patched.setattr("sys.stdout", out)
        assert iris("cluster", *words)[0] == 0
    found = b""
    with os.fdopen(ours, "rb", buffering=0) as terminal, suppress(OSError):  # So it ends.
        while piece := terminal.read(1 << 16):
            found += piece
    return found.decode()
