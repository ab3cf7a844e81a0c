"""`iris sim SCENARIO --serve`: a simulation on show, at a speed of one's choice, with the dashboard's own pages.

The pages stay when the simulation is over, until Ctrl-C; the status is then that of the run.
"""

import asyncio
import secrets
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from iris.exit_status import ExitStatus

if TYPE_CHECKING:
    import socket

    from sim.measure import Measures
    from sim.model import Scenario
    from sim.on_stage import Stage

FASTEST: Final = 1_000_000
LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Show:
    """How a simulation is to be shown."""

    port: int
    """0: any that is free."""
    speed: float | None  # None: as fast as it goes
    """Simulated seconds in a second; 0: it rests until somebody says otherwise."""
    runs: Path | None  # None: nobody keeps any
    """Where the folders of finished runs are."""


def speed_of(text: str) -> float | None:
    """Simulated seconds in a second; nothing for as fast as it goes.

    Raises:
        UsageError: it is no speed.
    """
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = -1.0
    if not 0 <= speed <= FASTEST:
        raise click.UsageError(
            f"--speed: {text!r} is neither `max` nor a number from 0 to {FASTEST:,}"
        )
    return speed


def show(scenario: "Scenario", how: Show, ended: Callable[["Measures"], None]) -> None:
    """Simulate, and let it be looked at, until Ctrl-C.

    Args:
        scenario: what to run.
        how: where, and how fast.
        ended: told what the run left behind, once, when it ends or is ended.

    Raises:
        Failure: the port is taken, or what serves pages is not installed.
    """
    from iris.garbage import rare_collections
    from sim.on_stage import Stage
    from sim.run import world_of

    listener = _listener(how.port)
    stage = Stage(world_of(scenario), how.speed, how.runs)
    click.echo(f"{scenario.name} at http://{LOOPBACK}:{listener.getsockname()[1]}", err=True)
    with rare_collections():
        asyncio.run(_show(stage, listener, ended))


def _listener(port: int) -> "socket.socket":
    from importlib.util import find_spec

    from iris.dashboard import NEEDS
    from iris.dashboard.listener import bind
    from iris.problems import Failure

    lacking = [name for name in NEEDS if find_spec(name) is None]
    if lacking:
        remedy = "pip install 'iris-orchestrator[server]'"
        raise Failure(f"{lacking[0]} is not installed", ExitStatus.FAILED, remedy)
    try:
        return bind(LOOPBACK, port)
    except OSError as error:
        message = f"cannot listen on {LOOPBACK}:{port}: {error.strerror}"
        raise Failure(message, ExitStatus.CONFLICT, "choose another by --port") from error


async def _show(
    stage: "Stage", listener: "socket.socket", ended: Callable[["Measures"], None]
) -> None:
    from iris.dashboard.app import Dashboard
    from iris.dashboard.server import HttpServer
    from sim.on_stage import OwnMachine

    dashboard = Dashboard(stage, OwnMachine(secrets.token_bytes(32)))
    server = HttpServer(dashboard.app, listener, dashboard.stopping)
    asked = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    serving = asyncio.create_task(server.serve())
    try:
        await stage.run(asked.is_set)
        # In a thread, for the pages are looked at meanwhile, and a report takes its time.
        await asyncio.to_thread(lambda: ended(stage.finish()))
        if not asked.is_set():
            click.echo("it is over, and still on show; Ctrl-C ends that", err=True)
            await asked.wait()
    finally:
        server.stop()
        await serving
