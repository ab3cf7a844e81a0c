"""Where the controller of a configuration runs, and what gives its slices when no controller does."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from iris.exit_status import ExitStatus

if TYPE_CHECKING:
    from iris.cluster.controller.service import Provider
    from iris.cluster.vm.host import ControllerHost, Found
    from iris.config import ClusterConfig, Gcp, Manual

_T = TypeVar("_T")
_REACH_S: Final = 5.0
_TUNNEL_S: Final = 15.0


def host_of(config: "ClusterConfig", path: Path, advertise: str | None = None) -> "ControllerHost":
    """The place that a file gives its controller: a machine at Google, a host, or else this machine.

    Args:
        config: the file's content.
        path: the file.
        advertise: what workers call, where that is not the address of this machine.

    Raises:
        Failure: the file lacks something, or a library is missing.
    """
    from iris.cluster.vm.host_process import ProcessHost, ProcessSettings
    from iris.config import Gcp, Manual
    from iris.rpc.addresses import parse_address

    check_advertised(config, advertise)
    words = () if advertise is None else ("--advertise", parse_address(advertise).url)
    if isinstance(config.provider, Manual) and config.controller.host is not None:
        from iris.cluster.vm.host_ssh import SshHost, ssh_settings

        host = config.controller.host
        return SshHost(ssh_settings(config, config.provider, host, lambda: _sealed(config, path)))
    if isinstance(config.provider, Gcp) and config.controller.vm is not None:
        return _vm_of(config, config.provider, path)
    root = _root(config)
    tls = config.controller.tls is not None
    return ProcessHost(ProcessSettings(root, path.absolute(), config.controller.port, tls, words))


def check_advertised(config: "ClusterConfig", advertise: str | None) -> None:
    """Refuse another address than that of a machine which the controller has to itself.

    Raises:
        Failure: it has one.
    """
    from iris.problems import Failure

    elsewhere = config.controller.host is not None or config.controller.vm is not None
    if advertise is not None and elsewhere:
        raise Failure(
            f"--advertise {advertise}: the controller has a machine of its own, whose address workers call",
            ExitStatus.BAD_INPUT,
            "leave it out",
        )


def _sealed(config: "ClusterConfig", path: Path) -> str:
    """The file for another machine, without secrets.

    Raises:
        Failure: a secret is missing.
    """
    from iris.cluster.controller.sealing import sealed
    from iris.problems import Failure
    from iris.yaml_source import load_mapping

    try:
        return sealed(load_mapping(path), config.auth)
    except ValueError as error:
        raise Failure(str(error), ExitStatus.BAD_INPUT, "give it, and try again") from error


def _root(config: "ClusterConfig") -> Path:
    return Path(config.storage.root).absolute()


def _vm_of(config: "ClusterConfig", gcp: "Gcp", path: Path) -> "ControllerHost":
    from iris.problems import Failure

    assert config.controller.vm is not None, "asked for a machine that is not configured"
    _check_vm(config)
    try:
        from iris.cluster.vm.gcp_calls import Calls, Limits
        from iris.cluster.vm.gcp_endpoints import google
        from iris.cluster.vm.gcp_rest import Rest
        from iris.cluster.vm.host_gcp import GcpHost, VmSettings
    except ModuleNotFoundError as error:
        raise Failure(
            f"{error.name} is not installed",
            ExitStatus.FAILED,
            "pip install 'iris-orchestrator[gcp]'",
        ) from error

    zone = gcp.zone or config.spec.groups[0].zones[0]
    settings = VmSettings(
        gcp, config.controller.vm, config.controller.port, zone, lambda: _sealed(config, path)
    )
    return GcpHost(settings, Rest(google(), gcp.project_id), Calls(Limits()))


def _check_vm(config: "ClusterConfig") -> None:
    """Refuse what a controller on a machine of a cloud could not work with."""
    from iris.problems import Failure

    if config.controller.tls is not None:
        raise Failure(
            "controller.tls: the key would pass through the machine's metadata, for all to read",
            ExitStatus.BAD_INPUT,
            "leave it out: workers call within the network, clients by a tunnel",
        )
    if not config.auth.tokens:
        raise Failure(
            "auth.tokens: without them a controller serves its own machine only",
            ExitStatus.BAD_INPUT,
            "add `auth: {tokens: {NAME: {env: VARIABLE}}, admins: [NAME]}`",
        )
    if config.docker is None:
        message = "docker.image: the machines of a cloud need the image that workers run in"
        raise Failure(message, ExitStatus.BAD_INPUT, "add `docker: {image: ...}`")


def url_of_machine(config: "ClusterConfig", path: Path) -> str:
    """Where a controller that runs elsewhere can be called from here.

    Raises:
        Failure: there is none, it does not serve, or it cannot be reached from here.
    """
    from iris.cluster.vm.host import Standing
    from iris.problems import Failure

    found = run(host_of(config, path).look)
    if found.url is None:
        why = f": {found.why}" if found.why else ""
        has = "has" if found.standing is Standing.FAILED else "is"
        message = f"the controller of {path} {has} {found.standing.value}{why}"
        remedy = f"`iris cluster --config={path} start`, or give --controller-url"
        raise Failure(message, ExitStatus.UNREACHABLE, remedy)
    return reachable(config, found)


def reachable(config: "ClusterConfig", found: "Found", then: str = "--controller-url={url}") -> str:
    """The URL of a controller that serves: its own, or that of a tunnel to its host.

    Args:
        config: where its host is.
        found: the controller, and what of it is to be reached.
        then: what to do with the `{url}` of a tunnel that the user has to open.

    Raises:
        Failure: neither leads there from here.
    """
    import socket

    from iris.config import Manual
    from iris.problems import Failure
    from iris.rpc.addresses import parse_address

    assert found.url is not None, "nobody serves"
    address = parse_address(found.url)
    try:
        with socket.create_connection((address.host, address.port), _REACH_S):
            return found.url
    except OSError as error:
        port = address.port
        if isinstance(config.provider, Manual) and config.controller.host is not None:
            here = _by_tunnel(config.provider, config.controller.host, port)
            return f"{'https' if address.tls else 'http'}://127.0.0.1:{here}"
        way = f"gcloud compute ssh {found.name} --zone={found.where} --tunnel-through-iap"
        use = then.format(url=f"http://127.0.0.1:{port}")
        remedy = f"`{way} -- -NL {port}:localhost:{port}`, and {use}"
        message = f"{found.url} ({found.name}) cannot be reached from here: {error}"
        raise Failure(message, ExitStatus.UNREACHABLE, remedy) from error


def _by_tunnel(pool: "Manual", address: str, port: int) -> int:
    """A port of this machine that leads to the controller's, as long as this process lives."""
    import threading

    from iris.cluster.vm.ssh import NoLibrary, SshHosts, Unreachable
    from iris.problems import Failure

    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True, name="tunnel").start()
    try:
        opened = SshHosts(pool.ssh, pool.python).forward(address, port)
        return asyncio.run_coroutine_threadsafe(opened, loop).result(_TUNNEL_S)
    except (NoLibrary, Unreachable, TimeoutError) as error:
        message = f"no tunnel to the controller on {address}: {error}"
        raise Failure(message, ExitStatus.UNREACHABLE, "see `docs/manual.md`") from error


