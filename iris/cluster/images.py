"""Builds the images of workers and of the controller on the machine's own engine.

The engine gets a Dockerfile and wheels, nothing else of this machine, and builds without a network.
It is spoken to by its library and its classic builder, which every engine has, Debian's too;
`docker build` may be absent, or want a plug-in.
"""

import json
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, cast

import iris
from iris.cluster.engine import engine_errors, remove_container, words
from iris.cluster.wheels import Shelf, Target, own_wheel
from iris.exit_status import ExitStatus
from iris.image_names import ImageName
from iris.problems import Failure

if TYPE_CHECKING:
    import docker

BASE: Final = "python:3.11.14-slim-bookworm"
EXTRAS: Final[Mapping[str, tuple[str, ...]]] = {"worker": ("docker",), "controller": ("server",)}
"""The images, and what of Iris's extras each needs."""
OLDEST_PYTHON: Final = (3, 11)
PATIENCE_S: Final = 1_800
"""How long the engine may be silent: a step of a build, or a layer on its way."""

_PROBE: Final = """
import ensurepip, json, platform, sys, venv
print(json.dumps([sys.version_info[:2], platform.machine(), platform.libc_ver()]))
"""
_DOCKERFILE: Final = "Dockerfile"
_IN_MEMORY: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be built."""

    kind: str
    """One of `EXTRAS`."""
    name: ImageName
    base: str
    extras: tuple[str, ...]
    """Besides those that the image needs."""
    platform: str | None  # None: the engine's own
    wheels: Path | None
    """Where wheels are kept from one build to the next; None: nowhere."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of an image, and the command of its Dockerfile that made it."""

    made_by: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Built:
    """An image on this machine."""

    id: str
    platform: str
    base: str
    base_id: str
    size_bytes: int
    base_size_bytes: int
    layers: tuple[Layer, ...]
    """Those above the base that hold something, lowest first."""


def build(client: "docker.DockerClient", order: Order, say: Callable[[str], None]) -> Built:
    """The image that was ordered, under its name.

    Raises:
        Failure: the base cannot be had or used, a wheel is lacking, or a step of the build fails.
    """
    base = _base(client, order, say)
    target = _target(client, order)
    version = ".".join(map(str, target.python))
    say(f"wheels for Python {version} on {target.machine}")
    with tempfile.TemporaryDirectory(prefix="iris-build-") as scratch, _context(scratch) as context:
        own_folder, folder = Path(scratch, "iris"), Path(scratch, "dependencies")
        own_folder.mkdir()
        folder.mkdir()
        own = own_wheel(own_folder, say)
        extras = (*EXTRAS[order.kind], *order.extras)
        Shelf(order.wheels).fetch(own, extras, target, folder, say)
        shutil.copyfile(dockerfile(order.kind), Path(scratch, _DOCKERFILE))
        pack_context(Path(scratch), context)
        say(f"building {order.name} from {order.base}")
        made = _run_build(client, order, context, base, say)
    return _described(client, made, order, base)


def dockerfile(kind: str) -> Path:
    """The Dockerfile of an image: in the package where Iris is installed, else in the checkout."""
    package = Path(iris.__file__).parent
    shipped = package / "docker" / f"{kind}.Dockerfile"
    return shipped if shipped.is_file() else package.parent / "docker" / f"{kind}.Dockerfile"


def pack_context(folder: Path, archive: IO[bytes]) -> None:
    """Write what the engine is sent: the files of a folder, the same bytes for the same files."""
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
                entry.size, entry.mode = path.stat().st_size, 0o644
                with path.open("rb") as file:
                    tar.addfile(entry, file)
    archive.seek(0)


@contextmanager
def _context(scratch: str) -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile(dir=Path(scratch).parent) as file:
        yield file


def _base(
    client: "docker.DockerClient", order: Order, say: Callable[[str], None]
) -> Mapping[str, Any]:
    """What the engine knows of the base, which is pulled if it is not there."""
    import docker.errors

    try:
        found = _known(client, order.base)
        if order.platform in (None, _platform(found)):
            return found
    except docker.errors.ImageNotFound:
        pass
    except engine_errors() as error:
        raise _engine_failure(error) from error
    say(f"pulling {order.base}")
    try:
        for line in client.api.pull(order.base, stream=True, decode=True, platform=order.platform):
            if "error" in line:
                raise _no_base(order, str(line["error"]))
        found = _known(client, order.base)
    except engine_errors() as error:
        raise _no_base(order, words(error)) from error
    if order.platform not in (None, _platform(found)):
        raise _no_base(order, f"it is there for {_platform(found)}")
    return found


