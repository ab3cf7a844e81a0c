"""Logs: whole, readable when the machine is gone, and no burden for the controller."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio
import pytest

from iris.cluster.types import Entrypoint, ResourceSpec
from iris.rpc import iris_pb2 as pb
from iris.rpc.methods import READ_LOG
from tests.cluster import logs
from tests.cluster.running import RunningCluster, running, until

READERS = 200
SMALL = ResourceSpec(cpu="0.5", memory="50MB")


def test_i_126_megabytes_of_output_are_whole_and_do_not_stay_in_the_controller(
    tmp_path: Path,
) -> None:
    found = logs.run(tmp_path, jobs=6, megabytes=10)
    assert found.lost == []
    assert found.peak_mib - found.before_mib < 60


@pytest.fixture
def own(tmp_path: Path) -> Iterator[RunningCluster]:
    yield from running(tmp_path)


def test_i_92_readers_that_do_not_read_neither_stop_a_turn_nor_fill_the_memory(
    own: RunningCluster,
) -> None:
    program, _ = logs.written(10)
    assert own.process is not None
    pid = own.process.pid
    with own.client() as client:
        command = f'python3 -c "{program}"; sleep 600'
        job = client.submit(Entrypoint.from_command("sh", "-c", command), "big", resources=SMALL)
        store = own.root / "logs/+alice/+big/0/0.log"
        until(lambda: store.exists() and store.stat().st_size == 10_000_000, 60)
        before = logs.proportional_mib(pid)

        def brief() -> str:
            quick = client.submit(Entrypoint.from_command("true"), "quick", resources=SMALL)
            return quick.wait(60).state

        async def hold_open() -> float:
            async with slow_readers(own.port, f"{job.id}:0"):
                assert await asyncio.to_thread(brief) == "succeeded"
                return logs.proportional_mib(pid)

        # Pieces of a MiB in buffers of four would be most of a gigabyte.
        assert asyncio.run(hold_open()) - before < 150
        job.terminate()


@asynccontextmanager
async def slow_readers(port: int, task: str) -> AsyncIterator[None]:
    """Streams of which each has taken one message and takes no more."""
    own = (("grpc.use_local_subchannel_pool", 1),)
    channels = [grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=own) for _ in range(8)]
    calls = []
    for number in range(READERS):
        read = channels[number % len(channels)].unary_stream(
            READ_LOG.path,
            request_serializer=pb.ReadLogRequest.SerializeToString,
            response_deserializer=pb.LogChunk.FromString,
        )
        calls.append(read(pb.ReadLogRequest(task=task, attempt=0, follow=True)))
    try:
        for call in calls:
            await asyncio.wait_for(call.read(), 60)
        yield
    finally:
        for call in calls:
            call.cancel()
        for channel in channels:
            await channel.close()


def test_who_follows_is_told_of_each_piece_and_of_the_end(own: RunningCluster) -> None:
    with own.client() as client:
        script = "for i in 1 2 3; do echo $i; sleep 0.5; done"
        job = client.submit(Entrypoint.from_command("sh", "-c", script), "counts")
        pieces = [piece.content for piece in job.tasks()[0].stream_logs()]
        assert b"".join(pieces) == b"1\n2\n3\n"
        assert len([piece for piece in pieces if piece]) >= 2
