"""`python -m iris.cluster.worker.main`: one worker, which calls its controller and runs what it is told."""

import argparse
import asyncio
import json
import logging
import os
import secrets
import signal
import socket
import sys
from pathlib import Path
from typing import Final

from iris.cluster.engine import EngineError
from iris.cluster.log_lines import log_to_stderr
from iris.cluster.worker.attempts import Attempts
from iris.cluster.worker.driver import Driver, Forsaken, NotWelcome
from iris.cluster.worker.environments import Builder, Environments, HostBuilder
from iris.cluster.worker.execs import Execs
from iris.cluster.worker.notices import MetadataServer
from iris.cluster.worker.runtime import LaunchError, ProcessRuntime, TaskRuntime
from iris.core.resources import Resources
from iris.exit_status import ExitStatus
from iris.rpc import codec
from iris.rpc import iris_pb2 as pb
from iris.rpc.addresses import parse_address
from iris.rpc.aio import AioChannel
from iris.units import parse_size

MIN_FREE_DISK: Final = "200MB"
"""Where less is free nothing new is launched, unless IRIS_MIN_FREE_DISK says another size."""

_log = logging.getLogger(__name__)


def _arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="iris-worker", description=__doc__)
    parser.add_argument("--controller", required=True, help="as http://host:10000")
    parser.add_argument("--root", type=Path, required=True, help="the worker's own folder")
    parser.add_argument("--slice", required=True)
    parser.add_argument("--host", type=int, required=True, help="which host of the slice")
    parser.add_argument("--group", default="")
    parser.add_argument("--zone", default="")
    parser.add_argument("--offers", required=True, help="resources of the host, as JSON")
    parser.add_argument("--address", default="127.0.0.1", help="how other hosts reach this one")
    parser.add_argument("--token-file", type=Path, help="instead of the variable IRIS_WORKER_TOKEN")
    parser.add_argument("--authority", type=Path, help="certificate that signed the controller's")
    parser.add_argument("--runtime", choices=("process", "docker"), default="process")
    parser.add_argument("--image", help="what tasks run in, with --runtime docker")
    parser.add_argument(
        "--farewell",
        type=Path,
        help="on a cloud's machine: where to say why it shall end, once nobody has wanted it for long",
    )
    arguments = parser.parse_args(words)
    if arguments.runtime == "docker" and arguments.image is None:
        parser.error("--runtime docker needs --image")
    return arguments


async def work(arguments: argparse.Namespace) -> int:
    """Work until SIGTERM or SIGINT; the exit status."""
    token = _token(arguments.token_file)
    address = parse_address(arguments.controller)
    channel = AioChannel(address, token=token, authority=arguments.authority)
    closing = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, closing.set)
    cloud = None if arguments.farewell is None else MetadataServer()
    driver = Driver(_registration(arguments), channel, arguments.root, outstays=cloud is not None)
    runtime, builder = _runtime(arguments)
    attempts = Attempts(
        arguments.root,
        channel,
        runtime,
        Environments(arguments.root, builder),
        driver.deliver,
        min_free_disk=parse_size(os.environ.get("IRIS_MIN_FREE_DISK", MIN_FREE_DISK)),
    )
    execs = Execs(channel, runtime, attempts.folder)
    heeding = _Heeding(driver, closing)
    watching = None if cloud is None else asyncio.create_task(cloud.watch(heeding.told))
    try:
        await driver.attach(attempts, execs)
        await driver.run(closing)
    except NotWelcome as error:
        _log.error("this worker is refused: %s", error)
        return ExitStatus.CONFLICT
    except Forsaken as error:
        _log.error("this machine shall end: %s", error)
        arguments.farewell.write_text(str(error), encoding="utf-8")
        return ExitStatus.DONE
    finally:
        if watching is not None:
            watching.cancel()
        await execs.close()
        await attempts.close()
        await channel.close()
    return ExitStatus.FAILED if heeding.begins_anew else ExitStatus.DONE


def _registration(arguments: argparse.Namespace) -> pb.RegisterRequest:
    """What this run of the worker says of itself."""
    return pb.RegisterRequest(
        slice=arguments.slice,
        host=arguments.host,
        incarnation=f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}",
        address=arguments.address,
        offers=codec.resources_to_wire(Resources(**json.loads(arguments.offers))),
        group=arguments.group,
        zone=arguments.zone,
    )


class _Heeding:
    """What the cloud announces to the machine, and what the worker does about it."""

    def __init__(self, driver: Driver, closing: asyncio.Event) -> None:
        self._driver = driver
        self._closing = closing
        self._warned = False
        self.begins_anew = False

    def told(self, notice: str) -> None:
        """Get ready to be taken; if that is taken back, end, for whoever starts the worker again."""
        if notice:
            self._warned = True
            self._driver.warn(notice)
        elif self._warned:
            self.begins_anew = True
            self._closing.set()


def _token(path: Path | None) -> str:
    """What the worker shows to its controller; nobody that it starts inherits it."""
    token = os.environ.pop("IRIS_WORKER_TOKEN", "")
    return token if path is None else path.read_text(encoding="utf-8")


def _runtime(arguments: argparse.Namespace) -> tuple[TaskRuntime, Builder]:
    """What runs attempts, and what makes their environments."""
    if arguments.runtime == "process":
        return ProcessRuntime(arguments.authority), HostBuilder()
    from iris.cluster.worker.container_builder import ContainerBuilder
    from iris.cluster.worker.docker_runtime import DockerRuntime

    # Where the chips are TPUs, nobody asks for GPUs.
    chips = Resources(**json.loads(arguments.offers)).chips
    runtime = DockerRuntime(
        arguments.image, arguments.root.absolute(), gpus=chips, authority=arguments.authority
    )
    return runtime, ContainerBuilder(runtime)


def main(words: list[str] | None = None) -> int:
    """Run a worker; the exit status."""
    arguments = _arguments(words)
    try:
        log_to_stderr()
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return ExitStatus.BAD_INPUT
    try:
        return asyncio.run(work(arguments))
    except (LaunchError, EngineError) as error:
        _log.error("%s", error)
        return ExitStatus.FAILED


if __name__ == "__main__":
    sys.exit(main())