@asynccontextmanager
async def provider_alone(config: "ClusterConfig") -> "AsyncIterator[Provider]":
    """What gives this cluster's slices, without a controller; good for looking and for deleting.

    Raises:
        Failure: the file lacks something, or a library is missing.
    """
    from iris.cluster.controller.clock import WallClock
    from iris.cluster.controller.main import provider_of
    from iris.cluster.controller.service import CannotServe, Surroundings
    from iris.config import Gcp
    from iris.problems import Failure

    groups = {group.name: group for group in config.spec.groups}
    here = not isinstance(config.provider, Gcp) and config.controller.host is None
    with tempfile.TemporaryDirectory(prefix="iris-") as elsewhere:
        around = Surroundings(
            root=_root(config) if here else Path(elsewhere),
            url="http://127.0.0.1:0",
            advertised=True,
            groups=lambda: groups,
            worker_token=lambda _: "",
            slice_token=lambda _: "",
            clock=WallClock(),
            deliver=lambda _: None,
        )
        try:
            provider = provider_of(config)(around)
        except CannotServe as error:
            raise Failure(str(error), ExitStatus.BAD_INPUT) from error
        watching = asyncio.create_task(provider.watch())
        try:
            yield provider
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


def run(work: Callable[[], Awaitable[_T]]) -> _T:
    """Do something in a loop of its own.

    Raises:
        Failure: the controller's place has trouble; what it said last is in the message.
    """
    from iris.cluster.vm.host import HostTrouble
    from iris.problems import Failure

    async def whole() -> _T:
        return await work()

    try:
        return asyncio.run(whole())
    except HostTrouble as error:
        said = f"\nits last lines:\n{error.log}" if error.log else ""
        raise Failure(f"{error}{said}", error.status, error.help) from error
