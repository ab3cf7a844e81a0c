"""`iris sim`: answers what a scenario would do, and says by its status whether that was expected.

stdout holds the result and nothing else: a summary, or with `--json` one object. Progress goes to
stderr, on a terminal only. The simulator is imported when the command runs.
"""

import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from iris.cli.lazy import CommandWithVerbs, Lazy
from iris.exit_status import ExitStatus
from iris.problems import Failure

if TYPE_CHECKING:
    import rich.progress

    from sim.model import Scenario
    from sim.study import Run

EXAMPLES: Final = """\b
Examples:
  iris sim scenario.yaml
  iris sim scenario.yaml --seed 7 --json
  iris sim scenario.yaml --set cluster.scale_groups.tpu.max_slices=16 --out report/
  iris sim scenario.yaml --replications 20 --jobs 4
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

SHOWN_AFTER_S: Final = 1.0
SHOWN_EVERY_S: Final = 0.2
SAID_EVERY_S: Final = 60.0


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
) -> int:
    """Simulate a scenario against the fake cloud."""
    request = Request(scenario, seed, overrides, as_json, out, replications, jobs, plots)
    if plots:
        _check_plots(request)
    return _simulate(request)


def _check_plots(request: Request) -> None:
    """Refuses, before a long run, what could not be drawn.

    Raises:
        click.UsageError: there is no folder for them.
        Failure: what draws is not installed.
    """
    from sim.report_charts import can_draw

    if request.out is None:
        raise click.UsageError("--plots goes with --out DIR: the pictures go into DIR/plots")
    if not can_draw():
        raise Failure(
            "--plots needs altair and vl-convert, which are not installed",
            ExitStatus.BAD_INPUT,
            "pip install 'iris-orchestrator[report]'",
        )


def _simulate(request: Request) -> ExitStatus:
    """Run it, tell it, write it; the status."""
    from sim.export import prepare_directory
    from sim.results import aggregate
    from sim.scenario import load_scenario
    from sim.suspicions import suspicions

    scenario = load_scenario(request.path, seed=request.seed, overrides=request.overrides)
    for sentence in suspicions(scenario):
        click.echo(f"warning: {sentence}", err=True)
    if request.out is not None:
        prepare_directory(request.out)
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
    if request.out is not None:
        _write(request, request.out, scenario, results, runs)
    _print(request, results)
    return ExitStatus.INTERRUPTED if interrupt.seen else status_of(results)


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


def _write(
    request: Request,
    directory: Path,
    scenario: "Scenario",
    results: Mapping[str, object],
    runs: "Sequence[Run]",
) -> None:
    from sim.export import Output, write_outputs

    rows = [run.measures for run in runs if run.measures is not None]
    command = _command(request, scenario)
    write_outputs(directory, Output(scenario, results, rows, command, request.plots))


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
    if request.out is not None:
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


class Progress:
    """How far a run that takes a while is, on stderr: in a line that changes, or in a pipe in one a minute."""

    def __init__(self, name: str, duration: int | None, count: int | None) -> None:
        self._name = name
        self._duration = duration  # None: until all jobs have ended
        self._count = count  # None: as many as there is time for
        self._on_terminal = sys.stderr.isatty()
        self._ended = 0
        self._started = self._shown = time.monotonic()
        self._bar: rich.progress.Progress | None = None  # None: nothing is shown yet

    def __enter__(self) -> "Progress":
        """Nothing is shown before the run has lasted a while."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wipe the line."""
        if self._bar is not None:
            self._bar.stop()

    def simulated(self, now: int, jobs_ended: int) -> None:
        """A run in this process has come so far."""
        if not self._is_due():
            return
        from sim.tables import span_text

        ratio = now / 1000 / (time.monotonic() - self._started)
        text = f"{span_text(now / 1000)} simulated, {ratio:,.0f} times real time, "
        text += f"{jobs_ended:,} jobs ended"
        if self._count is not None and self._count > 1:
            text = f"run {self._ended + 1} of {self._count}: {text}"
        self._show(text, now, self._duration)

    def ended(self, runs: int) -> None:
        """So many of the study's runs have ended."""
        self._ended = runs
        if self._count != 1 and self._is_due():
            whole = "" if self._count is None else f" of {self._count:,}"
            self._show(f"{runs:,}{whole} runs", runs, self._count)

    def say(self, line: str) -> None:
        """Something that stays to be read."""
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            click.echo(line, err=True)

    def _is_due(self) -> bool:
        """Whether a reader has waited for long enough."""
        now = time.monotonic()
        every = SHOWN_EVERY_S if self._on_terminal else SAID_EVERY_S
        if now - self._started < SHOWN_AFTER_S or now - self._shown < every:
            return False
        self._shown = now
        return True

    def _show(self, text: str, done: int, whole: int | None) -> None:
        if not self._on_terminal:
            self.say(f"{self._name}: {text}")
            return
        if self._bar is None:
            self._bar = _bar()
            self._bar.add_task(self._name, text=text)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=done, total=whole, text=text)
        self._bar.refresh()


def _bar() -> "rich.progress.Progress":
    import rich.console
    import rich.progress

    return rich.progress.Progress(
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(bar_width=12),
        rich.progress.TextColumn("{task.fields[text]}"),
        console=rich.console.Console(stderr=True),
        # No thread of its own: what simulates also draws.
        auto_refresh=False,
        transient=True,
    )
