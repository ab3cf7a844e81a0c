"""`iris build`: makes the images of workers and of the controller, and brings them into registries.

stdout holds the result; steps, what pip and the engine say, and errors go to stderr.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from iris.cli.tables import print_object, print_table
from iris.exit_status import ExitStatus

if TYPE_CHECKING:
    from iris.cluster.image_pushes import Pushed
    from iris.cluster.images import Built, Order
    from iris.image_names import Place

_F = TypeVar("_F", bound=Callable[..., Any])
_T = TypeVar("_T")

_PLATFORMS: Final = ("linux/amd64", "linux/arm64")


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asked for."""

    kind: str
    tag: str
    push: bool
    regions: tuple[str, ...]
    base: str | None  # None: that of the Dockerfile
    platform: str | None  # None: the engine's own
    wheels: Path | None  # None: they are not kept
    extras: tuple[str, ...]
    as_json: bool


def _examples(kind: str) -> str:
    place = f"us-central1-docker.pkg.dev/my-project/iris/iris-{kind}:v1"
    return f"""\b
Examples:
  iris build {kind}-image -t iris-{kind}:v1
  iris build {kind}-image -t {place} --push
  iris build {kind}-image -t {place} --push --region us-central1 --region europe-west4
"""


def _options(command: _F) -> _F:
    """Those that both images have."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
        click.option(
            "--extra",
            "extras",
            multiple=True,
            metavar="NAME",
            help="One more of Iris's extras, such as storage.",
        ),
        click.option(
            "--wheels",
            type=click.Path(path_type=Path, file_okay=False),
            help="Take wheels from this folder, and keep there what was lacking.",
        ),
        click.option(
            "--platform", type=click.Choice(_PLATFORMS), help="Instead of the engine's own."
        ),
        click.option(
            "--base", metavar="IMAGE", help="What it is built on: any with Python and venv."
        ),
        click.option(
            "--region",
            "regions",
            multiple=True,
            help="Push to this region's registry; may be given again.",
        ),
        click.option("--push", is_flag=True, help="Push it to the registry that TAG names."),
        click.option("-t", "--tag", required=True, help="As [REGISTRY/PATH/]NAME[:TAG]."),
    ):
        command = option(command)
    return command


@click.group()
def build() -> None:
    """Build the images of workers and of the controller."""


@build.command("worker-image", epilog=_examples("worker"))
@_options
def worker_image(**options: Any) -> None:
    """Build the image of workers, which tasks run in, too."""
    _build(Request("worker", **options))


@build.command("controller-image", epilog=_examples("controller"))
@_options
def controller_image(**options: Any) -> None:
    """Build the image of the controller."""
    _build(Request("controller", **options))


def _build(request: Request) -> None:
    from iris.cluster import image_pushes, images
    from iris.cluster.engine import EngineError, connect
    from iris.problems import Failure

    order, places = _checked(request)
    try:
        client = connect(images.PATIENCE_S)
    except EngineError as error:
        remedy = "start one, or say by DOCKER_HOST where it is"
        raise Failure(str(error), ExitStatus.FAILED, remedy) from error
    try:
        built = images.build(client, order, _say)
        pushes = image_pushes.push(client, built.id, places, _say)
    finally:
        client.close()
    _print(request, order, built, pushes)
    _fail_if_any(pushes)


def _checked(request: Request) -> "tuple[Order, tuple[Place, ...]]":
    """What is to be built, and where it is to go; or a refusal that names the option."""
    from iris.cluster.images import BASE, Order
    from iris.cluster.wheels import known_extras
    from iris.image_names import checked_region, local_name, places
    from iris.problems import one_of, shown
    from iris.units import BadQuantity

    if request.regions and not request.push:
        raise click.UsageError("--region says where to push to, and there is no --push")
    for region in request.regions:
        _told("--region", partial(checked_region, region))
    known = known_extras()
    for extra in request.extras:
        if extra not in known:
            message = f"--extra: {shown(extra)} is none of Iris's extras"
            raise BadQuantity(message, one_of(extra, known))
    name = _told("--tag", partial(local_name, request.tag, request.regions))
    goals = _told("--tag", partial(places, request.tag, request.regions)) if request.push else ()
    base = BASE if request.base is None else request.base
    order = Order(request.kind, name, base, request.extras, request.platform, request.wheels)
    return order, goals


def _told(option: str, read: Callable[[], _T]) -> _T:
    """What an option's value means; a refusal of it names the option."""
    from iris.units import BadQuantity

    try:
        return read()
    except BadQuantity as error:
        raise BadQuantity(f"{option}: {error.message}", error.help) from error


def _say(line: str) -> None:
    click.echo(line, err=True)


def _print(request: Request, order: "Order", built: "Built", pushes: "Sequence[Pushed]") -> None:
    if request.as_json:
        print_object("Image", _as_object(order, built, pushes))
        return
    click.echo(f"{order.name}  {built.platform}  {built.id}")
    rows = [(f"base {built.base}", _megabytes(built.base_size_bytes))]
    rows += [(layer.made_by, _megabytes(layer.size_bytes)) for layer in built.layers]
    print_table(("LAYER", "SIZE"), [*rows, ("all", _megabytes(built.size_bytes))])
    for pushed in pushes:
        click.echo(f"pushed {pushed.by_digest}" if pushed.failure is None else _lack(pushed))


def _lack(pushed: "Pushed") -> str:
    return f"not pushed {pushed.place.name}: {pushed.why}"


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB"


def _as_object(order: "Order", built: "Built", pushes: "Sequence[Pushed]") -> dict[str, object]:
    return {
        "image": str(order.name),
        "id": built.id,
        "platform": built.platform,
        "size_bytes": built.size_bytes,
        "base": {"image": built.base, "id": built.base_id, "size_bytes": built.base_size_bytes},
        "layers": [asdict(layer) for layer in built.layers],
        "pushes": [
            {
                "region": pushed.place.region,
                "image": str(pushed.place.name),
                "digest": pushed.digest or None,
                "error": pushed.why or None,
                "hint": pushed.help or None,
            }
            for pushed in pushes
        ],
    }


def _fail_if_any(pushes: "Sequence[Pushed]") -> None:
    from iris.cluster.image_pushes import verdict
    from iris.problems import Failure

    failed = [pushed for pushed in pushes if pushed.failure is not None]
    if not failed:
        return
    names = "; ".join(f"{pushed.place.name}: {pushed.why}" for pushed in failed)
    message = f"{len(failed)} of {len(pushes)} pushes failed: {names}"
    remedies = "; ".join(dict.fromkeys(pushed.help for pushed in failed))
    raise Failure(message, verdict(pushes), remedies)
