"""How long a whole controller process takes from its start to its first answer, with a large journal on the disk.

`python -m tests.benchmarks.restart FOLDER PORT WORKERS` is that process. Its cloud takes every question and
answers none, so that what was recovered stands as it was; all else is the controller's own.
"""

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from iris.cluster.controller.journal import SqliteJournal
from iris.cluster.controller.recovery import JOURNAL_FILE
from iris.cluster.controller.service import ControllerService, Options
from iris.config import load_cluster
from iris.core.effects import CreateSlice, DeleteSlice, ObserveSlices
from iris.core.events import ConfigLoaded, Event
from iris.core.record import Turn
from iris.core.snapshot import Snapshot, snapshot
from iris.garbage import rare_collections
from iris.ports import NoLog, VmPlace
from iris.rpc import iris_pb2 as pb
from iris.rpc.addresses import parse_address
from iris.rpc.channel import Channel
from iris.rpc.errors import RemoteError
from iris.rpc.methods import GET_STATUS
from tests.benchmarks.crowds import CORES, Crowd, jobs, submissions
from tests.benchmarks.figures import Figure, milliseconds, timed
from tests.cluster.running import free_port, until

_CONFIG: Final = "cluster.yaml"
_WITHIN_S: Final = 120.0


def measure(*, tasks: int = 100_000, later: int = 1_000) -> list[Figure]:
    """Out of turns alone, and out of a snapshot and the turns after; beside an empty journal."""
    workers = tasks // CORES
    crowd = Crowd(workers)
    batches = jobs(tasks // 100, tasks=100)
    for start in range(0, len(batches), 10):
        crowd.step(*submissions(batches[start : start + 10]))
        crowd.run_all()
    image, known = snapshot(crowd.controller.state), len(crowd.turns)
    for spec in jobs(later, user="late"):
        crowd.step(*submissions([spec]))
    empty, _ = _answered(workers, (), None)

    def figure(what: str, turns: Sequence[Turn], image: Snapshot | None) -> Figure:
        seconds, mib = _answered(workers, turns, image)
        beside = f"with an empty journal {milliseconds(empty)}; at most {mib:,.0f} MiB"
        return Figure(f"{what}, whole process", "under 3 s", milliseconds(seconds), beside)

    tail = crowd.turns[known:]
    return [
        figure(f"restart, {tasks:,} tasks in {known:,} turns", crowd.turns, None),
        figure(f"restart, {tasks:,} tasks in a snapshot, {later:,} turns after", tail, image),
    ]


def _answered(workers: int, turns: Sequence[Turn], image: Snapshot | None) -> tuple[float, float]:
    """Seconds from the start of the process to its first answer, and the most memory it had till then, in MiB."""
    with tempfile.TemporaryDirectory(prefix="iris-restart-") as name:
        folder = Path(name)
        journal = SqliteJournal(folder / JOURNAL_FILE)
        if image is not None:
            journal.save(image)
        for turn in turns:
            journal.append(turn)
        journal.close()
        seconds, (status, peak) = timed(lambda: _first_answer(folder, workers))
        assert status.recovered_turns == len(turns)
        return seconds, peak


def _first_answer(folder: Path, workers: int) -> tuple[pb.GetStatusResponse, float]:
    with _process(folder, workers) as (process, channel):
        found: list[pb.GetStatusResponse] = []

        def answers() -> bool:
            with suppress(RemoteError):
                found.append(channel.call(GET_STATUS, pb.GetStatusRequest()))
            assert process.poll() is None, "the controller has ended"
            return bool(found)

        until(answers, _WITHIN_S)
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
        return found[0], peak / 1_024


@contextmanager
def _process(folder: Path, workers: int) -> Iterator[tuple["subprocess.Popen[bytes]", Channel]]:
    port = free_port()
    command = [sys.executable, "-m", "tests.benchmarks.restart", str(folder), str(port)]
    process = subprocess.Popen([*command, str(workers)])
    channel = Channel(parse_address(f"http://127.0.0.1:{port}"))
    try:
        yield process, channel
    finally:
        channel.close()
        process.kill()
        process.wait()


class Mute:
    """A cloud that answers nothing."""

    async def create_slice(self, request: CreateSlice) -> Sequence[Event]:
        """Never."""
        return await _never(request)

    async def delete_slice(self, request: DeleteSlice) -> Sequence[Event]:
        """Never."""
        return await _never(request)

    async def observe(self, request: ObserveSlices) -> Sequence[Event]:
        """Never."""
        return await _never(request)

    async def watch(self) -> None:
        """Nothing is ever lost."""
        await asyncio.Event().wait()

    async def log(self, vm: VmPlace, most_bytes: int) -> bytes:
        """Nobody says anything."""
        raise NoLog(f"{vm}: {most_bytes} bytes of nothing")

    async def end_all(self) -> None:
        """Nothing is there."""


async def _never(_request: object) -> Sequence[Event]:
    await asyncio.Event().wait()
    return ()


def main(folder: str, port: str, workers: str) -> None:
    """Be the controller."""
    path = Path(folder) / _CONFIG
    path.write_text(
        "provider: {type: local}\nscale_groups: {cpu: {accelerator_type: cpu, max_slices: 1}}\n"
    )
    (first,) = Crowd(1).turns[0].events
    assert isinstance(first, ConfigLoaded)
    group = replace(first.spec.groups[0], min_slices=int(workers), max_slices=int(workers))
    config = replace(load_cluster(path), spec=replace(first.spec, groups=(group,)))
    options = Options(Path(folder), int(port), end_workers=False)
    with rare_collections():
        asyncio.run(ControllerService(config, options, lambda _: Mute()).serve(lambda _: None))


if __name__ == "__main__":
    main(*sys.argv[1:])
