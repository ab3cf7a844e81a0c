"""Keeps blobs, logs and results in an object store, with the controller's folder as the working copy.

A blob is in the store before anybody is told that it is kept. Logs and results follow when they
have been quiet for a moment; what was missed is found by comparing sizes, so nothing has to be
remembered over a crash. A local log goes when it is stored and old, and comes back when it is read.
"""

import asyncio
import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from iris import __version__
from iris.cluster.controller.janitor import UNUSED_S, used_blobs
from iris.cluster.controller.objects import ObjectFolder, StoreUnavailable
from iris.cluster.controller.store import (
    Incoming,
    Store,
    job_folder,
    job_of_folder,
    place_of,
)
from iris.core.ids import JobId, TaskId
from iris.core.state import ClusterState

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How soon things move, in seconds."""

    look: float = 5.0
    """Between two looks at what there is to store."""
    quiet: float = 5.0
    """Without a change, after which a log is stored."""
    at_least: float = 600.0
    """The log of an attempt that never falls quiet is stored this often."""
    keep: float = 3_600.0
    """A stored log or result of an ended attempt stays in the folder for so long."""
    retry: float = 60.0
    """Between two tries while the store does not answer."""


@dataclass(frozen=True, slots=True)
class _Local:
    key: str
    path: Path
    size: int
    changed: float


class Mirror:
    """What of the store's folder is elsewhere, too."""

    def __init__(
        self,
        store: Store,
        bundles: ObjectFolder | None = None,
        logs: ObjectFolder | None = None,
        pace: Pace | None = None,
    ) -> None:
        """A mirror of `store`; without folders it has nothing to do."""
        self._store = store
        self._bundles = bundles
        self._logs = logs
        self._pace = pace if pace is not None else Pace()
        self._stored: dict[str, int] = {}
        self._stored_at: dict[str, float] = {}
        self._forgotten: set[JobId] = set()
        self._trouble: StoreUnavailable | None = None
        self._numbers = count()
        self._learned = bundles is None and logs is None

    # ---- blobs ---------------------------------------------------------------------------------

    async def put(self, content: bytes) -> str:
        """Keep a small blob, and return its digest.

        Raises:
            StoreUnavailable: it could not be stored, and is not kept.
        """
        digest = hashlib.sha256(content).hexdigest()
        if not self._store.want_blob(digest):
            incoming = self._store.receive_blob()
            incoming.write(content)
            await self.keep(incoming)
        return digest

    async def keep(self, incoming: Incoming) -> str:
        """Give a received blob its name, here and in the object store, and return its digest.

        Raises:
            StoreUnavailable: it could not be stored, and is not kept.
        """
        try:
            if self._bundles is not None:
                path, digest = incoming.settle()
                await self._bundles.put(path, digest)
            return incoming.keep()
        finally:
            incoming.drop()

    # ---- logs and results ----------------------------------------------------------------------

    async def bring_log(self, task: TaskId, attempt: int) -> None:
        """Have the log of an attempt in the folder, if there is one anywhere.

        Raises:
            StoreUnavailable: it may be in the store, which does not answer.
        """
        key = f"{place_of(task)}/{attempt}.log"
        await self._bring(self._store.log(task, attempt), key, self._store.logs)

    async def bring_result(self, task: TaskId, attempt: int) -> None:
        """Likewise its result."""
        key = f"{place_of(task)}/{attempt}.pickle"
        await self._bring(self._store.result(task, attempt), key, self._store.results)

    async def _bring(self, path: Path, key: str, root: Path) -> None:
        if self._logs is None or path.is_file():
            return
        if not self._learned:
            raise self._trouble or StoreUnavailable("storage.logs: it was not reached yet")
        if key in self._stored:
            # What a forgotten job left is not in `_stored` any more when it has arrived.
            await self._fetch(self._logs, key, path, root, lambda: key in self._stored)

    async def _fetch(
        self, there: ObjectFolder, key: str, path: Path, root: Path, wanted: Callable[[], bool]
    ) -> None:
        half = root / f".incoming-{next(self._numbers)}"
        try:
            if await there.get(key, half) and wanted() and not path.is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                half.replace(path)
        finally:
            half.unlink(missing_ok=True)

    def forget(self, job: JobId) -> None:
        """Remove what a job has left, here at once, in the object store soon."""
        self._store.forget(job)
        if self._logs is not None:
            self._disown(job)
            self._forgotten.add(job)

    def _disown(self, job: JobId) -> None:
        for key in _keys_of(job, self._stored):
            del self._stored[key]
            self._stored_at.pop(key, None)

    # ---- the work of keeping both alike --------------------------------------------------------

    async def learn(self, state: ClusterState) -> None:
        """Look what is stored, and bring the blobs that unended jobs need and the folder lacks.

        Raises:
            StoreUnavailable: the store does not let us read and write.
        """
        if self._logs is not None:
            await self._logs.check(__version__)
            self._stored = await self._logs.sizes()
            self._forgotten |= {_job_of(key) for key in self._stored} - state.jobs.keys()
        if self._bundles is not None:
            await self._bundles.check(__version__)
            await self._match_blobs(self._bundles, state)
        self._learned, self._trouble = True, None

    async def _match_blobs(self, bundles: ObjectFolder, state: ClusterState) -> None:
        there, blobs = (await bundles.sizes()).keys(), self._store.blobs
        # A description says what else its job needs, so all descriptions come first.
        for used in ({job.spec.payload for job in state.jobs.values()}, None):
            for digest in sorted(used_blobs(self._store, state) if used is None else used):
                here = self._store.blob(digest)
                if here is None and digest in there:
                    await self._fetch(bundles, digest, blobs / digest, blobs, lambda: True)
                elif here is not None and digest not in there:
                    await bundles.put(here, digest)
        for digest in sorted(there - used_blobs(self._store, state)):
            if self._store.blob(digest) is None:
                if await bundles.modified(digest) < time.time() - UNUSED_S:
                    await bundles.remove([digest])

    async def run(self, state: ClusterState, is_over: Callable[[TaskId, int], bool]) -> None:
        """Keep both alike, for ever.

        Args:
            state: the cluster as it is between two turns.
            is_over: whether an attempt can have no more output.
        """
        if self._bundles is None and self._logs is None:
            await asyncio.Event().wait()
        learned_at = time.monotonic()
        while True:
            wait = self._pace.look
            try:
                if not self._learned or time.monotonic() > learned_at + UNUSED_S:
                    await self.learn(state)
                    learned_at = time.monotonic()
                if self._logs is not None:
                    await self._store_logs(self._logs, is_over)
            except StoreUnavailable as error:
                if self._trouble is None:
                    _log.error("%s; it is tried again each minute", error)
                self._trouble, wait = error, self._pace.retry
            else:
                if self._trouble is not None:
                    _log.info("the object store answers again")
                self._trouble = None
            await asyncio.sleep(wait)

    async def _store_logs(self, logs: ObjectFolder, is_over: Callable[[TaskId, int], bool]) -> None:
        for job in sorted(self._forgotten):
            await logs.remove(_keys_of(job, await logs.sizes(job_folder(job))))
            self._disown(job)  # Under this name a new job may have stored something meanwhile.
            self._forgotten.discard(job)
        for found in await asyncio.to_thread(self._look):
            if self._is_due(found):
                await logs.put(found.path, found.key)
                self._stored[found.key] = found.size
                self._stored_at[found.key] = time.time()
            elif self._may_go(found) and is_over(*_attempt_of(found.key)):
                found.path.unlink()

    def _look(self) -> list[_Local]:
        """All logs and results in the folder."""
        files = []
        for root in (self._store.logs, self._store.results):
            for folder, _, names in os.walk(root):
                for name in sorted(names):
                    path = Path(folder, name)
                    try:
                        row = path.stat()
                    except FileNotFoundError:
                        continue
                    if not name.startswith("."):
                        key = str(path.relative_to(root))
                        files.append(_Local(key, path, row.st_size, row.st_mtime))
        return files

    def _is_due(self, found: _Local) -> bool:
        if self._stored.get(found.key) == found.size or not found.path.is_file():
            return False
        now = time.time()
        last = self._stored_at.setdefault(found.key, now)
        return now - found.changed >= self._pace.quiet or now - last >= self._pace.at_least

    def _may_go(self, found: _Local) -> bool:
        """Whether a file is stored as it is now, and old."""
        if self._stored.get(found.key) != found.size or not found.path.is_file():
            return False
        now = found.path.stat()
        return now.st_size == found.size and time.time() - now.st_mtime >= self._pace.keep


def _keys_of(job: JobId, keys: Iterable[str]) -> list[str]:
    """Those of a job's own tasks; what its children have left is below a `+`."""
    start = f"{job_folder(job)}/"
    return [key for key in keys if key.startswith(start) and key[len(start)] != "+"]


def _attempt_of(key: str) -> tuple[TaskId, int]:
    """The attempt whose log or result a key names."""
    *_, index, name = key.split("/")
    return TaskId(f"{_job_of(key)}:{index}"), int(name.partition(".")[0])


def _job_of(key: str) -> JobId:
    return job_of_folder(key.split("/")[:-2])
