"""`iris sim`: answers what a scenario would do, and says by its status whether that was expected.

stdout holds the result and nothing else: a summary, or with `--json` one object. Progress goes to
stderr, on a terminal only. The simulator is imported when the command runs.
"""

import os
import shlex
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from iris.cli.lazy import CommandWithVerbs, Lazy
from iris.cli.progress import Progress
from iris.exit_status import ExitStatus

if TYPE_CHECKING:
    from sim.export import Output
    from sim.measure import Measures
    from sim.model import Scenario
    from sim.study import Run

EXAMPLES: Final = """\b
Examples:
  iris sim scenario.yaml
  iris sim scenario.yaml --seed 7 --json
  iris sim scenario.yaml --set cluster.scale_groups.tpu.max_slices=16 --out report/
  iris sim scenario.yaml --replications 20 --jobs 4
  iris sim scenario.yaml --serve --speed 3600
\b
Exit status: 0 all expectations hold, 8 one is false, 9 an invariant was
violated (no number can be trusted), 2 the scenario is wrong, 130 interrupted.
"""


VERBS: Final = {
    "compare": Lazy("iris.cli.compare:compare", "Compare two scenarios, seed by seed."),
    "fuzz": Lazy("iris.cli.fuzz:fuzz", "Look for a world in which Iris fails."),
    "replay": Lazy(
        "iris.cli.replay:replay", "Tell a journal, verify it, or ask it what would have been."
    ),
    "sweep": Lazy("iris.cli.sweep:sweep", "Run a scenario at every point of a grid."),
}


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asked for."""

    path: Path
    seed: int | None  # None: the scenario's own
    overrides: tuple[str, ...]
    as_json: bool
    out: Path | None  # None: no files
    replications: int | None  # None: one run, told without intervals
    jobs: int | None  # None: as many as there are processors
    plots: bool = False


def _named(_: click.Context, __: click.Parameter, folder: str | None) -> Path | None:
    """The folder for the files; an empty name would mean the present one."""
    if folder == "":
        raise click.BadParameter("the folder's name is empty; `.` is the present folder")
    return None if folder is None else Path(folder)


_F = TypeVar("_F", bound=Callable[..., Any])


def folder_option(help: str) -> Callable[[_F], _F]:
    """`--out DIR`."""
    return click.option(
        "--out",
        type=click.Path(file_okay=False),
        callback=_named,
        metavar="DIR",
        help=help,
    )


class Sim(CommandWithVerbs):
    """A simulation, and what else can be asked of the past and the future."""

    verbs = VERBS


@click.command(cls=Sim, epilog=EXAMPLES)
@click.argument("scenario", type=click.Path(path_type=Path))
@click.option("--seed", type=click.IntRange(min=0), help="Take this seed, not the scenario's.")
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change one key; repeatable."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@folder_option("Write tables, a trace and a report into this folder.")
@click.option("--plots", is_flag=True, help="With --out: the report's charts as PNG files, too.")
@click.option(
    "--replications",
    type=click.IntRange(1, 100_000),
    metavar="K",
    help="Run with K seeds in a row, and give means with intervals.",
)
@click.option(
    "--jobs", type=click.IntRange(1, 1024), metavar="N", help="Processes for replications."
)
@click.option("--serve", is_flag=True, help="Show it as it runs, with the dashboard's pages.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=10_080,
    show_default=True,
    help="With --serve.",
)
@click.option(
    "--speed",
    default="600",
    show_default=True,
    metavar="N|max",
    help="With --serve: simulated seconds in a second, to be changed on its page.",
)
def sim(
    scenario: Path,
    *,
    seed: int | None,
    overrides: tuple[str, ...],
    as_json: bool,
    out: Path | None,
    plots: bool,
    replications: int | None,
    jobs: int | None,
    serve: bool,
    port: int,
    speed: str,
) -> int:
    """Simulate a scenario against the fake cloud."""
    request = Request(scenario, seed, overrides, as_json, out, replications, jobs, plots)
    if plots:
        from iris.cli.plots import check_plots
        from sim.report_charts import can_draw

        check_plots(out, can_draw=can_draw())
    if not serve:
        _check_not_on_show()
        return _simulate(request)
    if replications is not None:
        raise click.UsageError("--serve shows one run, and --replications are several")
    return _on_show(request, port, speed)


def _check_not_on_show() -> None:
    """Refuse what would mean nothing without `--serve`."""
    context = click.get_current_context()
    for name in ("port", "speed"):
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name} is for --serve only: give that, too, or leave it out")


def _on_show(request: Request, port: int, speed: str) -> ExitStatus:
    """Run what the command line asked for while somebody looks on; the status."""
    from iris.cli.showing import Show, show, speed_of
    from sim.export import write_outputs_apart
    from sim.results import summarize
    from sim.study import Run

    how = Show(
        port, speed_of(speed), None if request.out is None else request.out.absolute().parent
    )
    scenario = _prepared(request)
    told: list[Mapping[str, object]] = []

    def ended(measures: "Measures") -> None:
        results = summarize(measures, scenario.expect)
        told.append(results)
        if request.out is not None:
            click.echo(f"writing {request.out}", err=True)
            # In a process of its own: drawing holds up all threads of one for seconds, and pages with them.
            output = _output(request, scenario, results, [Run(results, measures)])
            write_outputs_apart(request.out, output)
        _print(request, results)
        _say_where(request)

    show(scenario, how, ended)
    return ExitStatus.INTERRUPTED if told[0]["partial"] else status_of(told[0])


def _simulate(request: Request) -> ExitStatus:
    """Run it, tell it, write it; the status."""
    from sim.export import write_outputs
    from sim.results import aggregate

    scenario = _prepared(request)
    with Interrupt() as interrupt:
        runs = runs_of(request, scenario, interrupt)
    if not runs:
        click.echo("interrupted before a run had ended: there is no result", err=True)
        return ExitStatus.INTERRUPTED
    if request.replications is None:
        results = runs[0].results
    else:
        results = aggregate([run.results for run in runs])
        results["partial"] = results["partial"] or len(runs) < request.replications
    _print(request, results)
    if request.out is not None:
        try:
            write_outputs(request.out, _output(request, scenario, results, runs))
        except KeyboardInterrupt:
            said = f"interrupted while {request.out} was written: not all of its files are there"
            click.echo(said, err=True)
            return ExitStatus.INTERRUPTED
        _say_where(request)
    return ExitStatus.INTERRUPTED if interrupt.seen else status_of(results)


def _prepared(request: Request) -> "Scenario":
    """The scenario, with what is odd about it told, and the folder for its files made."""
    from sim.export import prepare_directory
    from sim.scenario import load_scenario
    from sim.suspicions import suspicions

    scenario = load_scenario(request.path, seed=request.seed, overrides=request.overrides)
    for sentence in suspicions(scenario):
        click.echo(f"warning: {sentence}", err=True)
    if request.out is not None:
        prepare_directory(request.out)
    return scenario


def status_of(results: Mapping[str, object]) -> ExitStatus:
    """What the results say by themselves; a violated invariant outweighs a false expectation."""
    from sim.tables import at, number

    if number(at(results, "invariants", "violated")):
        return ExitStatus.INVARIANT_VIOLATED
    expectations = results["expect"]
    assert isinstance(expectations, list)
    if all(verdict["holds"] for verdict in expectations):
        return ExitStatus.DONE
    return ExitStatus.EXPECTATION_FALSE


def runs_of(request: Request, scenario: "Scenario", interrupt: "Interrupt") -> "list[Run]":
    """The runs that the request asks for, with progress on a terminal."""
    from sim.run import simulate
    from sim.study import Plan, RunLost, run_study

    count = request.replications or 1
    processes = min(count, request.jobs or os.cpu_count() or 1)
    with Progress(scenario.name, scenario.duration, count) as progress:
        plan = Plan(
            scenario,
            replications=count,
            processes=processes,
            keep_rows=request.out is not None,
            # A run in this process tells how far it is; others only that they have ended.
            simulate=simulate if processes > 1 else partial(simulate, progress=progress.simulated),
        )
        try:
            return run_study(plan, stop=lambda: interrupt.seen, finished=progress.ended)
        except RunLost as error:
            raise click.ClickException(
                f"{error}; memory may have run out: try --jobs {max(1, processes // 2)}"
            ) from error


def _output(
    request: Request, scenario: "Scenario", results: Mapping[str, object], runs: "Sequence[Run]"
) -> "Output":
    """What the files are made of."""
    from sim.export import Output

    rows = [run.measures for run in runs if run.measures is not None]
    return Output(scenario, results, rows, _command(request, scenario), request.plots)


def _command(request: Request, scenario: "Scenario") -> str:
    """The command line that gives the same results again."""
    words = ["iris", "sim", str(request.path), "--seed", str(scenario.seed)]
    for override in request.overrides:
        words += ["--set", override]
    if request.replications is not None:
        words += ["--replications", str(request.replications)]
    return shlex.join(words)


def _print(request: Request, results: Mapping[str, object]) -> None:
    from sim.export import json_text
    from sim.tables import terminal_summary

    if request.as_json:
        click.echo(json_text(results), nl=False)
        return
    click.echo(terminal_summary(results), nl=False)


def _say_where(request: Request) -> None:
    if request.out is not None and not request.as_json:
        click.echo(f"report: {request.out / 'report.html'}")


class Interrupt:
    """While this is open, the first Ctrl-C is only noted; a second one ends the command."""

    def __init__(self) -> None:
        self.seen = False
        self._before = signal.getsignal(signal.SIGINT)

    def __enter__(self) -> "Interrupt":
        """Listen."""
        signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Hand Ctrl-C back to whoever had it."""
        signal.signal(signal.SIGINT, self._before)

    def _note(self, *_: object) -> None:
        self.seen = True
        signal.signal(signal.SIGINT, self._before)
