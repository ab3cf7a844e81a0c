"""A journal as the results of a run, and beside it what another configuration would have made of it.

The work of `iris sim replay` that needs the simulator. stdout holds the answer and nothing else.
"""

import shlex
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from iris.exit_status import ExitStatus

if TYPE_CHECKING:
    from iris.cluster.controller.journal import SqliteJournal
    from iris.core.record import Turn
    from sim.chronicle import Chronicle
    from sim.measure import Measures
    from sim.model import Scenario
    from sim.outside import Outside


@dataclass(frozen=True, slots=True)
class Question:
    """What the command line asked for."""

    path: Path
    overrides: tuple[str, ...]
    config: Path | None  # None: the recorded configuration
    until_done: bool
    """Whether simulations go on behind the record until all jobs have ended."""
    as_json: bool
    out: Path | None  # None: no files

    @property
    def changes(self) -> str:
        """The other configuration, as the command line says it."""
        words = [] if self.config is None else ["--config", str(self.config)]
        for override in self.overrides:
            words += ["--set", override]
        if self.until_done:
            words.append("--until-done")
        return shlex.join(words)

    @property
    def command(self) -> str:
        """The command line that gives the same answer again."""
        words = f"iris sim replay {shlex.quote(str(self.path))}"
        return f"{words} --what-if {self.changes}" if self.changes else words


@dataclass(slots=True)
class Tally:
    """Counts what is read on its way through."""

    turns: int = 0
    first: int | None = None  # None: nothing was read
    last: int = 0
    facts: Counter[str] = field(default_factory=Counter)
    decisions: Counter[str] = field(default_factory=Counter)

    def over(self, turns: "Iterable[Turn]") -> "Iterator[Turn]":
        """The same turns."""
        for turn in turns:
            self.turns += 1
            self.first = turn.now if self.first is None else self.first
            self.last = turn.now
            self.facts.update(type(event).__name__ for event in turn.events)
            self.decisions.update(type(decision).__name__ for decision in turn.decisions)
            yield turn

    @property
    def span_s(self) -> float:
        """From the first turn to the last."""
        return 0.0 if self.first is None else (self.last - self.first) / 1_000


@dataclass(frozen=True, slots=True)
class _Run:
    """A world that was lived through, really or simulated."""

    name: str
    scenario: "Scenario"
    measures: "Measures"
    results: dict[str, object]


def retell(book: "SqliteJournal", question: Question) -> ExitStatus:
    """Tell what happened, as `iris sim` tells a run."""
    from iris.cli.sim import status_of
    from sim.export import json_text
    from sim.tables import terminal_summary

    _prepare(question)
    _, run, journal = _read(book)
    whole = {**run.results, "journal": journal}
    if question.out is not None:
        _write(question, question.out, replace(run, results=whole))
    if question.as_json:
        click.echo(json_text(whole), nl=False)
    else:
        click.echo(_header(journal))
        click.echo(terminal_summary(run.results), nl=False)
        click.echo(f"digest {journal['digest']}")
        if question.out is not None:
            click.echo(f"report: {question.out / 'report.html'}")
    return status_of(run.results)


def _read(book: "SqliteJournal") -> "tuple[Outside, _Run, dict[str, object]]":
    """The outside world of a journal, what really happened, and what is to be said of the journal.

    Raises:
        Failure: there is no turn in it.
    """
    from iris.problems import Failure
    from sim.chronicle import read_chronicle
    from sim.outside import outside_of
    from sim.recorded import measures_of
    from sim.results import summarize

    began = time.perf_counter()
    tally = Tally()
    image, turns = book.whole()
    chronicle = read_chronicle(tally.over(turns), image)
    if chronicle is None:
        message = f"{book.path}: nothing has happened yet"
        raise Failure(message, ExitStatus.BAD_INPUT, "start its controller once")
    measures = measures_of(chronicle, book.path.absolute().parent.name)
    measures.wall_s = time.perf_counter() - began
    outside = outside_of(chronicle, measures.scenario)
    run = _Run("recorded", outside.scenario, measures, summarize(measures, ()))
    return outside, run, _about(book, chronicle, tally)


def _about(book: "SqliteJournal", chronicle: "Chronicle", tally: Tally) -> dict[str, object]:
    from iris.units import timestamp

    return {
        "path": str(book.path),
        "from_snapshot": chronicle.image is not None,
        "began_at": timestamp(chronicle.began),
        "ended_at": timestamp(chronicle.ended),
        "turns": tally.turns,
        "span_s": tally.span_s,
        "facts": dict(sorted(tally.facts.items())),
        "decisions": dict(sorted(tally.decisions.items())),
        "digest": chronicle.state.digest(),
    }


def _header(journal: Mapping[str, object]) -> str:
    begun = "the beginning"
    if journal["from_snapshot"]:
        begun = f"the snapshot of {journal['began_at']}; what was before it is gone"
    return f"{journal['path']}: {journal['turns']} turns in {journal['span_s']} s, from {begun}\n"


def _prepare(question: Question) -> None:
    if question.out is not None:
        from sim.export import prepare_directory

        prepare_directory(question.out)


def _write(question: Question, folder: Path, run: _Run) -> None:
    from sim.export import Output, write_outputs

    write_outputs(folder, Output(run.scenario, run.results, [run.measures], question.command))


# ---- what if ---------------------------------------------------------------------------------------


def what_if(book: "SqliteJournal", question: Question) -> ExitStatus:
    """Tell what happened, what the simulation makes of it, and what another configuration would."""
    from iris.cli.sim import status_of
    from sim.export import json_text
    from sim.outside import under, until_done
    from sim.recorded_config import changed
    from sim.what_if import Sides, answer_of, answer_text, assumptions, fidelity

    _prepare(question)
    outside, recorded, journal = _read(book)
    if question.until_done:
        outside = until_done(outside)
    other = under(
        outside.scenario,
        lambda spec: changed(spec, question.overrides, question.config),
        keep_edits=question.config is None,
    )
    again = _simulated("simulated", outside, outside.scenario)
    runs = [recorded, again, _simulated("changed", outside, other)]
    sides = Sides(*(run.results for run in runs))
    answer = answer_of(
        sides,
        fidelity(recorded.measures, again.measures),
        list(assumptions(outside, edits_kept=question.config is None)),
        question.changes,
    )
    answer["journal"] = journal
    if question.out is not None:
        for run in runs:
            _write(question, question.out / run.name, run)
        (question.out / "what_if.json").write_text(json_text(answer), encoding="utf-8")
    if question.as_json:
        click.echo(json_text(answer), nl=False)
    else:
        click.echo(_header(journal))
        click.echo(answer_text(answer, sides), nl=False)
        if question.out is not None:
            click.echo(f"reports: {question.out}/{{{','.join(run.name for run in runs)}}}")
    return max(status_of(side) for side in sides)


def _simulated(name: str, outside: "Outside", scenario: "Scenario") -> _Run:
    from sim.results import summarize
    from sim.resumed import live_again

    measures = live_again(outside, scenario)
    return _Run(name, scenario, measures, summarize(measures, ()))
