"""A folder of an object store, by URL: whole objects are put, fetched, listed and removed.

The store's own library does the work (fsspec and what it finds for the scheme), in threads that no
shutdown waits for: a store that has gone silent must not keep a controller from ending.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

DEADLINE_S: Final = 600.0
"""For one object, the largest of which is 4 GiB."""
_PROBE: Final = ".iris"
_T = TypeVar("_T")


class StoreUnavailable(Exception):
    """The store did not do what it was asked; says which setting, which URL, and the library's own words."""


class NoSuchStore(Exception):
    """No library here knows this kind of URL."""


class ObjectFolder:
    """All objects below one URL; a key is what stands behind it."""

    def __init__(self, url: str, setting: str) -> None:
        """A folder that nobody has asked yet.

        Args:
            url: such as `gs://bucket/iris/logs`.
            setting: the key of the configuration that names it, for messages.

        Raises:
            NoSuchStore: a library is missing, or the scheme is none.
        """
        self._what = f"{setting}: {url!r}"
        try:
            import fsspec

            files, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            hint = "object stores need `pip install 'iris-orchestrator[storage]'`"
            raise NoSuchStore(f"{self._what}: {error}; {hint}") from error
        except Exception as error:
            raise NoSuchStore(f"{self._what}: {error}") from error
        self._files: Any = files
        self._root = str(root).rstrip("/")

    async def put(self, path: Path, key: str) -> None:
        """Store a file's content under a key, instead of what was there."""
        await self._do(lambda: self._files.put_file(str(path), self._at(key)))

    async def get(self, key: str, path: Path) -> bool:
        """Write an object to a file; whether there is such an object."""

        def work() -> bool:
            try:
                self._files.get_file(self._at(key), str(path))
            except FileNotFoundError:
                return False
            return True

        return await self._do(work)

    async def sizes(self, below: str = "") -> dict[str, int]:
        """Every key below a folder, or all, with its object's size in bytes."""

        def work() -> dict[str, int]:
            self._files.invalidate_cache()
            found = self._files.find(self._at(below) if below else self._root, detail=True)
            keys = {name[len(self._root) + 1 :]: row["size"] for name, row in found.items()}
            return {key: int(size) for key, size in keys.items() if not key.startswith(".")}

        return await self._do(work)

    async def modified(self, key: str) -> float:
        """When an object was put, in seconds of the system's clock."""
        return await self._do(lambda: float(self._files.modified(self._at(key)).timestamp()))

    async def remove(self, keys: Iterable[str]) -> None:
        """Remove objects; one that is gone already is no error."""

        def work() -> None:
            for key in keys:
                with suppress(FileNotFoundError):
                    self._files.rm_file(self._at(key))

        await self._do(work)

    async def check(self, version: str) -> None:
        """Put a small object, which says whose folder this is: whether the store lets us write."""
        await self._do(lambda: self._files.pipe_file(self._at(_PROBE), version.encode()))

    def _at(self, key: str) -> str:
        return f"{self._root}/{key}"

    async def _do(self, work: Callable[[], _T]) -> _T:
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await _in_a_thread(work)
        except Exception as error:
            said = "no answer" if isinstance(error, TimeoutError) else str(error)
            raise StoreUnavailable(f"{self._what}: {said or type(error).__name__}") from error


def _in_a_thread(work: Callable[[], _T]) -> "asyncio.Future[_T]":
    """Begin it in a thread of its own, which dies with the process."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_T] = loop.create_future()

    def tell(act: Callable[[Any], None], value: object) -> None:
        if not future.done():
            act(value)

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001
            with suppress(RuntimeError):  # The loop has ended, and nobody waits.
                loop.call_soon_threadsafe(tell, future.set_exception, error)
        else:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(tell, future.set_result, result)

    threading.Thread(target=run, name="object-store", daemon=True).start()
    return future
