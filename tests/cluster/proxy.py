"""A network between workers and their controller that can be made worse: slow, cut, deaf, one way only."""

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

_T = TypeVar("_T")

PIECE = 1 << 16


class _Link:
    """One connection through the proxy."""

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self.near = near
        self.far = far

    def reset(self) -> None:
        """Cut it as a network does: with a reset, and without a farewell."""
        for writer in (self.near, self.far):
            sock = writer.get_extra_info("socket")
            if sock is not None:
                with suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            writer.transport.abort()


class Proxy:
    """Forwards connections to a port or a socket's path, as well as its network is at the moment."""

    def __init__(self, target: int | Path) -> None:
        """A good network; `port` is its near end."""
        self._target = target
        self._links: set[_Link] = set()
        self._open = [True, True]
        """Whether bytes go to the controller, and back."""
        self._gate: list[asyncio.Event] = []
        self._delay_s = 0.0
        self._refusing = False
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._ready.wait()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # ---- the weather -----------------------------------------------------------------------

    def well(self) -> None:
        """As good as new; bytes that were held back go on."""
        self._call(lambda: self._set(there=True, back=True, delay_s=0.0, refusing=False))

    def slow(self, delay_s: float) -> None:
        """Every piece comes later."""
        self._call(lambda: self._set(there=True, back=True, delay_s=delay_s, refusing=False))

    def deaf(self, *, there: bool, back: bool) -> None:
        """Connections stay, and no byte passes in a direction that is not open; new ones, too."""
        self._call(lambda: self._set(there=there, back=back, delay_s=0.0, refusing=False))

    def cut(self) -> None:
        """Reset every connection; new ones are as before."""
        self._call(self._reset_all)

    def away(self) -> None:
        """Reset every connection, and every new one."""

        def vanish() -> None:
            self._set(there=True, back=True, delay_s=0.0, refusing=True)
            self._reset_all()

        self._call(vanish)

    def close(self) -> None:
        """End."""
        self.away()
        self._call(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # ---- inside ----------------------------------------------------------------------------

    def _call(self, change: Callable[[], _T]) -> _T:
        async def do() -> _T:
            return change()

        return asyncio.run_coroutine_threadsafe(do(), self._loop).result(10)

    def _set(self, *, there: bool, back: bool, delay_s: float, refusing: bool) -> None:
        self._delay_s, self._refusing = delay_s, refusing
        for gate, is_open in zip(self._gate, (there, back), strict=True):
            if is_open:
                gate.set()
            else:
                gate.clear()

    def _reset_all(self) -> None:
        for link in list(self._links):
            link.reset()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.05))

    async def _listen(self) -> None:
        self._gate = [asyncio.Event(), asyncio.Event()]
        for gate in self._gate:
            gate.set()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = int(server.sockets[0].getsockname()[1])
        self._server = server
        self._ready.set()

    async def _serve(self, reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        try:
            if isinstance(self._target, Path):
                source, far = await asyncio.open_unix_connection(self._target)
            else:
                source, far = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            near.transport.abort()
            return
        link = _Link(near, far)
        self._links.add(link)
        if self._refusing:
            link.reset()
        ways = [
            asyncio.ensure_future(self._pump(reader, far, 0)),
            asyncio.ensure_future(self._pump(source, near, 1)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            self._links.discard(link)
            for writer in (near, far):
                writer.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: int
    ) -> None:
        with suppress(OSError):
            while piece := await reader.read(PIECE):
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                await self._gate[way].wait()
                writer.write(piece)
                await writer.drain()
