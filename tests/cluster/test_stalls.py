"""What may not stop the controller: a cloud that never answers, many who ask, and an older version's journal."""

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from iris.client import IrisClient
from iris.cluster.controller.service import ControllerService, Options
from iris.cluster.types import Entrypoint
from iris.config import load_cluster
from iris.core.effects import CreateSlice, DeleteSlice, ObserveSlices
from iris.core.events import Event, SlicesObserved
from iris.core.instant import Instant
from iris.core.record import turn_from_json
from iris.core.replay import recover
from iris.rpc import iris_pb2 as pb
from iris.rpc.methods import GET_STATUS, LIST_SLICES
from tests.cluster.running import until

JOURNALS = Path(__file__).parent / "journals"


class Mute:
    """A cloud that takes every request to create or delete and never answers one."""

    def __init__(self) -> None:
        self.asked = 0

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

    async def end_all(self) -> None:
        pass


@pytest.fixture
def mute(tmp_path: Path) -> Iterator[tuple[Mute, str]]:
    """A controller in a thread on such a cloud, and its address."""
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
        yield cloud, served[0].url
    finally:
        loop.call_soon_threadsafe(served[0].close)
        thread.join(30)
        assert not thread.is_alive()


def test_i_87_requests_of_the_cloud_that_hang_stop_neither_turns_nor_answers(
    mute: tuple[Mute, str],
) -> None:
    cloud, url = mute
    with IrisClient.remote(url, user="alice") as client:
        jobs = [client.submit(Entrypoint.from_command("true"), f"job-{n}") for n in range(40)]
        until(lambda: cloud.asked >= 5)
        assert {job.status().state for job in jobs} == {"pending"}
        jobs[0].terminate()
        assert jobs[0].wait(20).state == "killed"
        assert client.channel.call(GET_STATUS, pb.GetStatusRequest()).jobs == 40
        slices = client.channel.call(LIST_SLICES, pb.ListSlicesRequest()).slices
        assert {row.state for row in slices} == {"requested"}
        assert any("requested" in said for said in jobs[1].why())


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
