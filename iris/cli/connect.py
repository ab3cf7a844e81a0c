"""Where the controller is, and who asks: the options that every command has which calls one."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from iris.exit_status import ExitStatus

if TYPE_CHECKING:
    from iris.client import IrisClient, Job
    from iris.config import ClusterConfig
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


def _where(url: str | None, config: Path | None) -> tuple[str, Path | None]:
    """The controller's address: the option, IRIS_CONTROLLER_URL, that of the cluster, a task's own.

    With it comes the certificate to believe in: IRIS_AUTHORITY, else that of the cluster; nothing
    for those that the system knows.

    Raises:
        Failure: nobody says where it is.
        BadInput: the configuration is wrong.
    """
    from iris.problems import Failure

    told = os.environ.get("IRIS_AUTHORITY")
    authority = Path(told) if told else None
    found = url or os.environ.get("IRIS_CONTROLLER_URL")
    if found:
        return found, authority
    named = named_config(config)
    own = os.environ.get("IRIS_CONTROLLER_ADDRESS")
    if named is None and own:
        return own, authority
    if named is None:
        raise Failure(
            "no controller is named",
            ExitStatus.BAD_INPUT,
            "give --controller-url or --config, or set IRIS_CONTROLLER_URL or IRIS_CONFIG",
        )
    from iris.config import load_cluster

    cluster = load_cluster(named)
    tls, port = cluster.controller.tls, cluster.controller.port
    if is_elsewhere(cluster):
        from iris.cli.hosts import url_of_machine

        cert = None if tls is None else tls.cert
        return url_of_machine(cluster, named), authority or cert
    if tls is None:
        return f"http://127.0.0.1:{port}", authority
    return f"https://127.0.0.1:{port}", authority or tls.cert


def named_config(config: Path | None) -> Path | None:
    """The file that says where the controller is: the option, else IRIS_CONFIG."""
    return config or (Path(os.environ["IRIS_CONFIG"]) if os.environ.get("IRIS_CONFIG") else None)


def is_elsewhere(cluster: "ClusterConfig") -> bool:
    """Whether a cluster's controller has a machine that is not this one."""
    from iris.config import Gcp

    made = isinstance(cluster.provider, Gcp) and cluster.controller.vm is not None
    return made or cluster.controller.host is not None


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

    address, authority = _where(url, config)
    return Channel(parse_address(address), token=token(), authority=authority)


def client(url: str | None, config: Path | None, workspace: Path | None = None) -> "IrisClient":
    """A client of the controller that is meant."""
    from iris.client import IrisClient

    address, authority = _where(url, config)
    return IrisClient.remote(address, workspace=workspace, token=token(), authority=authority)


def named(iris: "IrisClient", text: str) -> "Job":
    """The job of a path, or of the beginning of one, or of a name, if only one job is meant by it."""
    return iris.job(iris.job(text).status().id)


def job_argument(name: str, *, many: bool = False) -> Callable[[_F], _F]:
    """The argument that names a job, or several; a shell completes it."""
    metavar = "ID..." if many else "ID"
    count = -1 if many else 1
    return click.argument(
        name, nargs=count, required=True, metavar=metavar, shell_complete=_complete_job
    )


COMPLETION_S: Final = 0.3
"""A shell waits no longer than that for the controller; without an answer it completes nothing."""


def _complete_job(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    from iris.problems import Failure
    from iris.rpc import iris_pb2 as pb
    from iris.rpc.methods import LIST_JOBS

    try:
        with contextlib.closing(channel(None, None)) as link:
            request = pb.ListJobsRequest(limit=1_000)
            answer = link.call(LIST_JOBS, request, deadline_s=COMPLETION_S)
    except (Failure, OSError):
        return []
    return [job.id for job in answer.jobs if job.id.startswith(incomplete)]
