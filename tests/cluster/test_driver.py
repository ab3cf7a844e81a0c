"""The worker's loop without a machine under it: what it asks of the runtime before it leaves."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest

from iris.cluster.worker import driver as module
from iris.cluster.worker.driver import Driver, NotWelcome
from iris.core.agent import Ended, Fact, Found, Started
from iris.core.ids import TaskId
from iris.core.retry import EndCause
from iris.rpc import iris_pb2 as pb
from iris.rpc.errors import RemoteError
from iris.rpc.methods import REGISTER

TASK = TaskId("/alice/job:0")


class Controller:
    """Welcomes a worker once, gives it a task, and does not know it afterwards."""

    address = type("Address", (), {"url": "http://nowhere"})

    def __init__(self) -> None:
        self.welcomed = 0
        self.polls = 0

    async def call(self, method: object, request: object) -> object:
        del request
        await asyncio.sleep(0)
        if method is REGISTER:
            self.welcomed += 1
            refusal = "" if self.welcomed == 1 else "slice iris-cpu-1 is failed"
            return pb.RegisterResponse(worker="w", refusal=refusal, orphan_timeout_ms=600_000)
        self.polls += 1
        if self.polls > 2:
            return pb.ReconcileResponse(unknown=True)
        return pb.ReconcileResponse(version=1, attempts=[pb.Wanted(task=TASK, attempt=0)])


class Runtime:
    """Attempts that run until they are asked to end."""

    def __init__(self) -> None:
        self.driver: Driver | None = None
        self.asked: list[str] = []

    async def adopt(self) -> list[Fact]:
        return []

    def _tell(self, fact: Fact) -> None:
        assert self.driver is not None
        self.driver.deliver(fact)

    def launch(self, wanted: object, host: object) -> None:
        del wanted, host
        self.asked.append("launch")
        self._tell(Started(TASK, 0))

    def terminate(self, task: TaskId, attempt: int) -> None:
        self.asked.append("terminate")
        self._tell(Ended(task, attempt, EndCause.EXIT_NONZERO))

    def kill(self, task: TaskId, attempt: int) -> None:
        raise AssertionError((task, attempt))

    discard = kill


class NoExecs:
    """No command runs beside the task."""

    def offer(self, execs: object) -> None:
        del execs


async def attached(runtime: Runtime, channel: object, folder: Path) -> Driver:
    """A driver whose attempts and whose controller are substitutes."""
    substitute: Any = channel
    attempts: Any = runtime
    execs: Any = NoExecs()
    registration = pb.RegisterRequest(slice="iris-cpu-1", incarnation="first")
    driver = Driver(registration, substitute, folder)
    runtime.driver = driver
    await driver.attach(attempts, execs)
    return driver


def live(runtime: Runtime, channel: object, folder: Path) -> None:
    """Run a worker to its end, which must come soon."""

    async def whole_life() -> None:
        driver = await attached(runtime, channel, folder)
        async with asyncio.timeout(20):
            await driver.run(asyncio.Event())

    asyncio.run(whole_life())


def test_i_82_a_worker_that_is_refused_ends_what_runs_on_it_before_it_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And waits for nobody to hear of it, for nobody will."""
    monkeypatch.setattr(module, "_REPORT_S", 600.0)
    runtime = Runtime()
    with pytest.raises(NotWelcome, match="slice iris-cpu-1 is failed"):
        live(runtime, Controller(), tmp_path)
    assert runtime.asked == ["launch", "terminate"]


class Away:
    """A controller that is away for ten calls, and then has no place for the worker."""

    address = type("Address", (), {"url": "http://nowhere"})

    def __init__(self) -> None:
        self.calls = 0

    async def call(self, method: object, request: object) -> object:
        del method, request
        self.calls += 1
        if self.calls <= 10:
            raise RemoteError(grpc.StatusCode.UNAVAILABLE, "no controller answers")
        return pb.RegisterResponse(refusal="it has gone")


def test_a_controller_that_was_away_is_found_within_two_seconds_however_long_it_was(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pauses: list[float] = []

    def noted(pause: float) -> float:
        pauses.append(pause)
        return 0.0

    monkeypatch.setattr(module, "spread", noted)
    with pytest.raises(NotWelcome, match="it has gone"):
        live(Runtime(), Away(), tmp_path)
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 2, 2, 2, 2, 2]


class Gone:
    """A controller that never answers again."""

    address = type("Address", (), {"url": "http://nowhere"})

    async def call(self, method: object, request: object) -> object:
        del method, request
        raise RemoteError(grpc.StatusCode.UNAVAILABLE, "no controller answers")


class Left(Runtime):
    """One attempt is there from an earlier run of the worker."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = asyncio.Event()

    def terminate(self, task: TaskId, attempt: int) -> None:
        super().terminate(task, attempt)
        self.ended.set()

    async def adopt(self) -> list[Fact]:
        return [Found(TASK, 0)]


def test_i_72_a_restarted_worker_that_hears_nobody_goes_by_the_clusters_orphan_timeout(
    tmp_path: Path,
) -> None:
    (tmp_path / "orphan-timeout").write_text("300")
    runtime = Left()

    async def until_it_is_orphaned() -> None:
        driver = await attached(runtime, Gone(), tmp_path)
        running = asyncio.create_task(driver.run(asyncio.Event()))
        await asyncio.wait_for(runtime.ended.wait(), 20)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(until_it_is_orphaned())
    assert runtime.asked == ["terminate"]


def test_the_orphan_timeout_is_noted_at_each_registration(tmp_path: Path) -> None:
    with pytest.raises(NotWelcome):
        live(Runtime(), Controller(), tmp_path)
    assert (tmp_path / "orphan-timeout").read_text() == "600000"


def test_a_worker_that_cannot_note_it_works_all_the_same(tmp_path: Path) -> None:
    runtime = Runtime()
    with pytest.raises(NotWelcome):
        live(runtime, Controller(), tmp_path / "no such folder")
    assert runtime.asked == ["launch", "terminate"]


def test_what_was_noted_by_half_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "orphan-timeout").write_text("")
    with pytest.raises(NotWelcome):
        live(Runtime(), Controller(), tmp_path)
