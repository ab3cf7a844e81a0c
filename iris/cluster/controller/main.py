"""`python -m iris.cluster.controller.main serve --config=cluster.yaml`: one controller, until SIGTERM.

A controller that is started again on the same folder takes up where the last one was, however that
ended; tasks run on meanwhile.
"""

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final

from iris.cluster.controller.journal import JournalError
from iris.cluster.controller.objects import NoSuchStore
from iris.cluster.controller.server import AddressInUse
from iris.cluster.controller.service import (
    CannotServe,
    ControllerService,
    Options,
    Provider,
    Surroundings,
)
from iris.cluster.log_lines import log_format, log_to_stderr
from iris.cluster.vm.host_process import SERVES
from iris.config import ClusterConfig, Gcp, Local, Manual, Runtime, load_cluster
from iris.exit_status import ExitStatus
from iris.garbage import rare_collections
from iris.problems import BadInput
from iris.rpc.addresses import Address, parse_address

_ELSEWHERE: Final = ("192.0.2.1", 9)
"""An address that nobody has, beyond all networks of ours."""

_log = logging.getLogger(__name__)


def provider_of(config: ClusterConfig) -> Callable[[Surroundings], Provider]:
    """What makes the provider that a configuration names.

    Raises:
        CannotServe: this version has none of that type.
    """
    match config.provider:
        case Local(runtime=runtime):
            return _local(config, _image(config, runtime))
        case Manual() as pool:
            return _manual(config, pool, _image(config, pool.runtime))
        case Gcp() as gcp:
            return _gcp(config, gcp)
        case None:
            raise CannotServe("provider: without one there is nobody to ask for machines")


def _image(config: ClusterConfig, runtime: Runtime) -> str | None:
    """What tasks run in, if they are containers."""
    if runtime is Runtime.PROCESS:
        return None
    if config.docker is None:
        raise CannotServe("docker.image: `runtime: docker` needs the image that tasks run in")
    return config.docker.image


def _local(config: ClusterConfig, image: str | None) -> Callable[[Surroundings], Provider]:
    tls = config.controller.tls

    def provide(around: Surroundings) -> Provider:
        from iris.cluster.vm.local import LocalSettings, LocalVmManager

        authority = tls.cert if tls is not None else None
        settings = LocalSettings(around.root / "vms", around.url, authority, image)
        return LocalVmManager(
            settings, around.groups, around.worker_token, around.clock, around.deliver
        )

    return provide


def _manual(
    config: ClusterConfig, pool: Manual, image: str | None
) -> Callable[[Surroundings], Provider]:
    if not config.auth.tokens:
        message = "manual hosts call from outside, and without tokens this machine alone is served"
        raise CannotServe(f"auth.tokens: {message}: add `auth: {{tokens: ...}}`")
    tls = config.controller.tls

    def provide(around: Surroundings) -> Provider:
        from iris.cluster.vm.manual import ManualSettings, ManualVmManager
        from iris.cluster.vm.ssh import NoLibrary

        if pool.ssh.jump is not None and not around.advertised:
            way = "`iris cluster start --advertise URL`"
            raise CannotServe(f"provider.ssh.jump: say what hosts beyond it call: {way}")
        authority = tls.cert if tls is not None else None
        settings = ManualSettings(around.root / "vms", pool, around.url, authority, image)
        try:
            return ManualVmManager(
                settings, around.groups, around.worker_token, around.clock, around.deliver
            )
        except NoLibrary as error:
            raise CannotServe(f"provider: {error}") from error
        except OSError as error:
            raise CannotServe(f"provider: {error.filename}: {error.strerror}") from error

    return provide


