"""What must be right before a cluster can work, looked at from here: one answer for each, with the correction.

Nothing is changed. Each check ends in a line, whatever it meets.
"""

import os
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import Enum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from iris import __version__
from iris.cluster.engine import EngineError, connect, engine_errors, words
from iris.config import ClusterConfig, Gcp, Local, Manual, Runtime
from iris.exit_status import ExitStatus
from iris.problems import Failure
from iris.rpc.addresses import parse_address

if TYPE_CHECKING:
    import docker

LEAST_FREE_BYTES: Final = 1 << 30
"""A folder with less room than that soon has none."""
MOST_SKEW_S: Final = 5.0
"""Clocks that differ by more put logs, leases and tokens in doubt."""
_LOOPBACK: Final = "127.0.0.1"
_ENGINE_S: Final = 30


class Outcome(Enum):
    """How a check went."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    outcome: Outcome
    said: str
    help: str = ""
    """What would be right; only of what failed."""


def ok(name: str, said: str) -> Check:
    """It is as it must be."""
    return Check(name, Outcome.OK, said)


def failed(name: str, said: str, help: str) -> Check:
    """It is not, and this would be right."""
    return Check(name, Outcome.FAILED, said, help)


def skipped(name: str, why: str) -> Check:
    """It does not apply, or cannot be looked at from here."""
    return Check(name, Outcome.SKIPPED, why)


def examine_here(
    config: ClusterConfig, token: str, advertise: str | None = None
) -> Iterator[Check]:
    """This machine, for a cluster of this configuration, whose workers call what is advertised."""
    yield ok("python", f"{sys.version.split()[0]} with Iris {__version__}")
    yield _libraries(config)
    yield _secrets(config)
    yield from _tls(config, advertise)
    yield from _controller(config, token)
    runs_containers = (
        isinstance(config.provider, Local) and config.provider.runtime is Runtime.DOCKER
    )
    yield from examine_engine(config, needed=runs_containers)


def _libraries(config: ClusterConfig) -> Check:
    lacking = {extra: module for module, extra in _needed(config) if not _is_installed(module)}
    if not lacking:
        return ok("libraries", "all that this configuration needs are installed")
    extras = ",".join(sorted(lacking))
    names = ", ".join(sorted(lacking.values()))
    return failed(
        "libraries", f"{names} not installed", f"pip install 'iris-orchestrator[{extras}]'"
    )


def _needed(config: ClusterConfig) -> Iterator[tuple[str, str]]:
    """Modules, and the extra that each comes with."""
    match config.provider:
        case Gcp():
            yield from (("google.auth", "gcp"), ("google.cloud.tpu_v2", "gcp"))
        case Manual():
            yield "asyncssh", "manual"
        case Local(runtime=Runtime.DOCKER):
            yield "docker", "docker"
        case _:
            pass
    urls = (config.storage.bundles, config.storage.logs)
    if any(url is not None and "://" in url and not url.startswith("file:") for url in urls):
        yield "fsspec", "storage"


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # Not even what it is a part of.
        return False


def _secrets(config: ClusterConfig) -> Check:
    from iris.cluster.controller.auth import digest_of

    auth = config.auth
    if not auth.tokens:
        if isinstance(config.provider, Local):
            return skipped("tokens", "without any the controller serves this machine only")
        remedy = "add `auth: {tokens: {NAME: {env: VARIABLE}}, admins: [NAME]}`"
        return failed("tokens", "auth.tokens: machines call from outside, and need one", remedy)
    try:
        for user, secret in auth.tokens:
            digest_of(secret, f"auth.tokens.{user}")
        if auth.worker_token is not None:
            digest_of(auth.worker_token, "auth.worker_token")
    except ValueError as error:
        return failed("tokens", str(error), "give it, of 16 characters or more")
    return ok("tokens", f"those of {', '.join(user for user, _ in auth.tokens)} can be read")


def _tls(config: ClusterConfig, advertise: str | None) -> Iterator[Check]:
    """The controller's certificate, as those see it who call the controller on this machine, or what it advertises."""
    from iris.cluster.tls_files import judged

    tls = config.controller.tls
    if tls is None or config.controller.host is not None:  # There, those of that host count.
        return
    names = [_LOOPBACK]
    if advertise is not None:
        address = parse_address(advertise)
        if not address.tls:
            said = f"workers call {address.url}, and the controller speaks TLS only"
            yield failed("tls", said, "advertise it as https://")
            return
        names.append(address.host)
    said, help = judged(tls, names)
    yield failed("tls", said, help) if help else ok("tls", said)


# ---- the controller's place --------------------------------------------------------------------


def _controller(config: ClusterConfig, token: str) -> Iterator[Check]:
    host = config.controller.host
    if config.controller.vm is not None or host is not None:
        why = (
            "the controller has a machine of its own" if host is None else f"those of {host} count"
        )
        yield skipped("port", why)
        yield skipped("disk", why)
        return
    yield _port(config, token)
    yield folder_check("disk", Path(config.storage.root))