def _known(client: "docker.DockerClient", name: str) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", client.images.get(name).attrs)  # The engine's own JSON.


def _no_base(order: Order, why: str) -> Failure:
    where = "" if order.platform is None else f" for {order.platform}"
    message = f"the base image {order.base}{where} cannot be had: {why}"
    return Failure(message, ExitStatus.NOT_FOUND, "name another with --base, or pull it first")


def _target(client: "docker.DockerClient", order: Order) -> Target:
    """The Python that the base has."""
    try:
        container = client.containers.create(
            order.base,
            entrypoint=["python3", "-c", _PROBE],
            network_mode="none",
            platform=order.platform,
        )
        try:
            container.start()
            status = container.wait()["StatusCode"]
            said = container.logs(stdout=True, stderr=bool(status)).decode(errors="replace")
        finally:
            remove_container(client, str(container.id))
    except engine_errors() as error:
        raise _unusable(order, words(error)) from error
    if status != 0:
        why = said.strip().rpartition("\n")[2]
        raise _unusable(order, f"its Python lacks what a build needs: {why}")
    version, machine, (libc, release) = json.loads(said)
    python = (version[0], version[1])
    if python < OLDEST_PYTHON:
        raise _unusable(order, f"its Python is {python[0]}.{python[1]}")
    glibc = int(release.split(".")[1]) if libc == "glibc" else None
    return Target(python, machine, glibc)


def _unusable(order: Order, why: str) -> Failure:
    message = f"the base image {order.base} cannot be used: {why}"
    least = ".".join(map(str, OLDEST_PYTHON))
    remedy = f"--base needs python3, {least} or later, with its modules venv and ensurepip"
    return Failure(message, ExitStatus.FAILED, remedy)


def _run_build(
    client: "docker.DockerClient",
    order: Order,
    context: IO[bytes],
    base: Mapping[str, Any],
    say: Callable[[str], None],
) -> str:
    """The id of the image that the engine makes of a context."""
    made = ""
    try:
        for line in client.api.build(
            fileobj=context,
            custom_context=True,
            dockerfile=_DOCKERFILE,
            tag=str(order.name),
            buildargs={"BASE": order.base},
            labels=_labels(order, base),
            platform=order.platform,
            network_mode="none",
            rm=True,
            forcerm=True,
            decode=True,
            timeout=PATIENCE_S,
        ):
            if "error" in line:
                raise Failure(
                    f"the build of {order.name} fails: {str(line['error']).strip()}",
                    ExitStatus.FAILED,
                    "what its last step said is above",
                )
            made = line.get("aux", {}).get("ID", made)
            for text in _lines(line.get("stream", "")):
                say(f"  {text}")
    except engine_errors() as error:
        raise _engine_failure(error) from error
    assert made, "a build that did not fail made an image"
    return str(made)


def _labels(order: Order, base: Mapping[str, Any]) -> dict[str, str]:
    """What an image says of itself, in the names that the Open Container Initiative gave."""
    return {
        "org.opencontainers.image.title": f"iris-{order.kind}",
        "org.opencontainers.image.version": iris.__version__,
        "org.opencontainers.image.base.name": order.base,
        "org.opencontainers.image.base.digest": str(base["Id"]),
    }


def _described(
    client: "docker.DockerClient", made: str, order: Order, base: Mapping[str, Any]
) -> Built:
    try:
        found = _known(client, made)
        history = client.images.get(made).history()
        below = len(client.images.get(base["Id"]).history())
    except engine_errors() as error:
        raise _engine_failure(error) from error
    layers = tuple(
        Layer(_instruction(entry["CreatedBy"]), entry["Size"])
        for entry in reversed(history[: len(history) - below])
        if entry["Size"]
    )
    return Built(
        id=made,
        platform=_platform(found),
        base=order.base,
        base_id=base["Id"],
        size_bytes=found["Size"],
        base_size_bytes=base["Size"],
        layers=layers,
    )


def _instruction(created_by: str) -> str:
    """A step as the Dockerfile has it, without the shell that the engine put around it."""
    text = created_by.removeprefix("/bin/sh -c ").removeprefix("#(nop)").strip()
    return text if text.split(" ", 1)[0].isupper() else f"RUN {text}"


def _platform(image: Mapping[str, Any]) -> str:
    return f"{image['Os']}/{image['Architecture']}"


def _lines(text: str) -> Iterable[str]:
    return (line for line in text.splitlines() if line.strip())


def _engine_failure(error: Exception) -> Failure:
    return Failure(
        f"the Docker engine refuses: {words(error)}", ExitStatus.FAILED, "see its own log"
    )
