"""What may not stop the controller: a cloud that never answers, many who ask, and an older version's journal."""

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from grpc_health.v1 import health_pb2

from iris.client import IrisClient
from iris.cluster.controller import pulse
from iris.cluster.controller.journal import SqliteJournal
from iris.cluster.controller.service import ControllerService, Options
from iris.cluster.controller.turns import TurnLoop
from iris.cluster.types import Entrypoint
from iris.config import load_cluster
from iris.core.controller import Controller
from iris.core.effects import CreateSlice, DeleteSlice, ObserveSlices
from iris.core.events import ControllerRestarted, ControllerStalled, Event, SlicesObserved
from iris.core.instant import Instant
from iris.core.record import turn_from_json
from iris.core.replay import recover
from iris.ports import NoLog, VmPlace
from iris.rpc import iris_pb2 as pb
from iris.rpc.methods import GET_STATUS, LIST_SLICES
from tests.cluster.running import until
from tests.cluster.test_standard import health_of

JOURNALS = Path(__file__).parent / "journals"


class Mute:
    """A cloud that takes every request to create or delete and never answers one."""

    def __init__(self) -> None:
        self.asked = 0
        self.gives_back = threading.Event()

    async def create_slice(self, request: CreateSlice) -> Sequence[Event]:
        assert request.slice
        self.asked += 1
        await asyncio.Event().wait()
        return ()

    async def delete_slice(self, request: DeleteSlice) -> Sequence[Event]:
        assert request.slice
        await asyncio.Event().wait()
        return ()

    async def observe(self, request: ObserveSlices) -> Sequence[Event]:
        return (SlicesObserved((), Instant(0), complete=not request.slices),)

    async def watch(self) -> None:
        await asyncio.Event().wait()

    async def log(self, vm: VmPlace, most_bytes: int) -> bytes:
        raise NoLog(f"{vm}: {most_bytes} bytes of nothing")

    async def end_all(self) -> None:
        await asyncio.to_thread(self.gives_back.wait)


@pytest.fixture
def mute(tmp_path: Path) -> Iterator[tuple[Mute, ControllerService]]:
    """A controller in a thread on such a cloud."""
    cloud = Mute()
    group = {"accelerator_type": "cpu", "vm": {"cpu": 4, "memory": "4GB"}, "max_slices": 50}
    config = tmp_path / "cluster.yaml"
    config.write_text(json.dumps({"provider": {"type": "local"}, "scale_groups": {"cpu": group}}))
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    served: list[ControllerService] = []

    def serve() -> None:
        asyncio.set_event_loop(loop)
        options = Options(tmp_path / "root", 0, end_workers=False)
        served.append(ControllerService(load_cluster(config), options, lambda _: cloud))
        loop.run_until_complete(served[0].serve(lambda _: ready.set()))
        loop.close()

    thread = threading.Thread(target=serve)
    thread.start()
    assert ready.wait(30)
    try:
        yield cloud, served[0]
    finally:
        cloud.gives_back.set()
        loop.call_soon_threadsafe(served[0].close)
        thread.join(30)
        assert not thread.is_alive()


def test_i_87_requests_of_the_cloud_that_hang_stop_neither_turns_nor_answers(
    mute: tuple[Mute, ControllerService],
) -> None:
    cloud, service = mute
    with IrisClient.remote(service.url, user="alice") as client:
        jobs = [client.submit(Entrypoint.from_command("true"), f"job-{n}") for n in range(40)]
        until(lambda: cloud.asked >= 5)
        assert {job.status().state for job in jobs} == {"pending"}
        jobs[0].terminate()
        assert jobs[0].wait(20).state == "killed"
        assert client.channel.call(GET_STATUS, pb.GetStatusRequest()).jobs == 40
        slices = client.channel.call(LIST_SLICES, pb.ListSlicesRequest()).slices
        assert {row.state for row in slices} == {"requested"}
        assert any("requested" in said for said in jobs[1].why())


def test_health_is_told_by_grpc_as_it_is_by_http_to_the_very_end(
    mute: tuple[Mute, ControllerService], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, service = mute
    states = health_pb2.HealthCheckResponse
    assert health_of(service.port) == states.SERVING
    with monkeypatch.context() as patched:
        patched.setattr(pulse, "READY_WITHIN_S", -1.0)  # As if no look for work were recent enough.
        until(lambda: health_of(service.port) == states.NOT_SERVING)
    until(lambda: health_of(service.port) == states.SERVING)
    service.close(give_back=True)  # Which its cloud takes its time for.
    until(lambda: health_of(service.port) == states.NOT_SERVING)


def test_i_69_a_start_that_took_long_is_no_silence_of_the_workers(tmp_path: Path) -> None:
    """Between the turn that begins a controller's life and its first look nobody could speak."""

    class Clock:
        def now(self) -> Instant:
            return Instant(20_000)

    async def first_turn() -> None:
        journal = SqliteJournal(tmp_path / "journal.sqlite")
        controller = Controller()
        controller.step(Instant(10_000), [ControllerRestarted()])
        loop = TurnLoop(controller, journal, Clock())
        changed = loop.watch()
        running = asyncio.create_task(loop.run(lambda _: None))
        await asyncio.wait_for(changed.wait(), 20)
        loop.close()
        await running
        journal.close()

    asyncio.run(first_turn())
    journal = SqliteJournal(tmp_path / "journal.sqlite", readonly=True)
    _, turns = journal.whole()
    assert next(iter(turns)).events == (ControllerStalled(Instant(10_000)),)
    journal.close()


@pytest.mark.parametrize("path", sorted(JOURNALS.glob("*.jsonl")), ids=lambda path: path.stem)
def test_i_104_the_journal_of_each_release_is_recovered(path: Path) -> None:
    turns = [turn_from_json(json.loads(line)) for line in path.read_text().splitlines()]
    state = recover(turns).state
    assert {job.rpartition("/")[2]: row.state.value for job, row in state.jobs.items()} == {
        "done": "succeeded",
        "runs": "running",
        "waits": "pending",
        "never": "unschedulable",
        "gang": "pending",
    }
    assert (
        state.tasks[next(t for t in state.tasks if "runs" in t)].attempts[-1].worker
        in state.workers
    )