def _port(config: ClusterConfig, token: str) -> Check:
    """Whether the controller may listen, or does so already."""
    port = config.controller.port
    name = f"port {port}"
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0" if config.auth.tokens else _LOOPBACK, port))
        except PermissionError:
            remedy = "name one above 1023 by controller.vm.port"
            return failed(name, "this user may not listen there", remedy)
        except OSError:
            pass
        else:
            return ok(name, "free for the controller")
    return _whoever_listens(config, token, name)


def _whoever_listens(config: ClusterConfig, token: str, name: str) -> Check:
    from iris.rpc import iris_pb2 as pb
    from iris.rpc.channel import Channel
    from iris.rpc.methods import GET_STATUS

    tls = config.controller.tls
    scheme = "http" if tls is None else "https"
    address = parse_address(f"{scheme}://{_LOOPBACK}:{config.controller.port}")
    authority = None if tls is None else tls.cert
    try:
        with closing(Channel(address, token=token, authority=authority)) as link:
            found = link.call(GET_STATUS, pb.GetStatusRequest(), deadline_s=5.0)
    except Failure as error:
        if error.status is ExitStatus.NOT_PERMITTED:
            return failed(name, f"a controller serves there, but: {error}", error.help)
        remedy = f"see `ss -ltnp 'sport = :{address.port}'`, or name another by controller.vm.port"
        return failed(name, "it is taken, and not by a controller", remedy)
    if found.version != __version__:
        remedy = "restart it, or use the client of its version"
        return failed(name, f"a controller of version {found.version} serves there", remedy)
    return ok(name, f"a controller of version {found.version} serves there")


def folder_check(name: str, folder: Path) -> Check:
    """Whether a folder that is to be made, or is there, can be written to, and has room."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        remedy = "name another by storage.root, or let this user write there"
        return failed(name, f"{there} cannot be written to", remedy)
    free = shutil.disk_usage(there).free
    said = f"{free / 1e9:.1f} GB free for {folder}"
    if free < LEAST_FREE_BYTES:
        return failed(name, said, "make room, or name another folder by storage.root")
    return ok(name, said)


# ---- the engine and its image ------------------------------------------------------------------


def examine_engine(config: ClusterConfig, *, needed: bool) -> Iterator[Check]:
    """The Docker engine of this machine, and the image as it sees it.

    Where containers run elsewhere the engine is only a way to ask the registry for the image.
    """
    image = None if config.docker is None else config.docker.image
    vm = config.controller.vm
    if not needed and image is None and vm is None:
        yield skipped("docker engine", "tasks are no containers")
        return
    try:
        client = connect(_ENGINE_S)
    except EngineError as error:
        if needed:
            remedy = "start one (systemctl start docker), or say by DOCKER_HOST where it is"
            yield failed("docker engine", str(error), remedy)
        else:
            yield skipped("docker engine", f"not needed here ({error})")
        why = "without an engine here nobody asks the registry"
        yield skipped("image", why if image is not None else "docker.image names none")
        if vm is not None:
            yield skipped("controller image", why)
        return
    with closing(client):
        yield ok("docker engine", f"version {client.version()['Version']} answers")
        if image is None:
            remedy = "name what tasks run in by docker.image"
            yield failed("image", "docker.image names none", remedy)
        else:
            yield _image(client, "image", image, may_be_local=needed)
        if vm is not None:
            yield _image(client, "controller image", vm.image, may_be_local=False)


def _image(client: "docker.DockerClient", name: str, image: str, *, may_be_local: bool) -> Check:
    """Whether an image can be had: it is here where it is needed, or its registry has it."""
    import docker.errors

    try:
        if may_be_local:
            client.images.get(image)
            return ok(name, f"{image} is here")
    except docker.errors.ImageNotFound:
        pass
    except engine_errors() as error:
        return failed(name, words(error), "see the engine's own log")
    try:
        digest = client.images.get_registry_data(image).id
    except engine_errors() as error:
        kind = "worker" if name == "image" else "controller"
        remedy = f"iris build {kind}-image -t {image} --push, or sign in: docker login"
        return failed(name, f"{image} cannot be pulled: {words(error)}", remedy)
    return ok(name, f"{image} can be pulled ({digest})")


def clock_check(name: str, skew_s: float, uncertain_s: float) -> Check:
    """Whether another clock agrees with ours, as far as the time of the question lets one tell."""
    if abs(skew_s) - uncertain_s > MOST_SKEW_S:
        way = "ahead of" if skew_s > 0 else "behind"
        remedy = "let both follow a time server: timedatectl set-ntp true"
        return failed(name, f"{abs(skew_s):.0f} s {way} this machine's clock", remedy)
    return ok(name, f"agrees with this machine's within {abs(skew_s) + uncertain_s:.1f} s")
