"""Carries out what the agent asks for: sets attempts up, runs them, ships what they say and return.

Every attempt has a folder, named by a digest of its name, with a description in it that is written
before anything else: what a restarted worker finds there, it takes up.
"""

import asyncio
import hashlib
import json
import logging
import shutil
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from iris.cluster.worker.archive import BadArchive, unpack
from iris.cluster.worker.environments import NOTE_FILE, Environments, say
from iris.cluster.worker.plan import CALL_FILE, RESULT_FILE, WORK_FOLDER, Host, plan_of
from iris.cluster.worker.ports import NoPort, Ports
from iris.cluster.worker.runtime import LOG_FILE, BuildError, LaunchError, TaskRuntime
from iris.cluster.worker.shipping import Shipper
from iris.core.agent import Ended, Fact, Found, Started
from iris.core.ids import TaskId, attempt_name
from iris.core.retry import EndCause
from iris.rpc import iris_pb2 as pb
from iris.rpc.aio import AioChannel
from iris.rpc.errors import RemoteError
from iris.rpc.methods import CHUNK_BYTES, GET_BLOB, PUT_RESULT

_DESCRIPTION: Final = "attempt.json"
_RETRY_S: Final = 0.5
_FETCHES: Final = 5
_ROOM: Final = 5
"""Times the least free disk: below it environments that nothing uses are removed."""

_log = logging.getLogger(__name__)


