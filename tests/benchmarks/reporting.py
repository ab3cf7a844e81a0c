"""Ten thousand workers that report to one real controller, and five thousand dispatches sent to them.

The controller is the production one, in a process of its own, on a journal that the core wrote. Its
machines are only said to exist, and the workers are gRPC clients that poll as real ones do, hold what
they are told to hold, and say that it runs.
"""

import asyncio
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import grpc.aio

from iris.cluster.controller.journal import SqliteJournal
from iris.cluster.controller.recovery import JOURNAL_FILE
from iris.cluster.controller.service import ControllerService, Options, Surroundings
from iris.config import load_cluster
from iris.core.effects import CreateSlice, DeleteSlice, ObserveSlices
from iris.core.events import (
    CloudState,
    Event,
    SliceAccepted,
    SliceDeleted,
    SliceSighting,
    SlicesObserved,
)
from iris.core.ids import SliceId
from iris.garbage import rare_collections
from iris.ports import NoLog, VmPlace
from iris.rpc import iris_pb2 as pb
from iris.rpc.methods import GET_STATUS, RECONCILE, SUBMIT_JOB, Method
from tests.benchmarks.crowds import CORES, Crowd
from tests.benchmarks.figures import Figure, milliseconds

_CHANNELS = 100
_GROUP = {"accelerator_type": "cpu", "vm": {"cpu": CORES, "memory": "64GB"}}


class Standing:
    """Machines that are there and stay."""

    def __init__(self, around: Surroundings, slices: Sequence[SliceId]) -> None:
        """All slices of the journal."""
        self._around = around
        self._slices = slices

    async def create_slice(self, request: CreateSlice) -> Sequence[Event]:
        """It comes at once."""
        return (SliceAccepted(request.slice),)

    async def delete_slice(self, request: DeleteSlice) -> Sequence[Event]:
        """It goes at once."""
        return (SliceDeleted(request.slice),)

    async def observe(self, request: ObserveSlices) -> Sequence[Event]:
        """All are there."""
        named = request.slices or self._slices
        listing = tuple(SliceSighting(name, CloudState.READY) for name in named)
        complete = not request.slices
        return (SlicesObserved(listing, self._around.clock.now(), complete=complete),)

    async def watch(self) -> None:
        """Nothing is ever lost."""
        await asyncio.Event().wait()

    async def log(self, vm: VmPlace, most_bytes: int) -> bytes:
        """Nobody says anything."""
        raise NoLog(f"{vm}: {most_bytes} bytes of nothing")

    async def end_all(self) -> None:
        """They stay."""


def prepare(folder: Path, workers: int) -> None:
    """A controller's folder whose journal says that so many workers have registered."""
    crowd = Crowd(workers)
    root = folder / "root"
    root.mkdir()
    journal = SqliteJournal(root / JOURNAL_FILE)
    for turn in crowd.turns:
        journal.append(turn)
    journal.close()
    config = {
        "provider": {"type": "local"},
        "scale_groups": {"cpu": {**_GROUP, "max_slices": workers}},
    }
    (folder / "cluster.yaml").write_text(json.dumps(config))
    names = sorted(crowd.controller.state.workers)
    (folder / "workers.json").write_text(json.dumps(names))


def serve(folder: Path) -> None:
    """Serve the folder until killed; the port is the first line on stdout."""
    crowd_spec = Crowd(len(json.loads((folder / "workers.json").read_text()))).controller.state.spec
    config = replace(load_cluster(folder / "cluster.yaml"), spec=crowd_spec)
    slices: list[SliceId] = []
    service = ControllerService(
        config,
        Options(folder / "root", 0, end_workers=False),
        lambda around: Standing(around, slices),
    )
    slices += [*service._recovered.controller.state.slices]

    def ready(found: ControllerService) -> None:
        sys.stdout.write(f"{found.port}\n")
        sys.stdout.flush()

    with rare_collections():
        asyncio.run(service.serve(ready))


@dataclass
class Tally:
    """What the clients have seen."""

    exchanges: int = 0
    received: int = 0
    """Attempts that were handed over."""
    wanted: int = 0
    broken: int = 0
    """Exchanges that broke off and were repeated."""
    all_there: asyncio.Event = field(default_factory=asyncio.Event)
    heard: set[str] = field(default_factory=set)


