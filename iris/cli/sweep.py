"""`iris sim sweep`: a scenario at every point of a grid, on this machine, on Dask, or on an Iris cluster.

stdout holds the result and nothing else, the same bytes wherever the runs were computed. Runs that are
lost are named, and the others are kept.
"""

import os
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from iris.cli.connect import client, controller_options
from iris.cli.progress import Progress
from iris.cli.sim import Interrupt, folder_option
from iris.exit_status import ExitStatus

if TYPE_CHECKING:
    from sim.packing import Folder
    from sim.sweep import Executor, Sweep, SweepResults

EXAMPLES: Final = """\b
Examples:
  iris sim sweep day.yaml --set scale_groups.tpu.max_slices=2..8
  iris sim sweep day.yaml --set workload.train.count=20,40 \\
      --set autoscaler.idle_timeout=1m,5m,20m --jobs 4 --out sweep/
  iris sim sweep day.yaml --set duration=1d,2d --executor dask \\
      --dask-address tcp://scheduler:8786
  iris sim sweep day.yaml --set warm_up=0s,1h --executor iris \\
      --controller-url http://controller:10000
\b
Exit status: 0 done, whatever expectations say; 9 an invariant was violated,
2 a setting or the scenario at a point is wrong, 1 or that of its job a run
was lost, 5 the cluster does not answer, 130 interrupted.
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the runs shall be computed."""

    executor: str
    jobs: int | None  # None: as many processes as there are processors
    dask_address: str | None  # None: not said
    controller_url: str | None  # None: not said
    config: Path | None  # None: not said
    memory: str | None  # None: not said


@click.command(epilog=EXAMPLES)
@click.argument("scenario", type=click.Path(path_type=Path))
@click.option(
    "--set",
    "settings",
    multiple=True,
    required=True,
    metavar="KEY=A,B,C",
    help="A key and its values, or a range as 1..5; repeatable: all combinations.",
)
@click.option("--seed", type=click.IntRange(min=0), help="The first seed, not the scenario's.")
@click.option(
    "--replications",
    type=click.IntRange(1, 100_000),
    default=10,
    show_default=True,
    metavar="K",
    help="Runs of each point, with K seeds in a row.",
)
@click.option(
    "--executor",
    type=click.Choice(("process", "dask", "iris")),
    default="process",
    show_default=True,
    help="Where the runs are computed.",
)
@click.option("--jobs", type=click.IntRange(1, 1024), metavar="N", help="Processes of `process`.")
@click.option(
    "--dask-address",
    metavar="URL",
    help="The scheduler for `dask`, else DASK_SCHEDULER_ADDRESS.",
)
@controller_options
@click.option("--memory", metavar="SIZE", help="Of each job of `iris`.  [default: 1GB]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@folder_option("Write tables and a report with plots into this folder.")
def sweep(
    scenario: Path,
    *,
    settings: tuple[str, ...],
    seed: int | None,
    replications: int,
    executor: str,
    jobs: int | None,
    dask_address: str | None,
    controller_url: str | None,
    config: Path | None,
    memory: str | None,
    as_json: bool,
    out: Path | None,
) -> int:
    """Run a scenario at every combination of some values."""
    place = Place(executor, jobs, dask_address, controller_url, config, memory)
    runs = _executor(place)
    from sim.export import json_text, prepare_directory
    from sim.packing import Folder
    from sim.sweep import plan_sweep
    from sim.sweep_tables import sweep_text

    with tempfile.TemporaryDirectory(prefix="iris-sweep-") as temporary:
        folder = Folder(Path(temporary))
        plan = plan_sweep(scenario, settings, seed=seed, replications=replications, folder=folder)
        for sentence in plan.warnings:
            click.echo(f"warning: {sentence}", err=True)
        if out is not None:
            prepare_directory(out)
        with Interrupt() as interrupt:
            found = _run(plan, runs, folder, interrupt)
    if out is not None:
        from sim.sweep_export import write_sweep

        write_sweep(out, found, _command(scenario, settings, plan))
    click.echo(json_text(found.as_object()) if as_json else sweep_text(found), nl=False)
    if out is not None and not as_json:
        click.echo(f"report: {out / 'report.html'}")
    return _status(found, interrupt)


def _executor(place: Place) -> "Executor":
    """The executor that is meant; refuses options that another one has."""
    for option, value, owner in (
        ("--jobs", place.jobs, "process"),
        ("--dask-address", place.dask_address, "dask"),
        ("--controller-url", place.controller_url, "iris"),
        ("--config", place.config, "iris"),
        ("--memory", place.memory, "iris"),
    ):
        if value is not None and place.executor != owner:
            raise click.UsageError(f"{option} is for --executor {owner}, not {place.executor}")
    if place.executor == "dask":
        address = place.dask_address or os.environ.get("DASK_SCHEDULER_ADDRESS")
        if not address:
            message = "no Dask scheduler is named; give --dask-address, as tcp://host:8786"
            raise click.UsageError(message)
        from sim.executor_dask import on_dask

        return on_dask(address)
    if place.executor == "iris":
        from sim.executor_iris import on_iris

        return on_iris(
            lambda workspace: client(place.controller_url, place.config, workspace),
            place.memory or "1GB",
        )
    from sim.executors import in_processes

    return in_processes(place.jobs or os.cpu_count() or 1)


def _run(
    plan: "Sweep", executor: "Executor", folder: "Folder", interrupt: Interrupt
) -> "SweepResults":
    from sim.sweep import Watch, gathered

    units = plan.units()
    with Progress(plan.scenario, None, len(units)) as progress:
        watch = Watch(stop=lambda: interrupt.seen, ended=progress.ended)
        return gathered(plan, executor(units, folder, watch))


def _command(scenario: Path, settings: tuple[str, ...], plan: "Sweep") -> str:
    """The command line that gives the same results again, wherever it runs."""
    words = ["iris", "sim", "sweep", str(scenario), "--seed", str(plan.seeds[0])]
    for setting in settings:
        words += ["--set", setting]
    return shlex.join([*words, "--replications", str(len(plan.seeds))])


def _status(found: "SweepResults", interrupt: Interrupt) -> ExitStatus:
    """How the command ends; a bug in Iris is told as such, after the results of the others."""
    lost = [one for _, _, one in found.lost]
    for one in lost:
        if one.error is not None:
            raise one.error
    if interrupt.seen:
        return ExitStatus.INTERRUPTED
    if any(one.violated for one in found.points):
        click.echo("an invariant was violated: trust no number; see `iris sim`", err=True)
        return ExitStatus.INVARIANT_VIOLATED
    if lost:
        runs = "1 run was" if len(lost) == 1 else f"{len(lost)} runs were"
        click.echo(f"{runs} lost: see above, or `lost` in the object", err=True)
        return lost[0].status
    return ExitStatus.DONE