def _gcp(config: ClusterConfig, gcp: Gcp) -> Callable[[Surroundings], Provider]:
    if not config.auth.tokens:
        message = (
            "machines of a cloud call from outside, and without tokens this machine alone is served"
        )
        raise CannotServe(f"auth.tokens: {message}: add `auth: {{tokens: ...}}`")
    if config.docker is None:
        raise CannotServe(
            "docker.image: the machines of a cloud need the image that workers run in"
        )
    image, tls = config.docker.image, config.controller.tls
    try:
        # Here, where nobody waits for a turn yet: it takes its time.
        from iris.cluster.vm.bootstrap import Bootstrap
        from iris.cluster.vm.gcp import GcpSettings, GcpVmManager
    except ModuleNotFoundError as error:
        message = f"{error.name} is not installed: pip install 'iris-orchestrator[gcp]'"
        raise CannotServe(f"provider: {message}") from error

    def provide(around: Surroundings) -> Provider:
        bootstrap = Bootstrap(
            gcp.cluster,
            gcp.project_id,
            around.url if around.advertised else _as_seen_by_others(around.url),
            image,
            around.groups,
            around.slice_token,
            None if tls is None else tls.cert.read_text(encoding="utf-8"),
            config.spec.timeouts.orphan_timeout,
            log_format(),
        )
        settings = GcpSettings(gcp, dict(config.runtime_versions))
        return GcpVmManager(settings, bootstrap, around.clock, around.deliver)

    return provide


def _as_seen_by_others(url: str) -> str:
    """A URL of this machine's loopback, by the address that this machine has in its network.

    Raises:
        CannotServe: it has none.
    """
    address = parse_address(url)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:  # Nothing is sent: it is only looked up which way it would go.
            probe.connect(_ELSEWHERE)
        except OSError as error:
            message = "this machine has no address that others could call: say --advertise URL"
            raise CannotServe(f"provider: {message}") from error
        return Address(probe.getsockname()[0], address.port, address.tls).url


def run(config: ClusterConfig, options: Options, ready: Callable[[ControllerService], None]) -> int:
    """Serve until SIGTERM, SIGINT or SIGHUP; the exit status, with what went wrong on the log."""
    try:
        with rare_collections():
            asyncio.run(_serve(config, options, ready))
    except (JournalError, CannotServe, NoSuchStore, AddressInUse, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        conflict = isinstance(error, JournalError | AddressInUse)
        return ExitStatus.CONFLICT if conflict else ExitStatus.BAD_INPUT
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return ExitStatus.FAILED
    except Exception:  # noqa: BLE001  # a bug of ours: the journal is as it was before this turn
        traceback.print_exc()
        return ExitStatus.BUG
    return ExitStatus.DONE


async def _serve(
    config: ClusterConfig, options: Options, ready: Callable[[ControllerService], None]
) -> None:
    service = ControllerService(config, options, provider_of(config))
    close_when_asked(service)
    await service.serve(ready)


def close_when_asked(service: ControllerService) -> None:
    """On SIGTERM, on Ctrl-C, and when the terminal is closed, but for whoever was started by `nohup`."""
    asked = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        asked.append(signal.SIGHUP)
    for number in asked:
        asyncio.get_running_loop().add_signal_handler(number, service.close)


def main(words: list[str] | None = None) -> int:
    """Run a controller; the exit status."""
    parser = argparse.ArgumentParser(prog="iris-controller", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    serve = verbs.add_parser("serve", help="serve until SIGTERM")
    serve.add_argument("--config", type=Path, required=True, help="cluster.yaml")
    serve.add_argument("--root", type=Path, help="instead of storage.root")
    serve.add_argument("--port", type=int, help="instead of controller.vm.port")
    serve.add_argument(
        "--advertise", metavar="URL", help="what workers call, if not where it listens"
    )
    arguments = parser.parse_args(words)
    try:
        log_to_stderr()
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return ExitStatus.BAD_INPUT
    try:
        config = load_cluster(arguments.config)
    except BadInput as error:
        print(error.render(), file=sys.stderr)  # noqa: T201
        return ExitStatus.BAD_INPUT
    root = arguments.root if arguments.root is not None else Path(config.storage.root)
    port = arguments.port if arguments.port is not None else config.controller.port
    options = Options(
        root,
        port,
        end_workers=False,
        advertise=arguments.advertise,
        dashboard_port=config.controller.dashboard_port,
    )

    def ready(service: ControllerService) -> None:
        serves = root / SERVES
        serves.touch(mode=0o600)
        serves.write_text(str(os.getpid()))
        _log.info("serving at %s", service.url)

    return run(config, options, ready)


if __name__ == "__main__":
    sys.exit(main())