class Clients:
    """Simulated workers on one controller."""

    def __init__(self, port: int, names: Sequence[str]) -> None:
        """Connected, and silent yet."""
        own = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_concurrent_streams", 10_000))
        address = f"127.0.0.1:{port}"
        self._channels = [grpc.aio.insecure_channel(address, options=own) for _ in range(_CHANNELS)]
        self._names = names
        self.tally = Tally()

    def _stub(self, number: int, method: "Method[Any, Any]") -> Any:
        return self._channels[number % _CHANNELS].unary_unary(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.answer.FromString,
        )

    async def work(self, number: int) -> None:
        """One worker, for ever."""
        name = self._names[number]
        stub = self._stub(number, RECONCILE)
        held: dict[tuple[str, int], pb.Report] = {}
        request = pb.ReconcileRequest(worker=name, incarnation="first")
        while True:
            try:
                answer = await stub(request, timeout=25)
            except grpc.aio.AioRpcError:  # As a real worker does: it asks again.
                self.tally.broken += 1
                await asyncio.sleep(0.5)
                continue
            self.tally.exchanges += 1
            self.tally.heard.add(name)
            assert not answer.unknown, name
            for want in answer.attempts:
                key = want.task, want.attempt
                if key not in held:
                    held[key] = pb.Report(task=want.task, attempt=want.attempt, state="running")
                    self.tally.received += 1
            if self.tally.wanted and self.tally.received >= self.tally.wanted:
                self.tally.all_there.set()
            request = pb.ReconcileRequest(
                worker=name,
                incarnation="first",
                reports=held.values(),
                acted_on=answer.version,
                known=answer.token,
            )

    async def status_s(self) -> float:
        """Seconds that a user waits for the cluster's state."""
        began = time.perf_counter()
        await self._stub(0, GET_STATUS)(pb.GetStatusRequest(), timeout=30)
        return time.perf_counter() - began

    async def dispatch_s(self, tasks: int) -> float:
        """Seconds from asking for so many tasks until their workers have heard of each."""
        launch = pb.Launch(command=["true"]).SerializeToString()
        spec = pb.JobSpec(
            user="user",
            name=f"burst-{time.time_ns()}",
            replicas=tasks,
            band="batch",
            resources=pb.Resources(cpu_milli=1_000, memory_bytes=1 << 20),
            payload=hashlib.sha256(launch).hexdigest(),
        )
        self.tally.received, self.tally.wanted = 0, tasks
        self.tally.all_there.clear()
        request = pb.SubmitJobRequest(
            request_id=spec.name, spec=spec, blobs=[pb.Blob(content=launch)]
        )
        began = time.perf_counter()
        await self._stub(1, SUBMIT_JOB)(request, timeout=60)
        await asyncio.wait_for(self.tally.all_there.wait(), 120)
        return time.perf_counter() - began

    async def close(self) -> None:
        """Disconnect."""
        for channel in self._channels:
            await channel.close()


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


async def _measure(
    pid: int, port: int, names: Sequence[str], span_s: float, tasks: int
) -> dict[str, float]:
    clients = Clients(port, names)
    working = [asyncio.create_task(clients.work(number)) for number in range(len(names))]
    for _ in count():
        if len(clients.tally.heard) == len(names):
            break
        for task in working:
            if task.done():
                task.result()
        await asyncio.sleep(0.1)
    before, exchanges, began = _cpu_s(pid), clients.tally.exchanges, time.monotonic()
    waits = []
    while time.monotonic() - began < span_s:
        waits.append(await clients.status_s())
        await asyncio.sleep(span_s / 20)
    passed = time.monotonic() - began
    found = {
        "share": (_cpu_s(pid) - before) / passed,
        "exchanges_s": (clients.tally.exchanges - exchanges) / passed,
        "status_s": sorted(waits)[len(waits) // 2],
        "broken": clients.tally.broken,
        "dispatch_s": await clients.dispatch_s(tasks),
    }
    for task in working:
        task.cancel()
    await asyncio.gather(*working, return_exceptions=True)
    await clients.close()
    return found


def measure(*, workers: int = 10_000, span_s: float = 30.0, tasks: int = 5_000) -> list[Figure]:
    """The controller's share of a core while all workers report, and a burst of dispatches to them."""
    with tempfile.TemporaryDirectory(prefix="iris-reporting-") as name:
        folder = Path(name)
        prepare(folder, workers)
        command = [sys.executable, "-m", "tests.benchmarks.reporting", str(folder)]
        began = time.monotonic()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                port = int(server.stdout.readline())
                up_s = time.monotonic() - began
                names = json.loads((folder / "workers.json").read_text())
                found = asyncio.run(_measure(server.pid, port, names, span_s, tasks))
            finally:
                server.kill()
    return [
        Figure(
            f"{workers:,} workers reporting, simulated clients over gRPC",
            "under one core",
            f"{found['share']:.2f} cores at {found['exchanges_s']:,.0f} exchanges/s,"
            f" {found['broken']:,.0f} broke off",
            f"a user's status call meanwhile: {milliseconds(found['status_s'])}; start {up_s:.1f} s",
        ),
        Figure(
            f"{tasks:,} dispatches over the wire: submitted, decided, journalled, received",
            "under 300 ms",
            milliseconds(found["dispatch_s"]),
            "the clients run in one process on the other core",
        ),
    ]


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
