"""Where the controller is, and who asks: the options that every command has which calls one."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from iris.exit_status import ExitStatus

if TYPE_CHECKING:
    from iris.client import IrisClient, Job
    from iris.rpc.channel import Channel

_F = TypeVar("_F", bound=Callable[..., Any])


def controller_options(command: _F) -> _F:
    """`--controller-url` and `--config`."""
    url = click.option("--controller-url", metavar="URL", help="As http://controller:10000.")
    config = click.option(
        "--config",
        type=click.Path(path_type=Path),
        help="cluster.yaml, which says where its controller is.",
    )
    return url(config(command))


def controller_url(url: str | None, config: Path | None) -> str:
    """The controller's address: the option, else IRIS_CONTROLLER_URL, else that of the cluster.

    Raises:
        Failure: nobody says where it is.
        BadInput: the configuration is wrong.
    """
    from iris.problems import Failure

    found = url or os.environ.get("IRIS_CONTROLLER_URL")
    if found:
        return found
    named = config or (Path(os.environ["IRIS_CONFIG"]) if os.environ.get("IRIS_CONFIG") else None)
    if named is None:
        raise Failure(
            "no controller is named",
            ExitStatus.BAD_INPUT,
            "give --controller-url or --config, or set IRIS_CONTROLLER_URL or IRIS_CONFIG",
        )
    from iris.config import Local, load_cluster

    cluster = load_cluster(named)
    if not isinstance(cluster.provider, Local):
        message = f"{named}: where the controller of this provider is, nobody can tell from here"
        raise Failure(message, ExitStatus.BAD_INPUT, "give --controller-url")
    scheme = "https" if cluster.controller.tls is not None else "http"
    return f"{scheme}://127.0.0.1:{cluster.controller.port}"


def token() -> str:
    """Who asks: IRIS_TOKEN, else the file `token` in the user's folder of configuration."""
    shown = os.environ.get("IRIS_TOKEN")
    if shown:
        return shown
    home = Path(os.environ.get("XDG_CONFIG_HOME", "~/.config")).expanduser()
    path = home / "iris" / "token"
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""


def channel(url: str | None, config: Path | None) -> "Channel":
    """A connection to the controller that is meant."""
    from iris.rpc.addresses import parse_address
    from iris.rpc.channel import Channel

    authority = os.environ.get("IRIS_AUTHORITY")
    return Channel(
        parse_address(controller_url(url, config)),
        token=token(),
        authority=Path(authority) if authority else None,
    )


def client(url: str | None, config: Path | None, workspace: Path | None = None) -> "IrisClient":
    """A client of the controller that is meant."""
    from iris.client import IrisClient

    address = controller_url(url, config)
    return IrisClient.remote(address, workspace=workspace, token=token())


def job_argument(*names: str, many: bool = False) -> Callable[[_F], _F]:
    """The argument that names a job, or several; a shell completes it."""
    metavar = "ID..." if many else "ID"
    return click.argument(
        *names,
        nargs=-1 if many else 1,
        required=True,
        metavar=metavar,
        shell_complete=_complete_job,
    )


def named(iris: "IrisClient", text: str) -> "Job":
    """The job of a path, or of the beginning of one, or of a name, if only one job is meant by it."""
    return iris.job(iris.job(text).status().id)


COMPLETION_S = 0.3
"""A shell waits no longer than that for the controller; without an answer it completes nothing."""


def _complete_job(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    from iris.problems import Failure
    from iris.rpc import iris_pb2 as pb
    from iris.rpc.errors import RemoteError
    from iris.rpc.methods import LIST_JOBS

    try:
        with contextlib.closing(channel(None, None)) as link:
            answer = link.call(LIST_JOBS, pb.ListJobsRequest(limit=1_000), deadline_s=COMPLETION_S)
    except (RemoteError, Failure, OSError):
        return []
    return [job.id for job in answer.jobs if job.id.startswith(incomplete)]