class Attempts:
    """All attempts of a host, as folders and as tasks of the event loop."""

    def __init__(  # noqa: PLR0913
        self,
        root: Path,
        channel: AioChannel,
        runtime: TaskRuntime,
        environments: Environments,
        deliver: Callable[[Fact], None],
        *,
        min_free_disk: int = 0,
    ) -> None:
        """The attempts below `root`; what happens to them is told by `deliver`.

        Args:
            root: the worker's folder.
            channel: to the controller.
            runtime: what runs them.
            environments: what they run in.
            deliver: takes facts.
            min_free_disk: bytes; where less is free, nothing new is launched.
        """
        self._min_free_disk = min_free_disk
        self._root = root / "attempts"
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._channel = channel
        self._runtime = runtime
        self._environments = environments
        self._deliver = deliver
        self._ports = Ports()
        self._tasks: dict[Path, asyncio.Task[None]] = {}
        self._setting_up: dict[Path, asyncio.Task[None]] = {}

    def folder(self, task: TaskId, attempt: int) -> Path:
        """Where an attempt's things are, or would be."""
        digest = hashlib.sha256(attempt_name(task, attempt).encode()).hexdigest()
        return self._root / digest[:20]

    # ---- what the agent asks for -----------------------------------------------------------------

    async def adopt(self) -> list[Found]:
        """What a former run of this worker has left, running or ended.

        Raises:
            LaunchError: nothing can be run here.
        """
        for folder in self._root.iterdir():
            if not (folder / _DESCRIPTION).exists():
                shutil.rmtree(folder, ignore_errors=True)
        described = sorted(self._root.glob(f"*/{_DESCRIPTION}"))
        await self._runtime.adopt([path.parent for path in described])
        return list(self._taken_up(described))

    def _taken_up(self, paths: Iterable[Path]) -> Iterator[Found]:
        for path in paths:
            described = json.loads(path.read_text(encoding="utf-8"))
            task, attempt = TaskId(described["task"]), int(described["attempt"])
            yield Found(task, attempt)
            self._follow(path.parent, task, attempt)

    def launch(self, wanted: pb.Wanted, host: Host) -> None:
        """Set an attempt up and run it."""
        task, attempt = TaskId(wanted.task), wanted.attempt
        folder = self.folder(task, attempt)
        if folder in self._tasks:
            return
        setup = asyncio.ensure_future(self._set_up(folder, wanted, host))
        self._setting_up[folder] = setup
        self._tasks[folder] = asyncio.ensure_future(self._attempt(folder, setup, task, attempt))

    def terminate(self, task: TaskId, attempt: int) -> None:
        """Ask an attempt to end, or give up setting it up."""
        folder = self.folder(task, attempt)
        setup = self._setting_up.get(folder)
        if setup is not None and not setup.done():
            setup.cancel()
        else:
            self._runtime.terminate(folder)

    def kill(self, task: TaskId, attempt: int) -> None:
        """End an attempt now."""
        folder = self.folder(task, attempt)
        setup = self._setting_up.get(folder)
        if setup is not None:
            setup.cancel()
        self._runtime.kill(folder)

    def discard(self, task: TaskId, attempt: int) -> None:
        """Remove what is left of an attempt."""
        folder = self.folder(task, attempt)
        work = self._tasks.pop(folder, None)
        if work is not None:
            work.cancel()
        # The description goes first: what is left without one is nobody's, and removed at a start.
        (folder / _DESCRIPTION).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)

    async def close(self) -> None:
        """Stop following; the attempts themselves go on."""
        tasks = [*self._tasks.values(), *self._setting_up.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # ---- one attempt -----------------------------------------------------------------------------

    async def _attempt(
        self, folder: Path, setup: "asyncio.Task[None]", task: TaskId, attempt: int
    ) -> None:
        try:
            await setup
        except asyncio.CancelledError:
            if not setup.cancelled():
                raise
            self._deliver(Ended(task, attempt, EndCause.REQUESTED, "stopped while it was set up"))
            return
        # Whatever it is, the attempt must end and its controller must hear of it.
        except Exception as error:  # noqa: BLE001
            if not isinstance(error, LaunchError | BadArchive | RemoteError | OSError):
                _log.error("%s@%d could not be set up", task, attempt, exc_info=error)
            with suppress(OSError):  # A full disk takes no more words either.
                say(folder / LOG_FILE, f"cannot launch: {error}")
            await self._ship(folder, task, attempt)
            self._deliver(Ended(task, attempt, self._cause_of(error), str(error)))
            return
        finally:
            self._setting_up.pop(folder, None)
        self._deliver(Started(task, attempt))
        await self._to_its_end(folder, task, attempt)

    def _follow(self, folder: Path, task: TaskId, attempt: int) -> None:
        work = self._to_its_end(folder, task, attempt)
        self._tasks[folder] = asyncio.ensure_future(work)

    async def _to_its_end(self, folder: Path, task: TaskId, attempt: int) -> None:
        shipper = Shipper(self._channel, folder / LOG_FILE, task, attempt)
        shipping = asyncio.ensure_future(shipper.run())
        try:
            ended = await self._runtime.wait(folder, task, attempt)
            shipper.finish()
            await shipping
            await self._send_result(folder, task, attempt)
        finally:
            shipping.cancel()
        self._deliver(ended)

    async def _ship(self, folder: Path, task: TaskId, attempt: int) -> None:
        shipper = Shipper(self._channel, folder / LOG_FILE, task, attempt)
        shipper.finish()
        await shipper.run()

    async def _send_result(self, folder: Path, task: TaskId, attempt: int) -> None:
        path = folder / RESULT_FILE
        while path.is_file():
            try:
                await self._channel.send(PUT_RESULT, _pieces(path, task, attempt))
            except RemoteError as error:
                if not error.is_passing:
                    say(folder / LOG_FILE, f"the result was not taken: {error}")
                    await self._ship(folder, task, attempt)
                    return
                await asyncio.sleep(_RETRY_S)
            else:
                return

    # ---- setting up --------------------------------------------------------------------------------

    async def _set_up(self, folder: Path, wanted: pb.Wanted, host: Host) -> None:
        if (folder / _DESCRIPTION).exists():
            return
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        await self._find_room()
        description = {"task": wanted.task, "attempt": wanted.attempt}
        beside = folder / f"{_DESCRIPTION}.new"
        beside.write_text(json.dumps(description), encoding="utf-8")
        if not wanted.launch:
            what = f"the job's description, blob {wanted.spec.payload}"
            raise LaunchError(f"{what}, is not in the controller's store any more")
        launch = pb.Launch.FromString(wanted.launch)
        if launch.call:
            await self._fetch(launch.call, folder / CALL_FILE)
        (folder / WORK_FOLDER).mkdir(exist_ok=True)
        if launch.bundle:
            archive = folder / "bundle.tar"
            await self._fetch(launch.bundle, archive)
            await asyncio.to_thread(unpack, archive, folder / WORK_FOLDER)
            archive.unlink()
        prepared = await self._environments.prepare(
            launch, folder / WORK_FOLDER, folder / LOG_FILE, note=folder / NOTE_FILE
        )
        self._claim_coordinator(wanted, folder)
        ports = self._ports.take(wanted.spec.ports, folder)
        layout = self._runtime.layout(folder)
        plan = plan_of(wanted, folder, layout, host=host, ports=ports, prepared=prepared)
        beside.replace(folder / _DESCRIPTION)
        await self._runtime.run(plan)

    def _claim_coordinator(self, wanted: pb.Wanted, folder: Path) -> None:
        """Have rank 0 of a gang meet nobody where the others look for it; the next attempt looks elsewhere."""
        if wanted.spec.coscheduled and wanted.rank == 0 and wanted.coordinator:
            try:
                self._ports.claim(int(wanted.coordinator.rpartition(":")[2]), folder)
            except NoPort as error:
                raise BuildError(
                    f"the gang cannot meet at {wanted.coordinator}: {error}"
                ) from error

    def _cause_of(self, error: Exception) -> EndCause:
        """Whether what the job brings cannot be made ready, or this host, perhaps for its full disk."""
        its_own = isinstance(error, BuildError | BadArchive)
        if its_own and self._free_disk() >= self._min_free_disk:
            return EndCause.BUILD
        return EndCause.LAUNCH

    def _free_disk(self) -> int:
        return shutil.disk_usage(self._root).free

    async def _find_room(self) -> None:
        """Refuse to launch on a full disk; before it is full, give up what nothing uses."""
        high = _ROOM * self._min_free_disk
        if self._free_disk() < high:
            await self._environments.make_room(lambda: self._free_disk() >= high)
        free = self._free_disk()
        if free < self._min_free_disk:
            sizes = f"{free >> 20} MiB free, less than {self._min_free_disk >> 20} MiB"
            raise LaunchError(f"this host's disk has {sizes}; nothing new is launched there")

    async def _fetch(self, digest: str, target: Path) -> None:
        """Get a blob by its digest; what arrives damaged is not used."""
        for left in reversed(range(_FETCHES)):
            try:
                found = hashlib.sha256()
                with target.open("wb") as file:
                    stream = self._channel.stream(GET_BLOB, pb.GetBlobRequest(sha256=digest))
                    async for chunk in stream:
                        found.update(chunk.content)
                        file.write(chunk.content)
            except RemoteError as error:
                if not (error.is_passing and left):
                    raise
                await asyncio.sleep(_RETRY_S)
            else:
                if found.hexdigest() == digest:
                    return
        raise LaunchError(f"blob {digest} arrived damaged")


async def _pieces(path: Path, task: TaskId, attempt: int) -> AsyncIterator[pb.PutResultRequest]:
    with path.open("rb") as file:
        while piece := file.read(CHUNK_BYTES):
            yield pb.PutResultRequest(task=task, attempt=attempt, content=piece)
