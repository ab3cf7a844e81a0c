"""Hosts by SSH: one connection to each, kept, over which requests go to `iris.cluster.vm.on_host`.

A host must show the key that is on file for it; one that is not known, or shows another key, is refused.
Every call has its deadline, and only so many are under way at once.
"""

import asyncio
import json
import logging
import shlex
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from iris.cluster.log_lines import VARIABLE, log_format
from iris.config import Ssh

if TYPE_CHECKING:
    import asyncssh

_ON_HOST: Final = "iris.cluster.vm.on_host"
_CONNECT_S: Final = 10.0
_KEEPALIVE_S: Final = 15.0
"""A host that leaves three such questions without an answer is not there."""
_CALLS_AT_ONCE: Final = 32
_NOT_FOUND: Final = 127
_PORT: Final = 22

_log = logging.getLogger(__name__)


class Unreachable(Exception):
    """A host did not answer, or not as one of ours does; says why."""


class NoLibrary(Exception):
    """What speaks SSH is not installed."""


class SshHosts:
    """The hosts, by their addresses."""

    def __init__(self, settings: Ssh, python: str, module: str = _ON_HOST) -> None:
        """Nobody is called yet.

        Args:
            settings: how hosts are reached.
            python: the program that has Iris there.
            module: what answers requests there.

        Raises:
            NoLibrary: says what to install.
            OSError: the key cannot be read.
        """
        try:
            import asyncssh
        except ImportError as error:
            message = "manual hosts need a library: pip install 'iris-orchestrator[manual]'"
            raise NoLibrary(message) from error
        asyncssh.set_log_level(logging.WARNING)
        self._settings = settings
        self._known = settings.known_hosts or Path("~/.ssh/known_hosts").expanduser()
        # What is started there inherits it.
        told = shlex.quote(f"{VARIABLE}={log_format()}")
        self._command = f"env {told} {shlex.quote(python)} -P -m {module}"
        self._python = python
        if settings.key is not None:
            settings.key.read_bytes()
        self._slots = asyncio.Semaphore(_CALLS_AT_ONCE)
        self._connections: dict[str, asyncssh.SSHClientConnection] = {}
        self._doors: dict[str, asyncio.Lock] = {}

    async def call(
        self, address: str, request: Mapping[str, object], seconds: float
    ) -> dict[str, Any]:
        """A host's answer to a request.

        Raises:
            Unreachable: there was none in that time.
        """
        async with self._slots:
            try:
                async with asyncio.timeout(seconds):
                    return await self._ask(address, request)
            except TimeoutError:
                self._drop(address)  # What hangs there shall not hold up the next.
                raise Unreachable(f"no answer in {seconds:g} s") from None

    async def attend(self, address: str, request: Mapping[str, object]) -> dict[str, Any]:
        """A host's answer to a request that it may answer much later, or never.

        Raises:
            Unreachable: the connection is lost.
        """
        async with self._slots:
            await self._reached(address)
        return await self._ask(address, request)

    async def own_address(self, address: str) -> str:
        """The address of this machine that a host sees.

        Raises:
            Unreachable: there is no connection.
        """
        connection = await self._reached(address)
        return str(connection.get_extra_info("sockname")[0])

    async def forward(self, address: str, port: int) -> int:
        """A port of this machine's loopback that leads to a port of the host's.

        Raises:
            Unreachable: there is no connection.
        """
        import asyncssh

        connection = await self._reached(address)
        try:
            listener = await connection.forward_local_port("127.0.0.1", 0, "127.0.0.1", port)
        except (asyncssh.Error, OSError) as error:
            raise Unreachable(_words(error)) from error
        return int(listener.get_port())

    def close(self) -> None:
        """Drop all connections; what was started on the hosts goes on."""
        for address in list(self._connections):
            self._drop(address)

    # ---- one request ---------------------------------------------------------------------------

    async def _ask(self, address: str, request: Mapping[str, object]) -> dict[str, Any]:
        import asyncssh

        while True:
            kept = address in self._connections
            connection = await self._reached(address)
            try:
                return await self._exchange(connection, request)
            except (asyncssh.Error, OSError) as error:
                self._drop(address)
                if not kept:  # Else the host may be there all the same.
                    raise Unreachable(_words(error)) from error

    async def _exchange(
        self, connection: "asyncssh.SSHClientConnection", request: Mapping[str, object]
    ) -> dict[str, Any]:
        process = await connection.create_process(self._command)
        try:
            with suppress(OSError):  # Whoever ended before it was asked says why by its status.
                process.stdin.write(f"{json.dumps(request)}\n")
            done = await process.wait()
        finally:
            process.close()
        said = str(done.stdout or "").strip().rpartition("\n")[2]
        with suppress(ValueError):
            found = json.loads(said)
            if isinstance(found, dict) and "iris" in found:
                return found
        if done.exit_status is None:
            raise OSError("the connection was lost")
        raise Unreachable(self._misunderstood(done.exit_status, str(done.stderr or "")))

    def _misunderstood(self, status: int, complaint: str) -> str:
        last = complaint.strip().rpartition("\n")[2]
        if status == _NOT_FOUND:
            return f"{self._python} is not there: name another one by provider.python ({last})"
        if "No module named" in last:
            remedy = "pip install iris-orchestrator there, or name another by provider.python"
            return f"{self._python} there has no Iris of this version ({last}): {remedy}"
        return f"{self._python} there ended with exit status {status}: {last or 'without a word'}"

    # ---- connections ---------------------------------------------------------------------------

    async def _reached(self, address: str) -> "asyncssh.SSHClientConnection":
        import asyncssh

        async with self._doors.setdefault(address, asyncio.Lock()):
            connection = self._connections.get(address)
            if connection is not None and not connection.is_closed():
                return connection
            try:
                connection = await self._connect(address)
            except (asyncssh.Error, asyncssh.KeyImportError, OSError, ValueError) as error:
                raise Unreachable(self._refusal(error, address, self._settings.port)) from error
            self._connections[address] = connection
            return connection

    async def _connect(self, address: str) -> "asyncssh.SSHClientConnection":
        import asyncssh

        jump = self._settings.jump
        if jump is None:
            return await self._open(address, self._settings.user, self._settings.port)
        user, _, place = jump.rpartition("@")
        host, port = _place(place)
        async with self._doors.setdefault(f"jump {jump}", asyncio.Lock()):
            between = self._connections.get(jump)
            if between is None or between.is_closed():
                try:
                    between = await self._open(host, user or self._settings.user, port)
                except (asyncssh.Error, OSError, ValueError) as error:
                    why = self._refusal(error, host, port)
                    raise OSError(f"by way of {jump}: {why}") from error
                self._connections[jump] = between
        return await self._open(address, self._settings.user, self._settings.port, between)

    async def _open(
        self,
        host: str,
        user: str | None,
        port: int,
        tunnel: "asyncssh.SSHClientConnection | None" = None,
    ) -> "asyncssh.SSHClientConnection":
        import asyncssh

        if not self._known.is_file():
            raise OSError(f"there is no {self._known}, which would hold the keys of known hosts")
        given: dict[str, Any] = {} if user is None else {"username": user}
        if self._settings.key is not None:
            given["client_keys"] = [str(self._settings.key)]
        return await asyncssh.connect(
            host,
            port,
            tunnel=tunnel,
            known_hosts=str(self._known),
            connect_timeout=_CONNECT_S,
            login_timeout=_CONNECT_S,
            keepalive_interval=_KEEPALIVE_S,
            password_auth=False,
            kbdint_auth=False,
            **given,
        )

    def _refusal(self, error: Exception, host: str, port: int) -> str:
        """Why there is no connection, and what to do."""
        import asyncssh

        if not isinstance(error, asyncssh.HostKeyNotVerifiable):
            if isinstance(error, asyncssh.PermissionDenied):
                return f"it lets nobody in by this key ({error.reason})"
            return _words(error)
        name = host if port == _PORT else f"[{host}]:{port}"
        known, *_ = asyncssh.match_known_hosts(str(self._known), host, "", port)
        if known:
            return (
                f"its key is not the one in {self._known}: it is another machine, or was made anew;"
                f" if you know that, `ssh-keygen -f {self._known} -R {name}` and add its new key"
            )
        way = f"ssh-keyscan -p {port} {host}"
        return f"its key is not in {self._known}: compare what `{way}` says, and add it"

    def _drop(self, address: str) -> None:
        connection = self._connections.pop(address, None)
        if connection is not None:
            connection.abort()


def _place(text: str) -> tuple[str, int]:
    """Host and port of `host`, `host:22` or `[::1]:22`."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.lstrip(":")
    else:
        host, _, port = text.partition(":")
    return host, int(port) if port else _PORT


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
