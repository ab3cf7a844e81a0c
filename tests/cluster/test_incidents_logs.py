"""Entries of the incident list that concern logs: caps of each attempt's own, and no way to a worker needed."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from iris.cluster.controller import store as store_module
from iris.cluster.controller.store import Store
from iris.cluster.types import Entrypoint
from iris.cluster.worker import shipping
from iris.cluster.worker.shipping import Shipper
from iris.core.ids import TaskId
from iris.rpc import iris_pb2 as pb
from iris.rpc.aio import AioChannel
from tests.cluster.running import RunningCluster, running, until

TASK = TaskId("/alice/noisy:0")
CAP = 1_000_000


def limit(patch: pytest.MonkeyPatch) -> None:
    """A cap that a test can reach."""
    for module in (shipping, store_module):
        patch.setattr(module, "MAX_LOG_BYTES", CAP)


class Straight:
    """A channel that ends in a store, and counts what is sent."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.sent = 0

    async def call(self, method: Any, request: pb.AppendLogRequest) -> pb.AppendLogResponse:
        assert method.name == "AppendLog"
        self.sent += len(request.content)
        task = TaskId(request.task)
        size = self.store.append_log(task, request.attempt, request.offset, request.content)
        return pb.AppendLogResponse(next=size)


def shipped(store: Store, path: Path, attempt: int = 0) -> int:
    """Bytes that were sent until the shipper was content."""
    channel = Straight(store)

    async def work() -> None:
        shipper = Shipper(cast("AioChannel", channel), path, TASK, attempt)
        shipper.finish()
        async with asyncio.timeout(20):
            await shipper.run()

    asyncio.run(work())
    return channel.sent


@pytest.mark.parametrize("size", [CAP - 1, CAP, CAP + 1, 3 * CAP + 7])
def test_i_124_a_log_at_its_cap_is_cut_told_and_shipped_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    limit(monkeypatch)
    store, path = Store(tmp_path / "store"), tmp_path / "log"
    content = os.urandom(size)
    path.write_bytes(content)
    assert shipped(store, path) == min(size, CAP)
    kept = store.log(TASK, 0).read_bytes()
    assert kept[:CAP] == content[:CAP]
    told = f"\n[iris: a log ends at {CAP} bytes; the rest was dropped]\n".encode()
    assert kept[CAP:] == (told if size >= CAP else b"")
    assert path.stat().st_blocks * 512 <= CAP + 16_384, "the worker's disk gets the rest back"
    again = Store(tmp_path / "store")  # A restarted controller and a restarted worker.
    shipped(again, path)
    assert again.log(TASK, 0).read_bytes() == kept


def test_i_124_a_system_that_gives_no_room_back_keeps_the_cap_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(monkeypatch)
    monkeypatch.setattr(shipping, "_LIBC", object())
    store, path = Store(tmp_path / "store"), tmp_path / "log"
    path.write_bytes(os.urandom(2 * CAP))
    assert shipped(store, path) == CAP


def test_i_124_what_a_noisy_attempt_leaves_is_cut_to_its_tail_when_it_takes_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"LINGER_S": 0.0, "TAIL_BYTES": 1_000, "PIECE_BYTES": 5_000}.items():
        monkeypatch.setattr(shipping, name, value)
    store, path = Store(tmp_path / "store"), tmp_path / "log"
    content = os.urandom(20_000)
    path.write_bytes(content)
    shipped(store, path)
    told = b"\n[iris: 14000 bytes are left out here]\n"
    assert store.log(TASK, 0).read_bytes() == content[:5_000] + told + content[-1_000:]
    shipped(Store(tmp_path / "store"), path)  # A restarted worker.
    assert store.log(TASK, 0).read_bytes() == path.read_bytes()


def test_i_124_a_noisy_attempt_costs_no_other_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(monkeypatch)
    store, path = Store(tmp_path / "store"), tmp_path / "log"
    path.write_bytes(os.urandom(2 * CAP))
    shipped(store, path)
    path.write_bytes(b"a quiet line\n")
    shipped(store, path, attempt=1)
    assert store.log(TASK, 1).read_bytes() == b"a quiet line\n"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[RunningCluster]:
    yield from running(tmp_path)


def test_i_127_logs_and_results_need_the_controller_only(own: RunningCluster) -> None:
    with own.client() as client:
        job = client.submit(Entrypoint.from_callable(lambda: 42), "returns")
        assert job.result(60) == 42
        told = client.submit(Entrypoint.from_command("echo", "word"), "says")
        assert told.wait(60).state == "succeeded"
        going = client.submit(Entrypoint.from_command("sh", "-c", "echo so far; sleep 60"), "goes")
        until(lambda: going.tasks()[0].logs() == "so far\n")
        (pid,) = own.worker_pids()
        os.kill(pid, signal.SIGSTOP)
        try:
            assert told.tasks()[0].logs() == "word\n"
            assert going.tasks()[0].logs() == "so far\n"
            assert client.job("/alice/returns").result(10) == 42
        finally:
            os.kill(pid, signal.SIGCONT)
        going.terminate()


def test_wait_prints_what_all_tasks_write_each_line_with_its_tasks_index(
    own: RunningCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    script = "echo line; sleep 0.2; printf 'no end'"
    with own.client() as client:
        command = Entrypoint.from_command("sh", "-c", script)
        several = client.submit(command, "several", replicas=3)
        assert several.wait(60, stream_logs=True).state == "succeeded"
        lines = sorted(capsys.readouterr().out.splitlines())
        assert lines == sorted(f"[{n}] {word}" for n in range(3) for word in ("line", "no end"))
        one = client.submit(command, "one")
        assert one.wait(stream_logs=True).state == "succeeded"
        assert capsys.readouterr().out == "line\nno end"
