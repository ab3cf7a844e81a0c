"""`iris cluster start|stop|restart`, and the same of its controller alone: begin and end what runs a cluster."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import click

from iris.cli.confirming import confirm
from iris.cli.connect import token
from iris.cli.tables import print_object
from iris.exit_status import ExitStatus

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from iris.cli.place import Place
    from iris.cluster.vm.host import ControllerHost, Found, Say
    from iris.config import ClusterConfig
    from iris.rpc.channel import Channel

_LOOK_EVERY_S: Final = 1.0
_SHOWN: Final = 20

_T = TypeVar("_T")

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
advertise_option = click.option(
    "--advertise", metavar="URL", help="What workers call, if not where it listens."
)
yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask.")


@click.command(epilog="\b\nExamples:\n  iris cluster --config=cluster.yaml start\n")
@advertise_option
@as_json_option
@click.pass_obj
def start(place: "Place", advertise: str | None, as_json: bool) -> None:
    """Have the controller run, on a machine that is made if need be; twice is as once."""
    config, host = _meant(place, advertise)
    _warn(config)
    found, begun = _shown(host.begin)
    if not begun:
        click.echo("it runs already", err=True)
    _try_certificate(config, found, advertise)
    _tell(found, as_json=as_json)


@click.command(epilog="\b\nExamples:\n  iris cluster --config=cluster.yaml restart\n")
@advertise_option
@as_json_option
@click.pass_obj
def restart(place: "Place", advertise: str | None, as_json: bool) -> None:
    """Have it run with the configuration and image of now; jobs go on meanwhile."""
    config, host = _meant(place, advertise)
    _warn(config)
    found = _shown(host.begin_anew)
    _try_certificate(config, found, advertise)
    _tell(found, as_json=as_json)


@click.command(epilog="\b\nExamples:\n  iris cluster --config=cluster.yaml controller stop -y\n")
@yes_option
@as_json_option
@click.pass_obj
def stop_controller(place: "Place", yes: bool, as_json: bool) -> None:
    """Stop the controller, and leave slices and jobs alone as long as they wait for it."""
    from iris.units import format_duration

    config, host = _meant(place)
    if not yes:
        span = format_duration(config.spec.timeouts.orphan_timeout)
        click.echo(
            f"workers that miss it for {span} stop their tasks, and end themselves", err=True
        )
        confirm("stop the controller")
    ran = _shown(host.end)
    click.echo("the controller is stopped" if ran else "no controller runs", err=True)
    if as_json:
        print_object("ControllerStop", {"stopped": ran})


@click.command(epilog="\b\nExamples:\n  iris cluster --config=cluster.yaml stop\n")
@yes_option
@as_json_option
@click.pass_obj
def stop(place: "Place", yes: bool, as_json: bool) -> None:
    """End the cluster: its jobs, its slices and its controller; nothing is left that costs money."""
    config, host = _meant(place)
    found = _shown(lambda say: _survey(config, host, say))
    dies = found.describe()
    for line in dies:
        click.echo(line, err=True)
    if not yes and dies:
        confirm("end all that")
    slices = _shown(found.end)
    click.echo("the cluster is stopped" if dies else "nothing of this cluster runs", err=True)
    if as_json:
        print_object("ClusterStop", {"stopped": bool(dies), "slices": slices})


def _meant(place: "Place", advertise: str | None = None) -> "tuple[ClusterConfig, ControllerHost]":
    """The cluster that a command is about, whose workers call what is advertised."""
    import os

    from iris.cli.hosts import host_of
    from iris.config import load_cluster

    named = place.config or (
        Path(os.environ["IRIS_CONFIG"]) if os.environ.get("IRIS_CONFIG") else None
    )
    if named is None:
        raise click.UsageError("it needs `iris cluster --config=FILE`, or IRIS_CONFIG")
    config = load_cluster(named)
    return config, host_of(config, named, advertise)


def _warn(config: "ClusterConfig") -> None:
    """Say what of it nobody could stop as an administrator."""
    from iris.config import access_suspicions

    for found in access_suspicions(config):
        click.echo(f"warning: {'.'.join(map(str, found.at))}: {found.message}", err=True)
        click.echo(f"help:    {found.help}", err=True)


def _try_certificate(config: "ClusterConfig", found: "Found", advertise: str | None) -> None:
    """See that those who believe in the configured certificate can call the controller.

    Raises:
        Failure: its certificate is refused; the controller runs on.
    """
    from iris.cli.hosts import reachable
    from iris.problems import Failure
    from iris.rpc.addresses import parse_address
    from iris.rpc.certificates import trouble

    if config.controller.tls is None or found.url is None:
        return
    address = parse_address(advertise or reachable(config, found))
    refusal = trouble(address, config.controller.tls.cert) if address.tls else None
    if refusal is not None:
        message = f"a controller runs that nobody can call: {address.url}: {refusal.said}"
        raise Failure(message, ExitStatus.FAILED, refusal.help)


def _shown(work: "Callable[[Say], Awaitable[_T]]") -> _T:
    """Do something that takes a while, and show its steps."""
    from iris.cli.hosts import run
    from iris.cli.steps import Steps

    with Steps() as steps:
        return run(lambda: work(steps.say))


def _tell(found: "Found", *, as_json: bool) -> None:
    if as_json:
        print_object(
            "Controller",
            {
                "controller": found.url,
                "state": found.standing.value,
                "name": found.name,
                "where": found.where,
            },
        )
        return
    where = f" in {found.where}" if found.where else ""
    click.echo(f"controller at {found.url}, {found.name}{where}")


class _Ending:
    """A cluster that is to end: what there is of it, and how it goes."""

    def __init__(
        self,
        config: "ClusterConfig",
        host: "ControllerHost",
        found: "Found",
        link: "Channel | None",
    ) -> None:
        self._config = config
        self._host = host
        self._found = found
        self._link = link
        """To its controller, if it answers."""
        self.slices: list[str] = []
        self.jobs: list[str] = []
        self.lacks = ""

    def describe(self) -> list[str]:
        """What dies, in lines; none if there is nothing."""
        from iris.cluster.vm.host import Standing

        lines = []
        there = (Standing.BOOTING, Standing.FAILED, Standing.SERVING)
        if self._found.standing in there or self._found.where:
            where = f" in {self._found.where}" if self._found.where else ""
            lines.append(f"controller: {self._found.name}{where}, {self._found.standing.value}")
        if self.slices:
            lines.append(f"slices ({len(self.slices)}): {_some(self.slices)}")
        if self.jobs:
            lines.append(f"jobs that have not ended ({len(self.jobs)}): {_some(self.jobs)}")
        if self._link is None and (lines or self.lacks):
            lines.append("no controller answers, so the jobs that run are not known")
        if self.lacks:
            lines.append(f"there may be more slices: {self.lacks}")
        return lines

    async def end(self, say: "Say") -> int:
        """End all of it; how many slices were still there when no controller did it."""
        from iris.cli.hosts import provider_alone
        from iris.cluster.vm.clearing import CLOUD, HOSTS, clear
        from iris.config import Manual

        patience = HOSTS if isinstance(self._config.provider, Manual) else CLOUD
        ended = self._link is not None and await self._ask_controller(say, patience.seconds)
        if not ended:  # Nobody may ask for new slices while these are given back.
            await self._host.end(say)
        async with provider_alone(self._config) as provider:
            left = await clear(provider, say, patience)
        await self._host.remove(say)
        return max(left, len(self.slices))

    async def _ask_controller(self, say: "Say", patience_s: float) -> bool:
        """Have the controller give everything back, and end; whether it did end."""
        from iris.problems import Failure
        from iris.rpc import iris_pb2 as pb
        from iris.rpc.methods import LIST_SLICES, SHUTDOWN

        assert self._link is not None, "asked of nobody"
        link, last = self._link, -1
        try:
            await asyncio.to_thread(link.call, SHUTDOWN, pb.ShutdownRequest(give_back=True))
        except Failure as error:
            if error.status is not ExitStatus.NOT_PERMITTED:
                raise
            remedy = (
                "name this user in auth.admins and `iris cluster restart`, or take the controller"
                " away first: `iris cluster controller stop`, and stop again"
            )
            raise Failure(str(error), error.status, remedy) from error
        say("the controller gives its slices back")
        try:
            async with asyncio.timeout(patience_s):
                while True:
                    found = await asyncio.to_thread(link.call, LIST_SLICES, pb.ListSlicesRequest())
                    left = sum(row.state != "gone" for row in found.slices)
                    if left != last:
                        say(f"the controller gives its slices back: {left} left")
                        last = left
                    await asyncio.sleep(_LOOK_EVERY_S)
        except TimeoutError:
            return False
        except Failure as error:
            return error.status is ExitStatus.UNREACHABLE


async def _survey(config: "ClusterConfig", host: "ControllerHost", say: "Say") -> _Ending:
    from iris.cli.hosts import provider_alone
    from iris.cluster.vm.clearing import look
    from iris.problems import Failure
    from iris.rpc import iris_pb2 as pb
    from iris.rpc.methods import LIST_JOBS, LIST_SLICES

    found = await host.look()
    link = await asyncio.to_thread(_link, config, found, say)
    ending = _Ending(config, host, found, link)
    if link is not None:
        try:
            rows = (await asyncio.to_thread(link.call, LIST_SLICES, pb.ListSlicesRequest())).slices
            ending.slices = [
                f"{row.id} ({row.state}, tasks: {row.live})" for row in rows if row.state != "gone"
            ]
            jobs = (await asyncio.to_thread(link.call, LIST_JOBS, pb.ListJobsRequest())).jobs
            ending.jobs = [job.id for job in jobs if job.state in ("pending", "running")]
        except Failure as error:
            if error.status is not ExitStatus.UNREACHABLE:
                raise
            say(f"{error}: looking without it")
        else:
            return ending
    ending = _Ending(config, host, found, None)
    async with provider_alone(config) as provider:
        seen = await look(provider)
    ending.slices, ending.lacks = [it.slice for it in seen.slices], seen.lacks
    return ending


def _link(config: "ClusterConfig", found: "Found", say: "Say") -> "Channel | None":
    """A connection to a controller that serves, if there is a way to it."""
    from iris.cli.hosts import reachable
    from iris.problems import Failure
    from iris.rpc.addresses import parse_address
    from iris.rpc.channel import Channel

    if found.url is None:
        return None
    tls = config.controller.tls
    authority = None if tls is None else tls.cert
    try:
        url = reachable(config, found)
    except Failure as error:
        say(f"{error}: looking without it")
        return None
    return Channel(parse_address(url), token=token(), authority=authority)


def _some(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
