"""The controller as a process of a host that is reached by SSH, as a manual cluster's hosts are."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from iris.cluster.vm.host import Found, HostTrouble, Say, Standing
from iris.cluster.vm.ssh import NoLibrary, SshHosts, Unreachable
from iris.config import ClusterConfig, Manual

MODULE: Final = "iris.cluster.vm.controller_on_host"
_PATIENCE_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class SshSettings:
    """Which host, and which controller."""

    address: str
    pool: Manual
    """How hosts are reached, and which Python has Iris there."""
    root: str
    """The controller's folder; one that is not absolute is below `provider.folder`."""
    port: int
    tls: bool
    config: Callable[[], str]
    """The text of its cluster.yaml, without secrets."""

    @property
    def url(self) -> str:
        """What its workers call."""
        return f"{'https' if self.tls else 'http'}://{self.address}:{self.port}"


def ssh_settings(
    config: ClusterConfig, pool: Manual, address: str, text: Callable[[], str]
) -> SshSettings:
    """Those of a configuration; its text is made when it is shipped."""
    controller = config.controller
    root, tls = config.storage.root, controller.tls is not None
    return SshSettings(address, pool, root, controller.port, tls, text)


class SshHost:
    """A host, for as long as one command takes."""

    def __init__(self, settings: SshSettings) -> None:
        self._settings = settings

    async def look(self) -> Found:
        """See whether its process runs, and takes connections."""
        return self._found(await self._ask("look"))

    async def begin(self, say: Say) -> tuple[Found, bool]:
        """Start its process, with the file of now, unless it runs."""
        found = await self.look()
        if found.standing is Standing.SERVING:
            return found, False
        said = await self._ask("begin", self._settings.config(), say)
        return self._found(said), bool(said["done"])

    async def begin_anew(self, say: Say) -> Found:
        """End its process, and start another with the file of now."""
        return self._found(await self._ask("begin_anew", self._settings.config(), say))

    async def end(self, say: Say) -> bool:
        """End its process in order."""
        return bool((await self._ask("end", None, say))["done"])

    async def remove(self, say: Say) -> bool:
        """As `end`: what it kept stays on the host, and costs nothing."""
        return await self.end(say)

    async def log(self) -> str:
        """The end of its log."""
        return str((await self._ask("log"))["log"])

    def _found(self, said: dict[str, Any]) -> Found:
        standing, settings = Standing(said["standing"]), self._settings
        url = settings.url if standing is Standing.SERVING else None
        runs = standing in (Standing.BOOTING, Standing.SERVING)
        return Found(standing, said["name"], url, settings.address if runs else "")

    async def _ask(
        self, verb: str, config: str | None = None, say: Say | None = None
    ) -> dict[str, Any]:
        settings = self._settings
        try:
            hosts = SshHosts(settings.pool.ssh, settings.pool.python, MODULE)
        except NoLibrary as error:
            raise HostTrouble(
                f"host {settings.address}: {error}", "see `docs/manual.md`"
            ) from error
        request = {
            "verb": verb,
            "folder": settings.pool.folder,
            "root": settings.root,
            "port": settings.port,
            "tls": settings.tls,
            "url": settings.url,
            "config": config,
        }
        try:
            said = await hosts.call(settings.address, request, _PATIENCE_S)
        except Unreachable as error:
            raise HostTrouble(
                f"host {settings.address}: {error}", "see `docs/manual.md`"
            ) from error
        finally:
            hosts.close()
        for line in said["said"] if say is not None else ():
            assert say is not None, "asked above"
            say(f"{settings.address}: {line}")
        if "error" in said:
            what = f"host {settings.address}: {said['error']}"
            raise HostTrouble(what, said.get("help", ""), said.get("log", ""))
        return said
