"""`iris sim replay`: what a controller's journal holds, and whether this version would decide the same.

Reading changes nothing, also when the controller is at work. Values of environment variables, which
may be secrets, are never shown.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from iris.exit_status import ExitStatus

if TYPE_CHECKING:
    from iris.cluster.controller.journal import SqliteJournal
    from iris.core.record import Turn
    from iris.core.replay import Difference
    from iris.core.state import ClusterState
    from iris.problems import Failure

EXAMPLES: Final = """\b
Examples:
  iris sim replay iris-data/journal.sqlite
  iris sim replay iris-data --verify
  iris sim replay iris-data --dump
\b
Exit status: 0 done, 1 with --verify another decision was made than is
recorded, 2 the file is no journal.
"""

_SECRET_FIELD: Final = "environment"


@click.command(epilog=EXAMPLES)
@click.argument("journal", type=click.Path(path_type=Path))
@click.option("--verify", "verifying", is_flag=True, help="Decide every turn anew and compare.")
@click.option("--dump", "dumping", is_flag=True, help="Print every fact and decision.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; a line with --dump.")
def replay(journal: Path, *, verifying: bool, dumping: bool, as_json: bool) -> int:
    """Show what a journal holds, or verify it."""
    if verifying and dumping:
        raise click.UsageError("--verify and --dump: one at a time")
    from iris.cluster.controller.journal import JournalError

    book = _opened(journal)
    try:
        if dumping:
            return _dump(book, as_json=as_json)
        return _verify(book, as_json=as_json) if verifying else _show(book, as_json=as_json)
    except JournalError as error:
        raise _refusal(error) from error
    finally:
        book.close()


def _refusal(error: Exception) -> "Failure":
    from iris.cluster.controller.recovery import JOURNAL_FILE
    from iris.problems import Failure

    remedy = f"name a controller's folder, or the {JOURNAL_FILE} in it"
    return Failure(str(error), ExitStatus.BAD_INPUT, remedy)


def _opened(path: Path) -> "SqliteJournal":
    """The journal of a file, or of a controller's folder.

    Raises:
        Failure: there is none, or it cannot be read.
    """
    from iris.cluster.controller.journal import JournalError, SqliteJournal
    from iris.cluster.controller.recovery import JOURNAL_FILE

    try:
        return SqliteJournal(path / JOURNAL_FILE if path.is_dir() else path, readonly=True)
    except JournalError as error:
        raise _refusal(error) from error


@dataclass(slots=True)
class _Tally:
    """Counts what is read on its way through."""

    turns: int = 0
    first: int | None = None  # None: nothing was read
    last: int = 0
    facts: Counter[str] = field(default_factory=Counter)
    decisions: Counter[str] = field(default_factory=Counter)

    def over(self, turns: "Iterable[Turn]") -> "Iterator[Turn]":
        for turn in turns:
            self.turns += 1
            self.first = turn.now if self.first is None else self.first
            self.last = turn.now
            self.facts.update(type(event).__name__ for event in turn.events)
            self.decisions.update(type(decision).__name__ for decision in turn.decisions)
            yield turn

    @property
    def span_s(self) -> float:
        return 0.0 if self.first is None else (self.last - self.first) / 1_000


# ---- what it holds -------------------------------------------------------------------------------


def _show(book: "SqliteJournal", *, as_json: bool) -> ExitStatus:
    from iris.cli.tables import print_object, timestamp
    from iris.core.replay import recover

    tally = _Tally()
    image, turns = book.whole()
    state = recover(tally.over(turns), image).state
    if as_json:
        whole: dict[str, object] = {
            "path": str(book.path),
            "from_snapshot": image is not None,
            "turns": tally.turns,
            "first_turn_at": None if tally.first is None else timestamp(tally.first),
            "last_turn_at": None if tally.first is None else timestamp(tally.last),
            "span_s": tally.span_s,
            "facts": dict(sorted(tally.facts.items())),
            "decisions": dict(sorted(tally.decisions.items())),
            "jobs": _jobs(state),
            "digest": state.digest(),
        }
        print_object("Journal", whole)
        return ExitStatus.DONE
    begun = "a snapshot" if image is not None else "the beginning"
    click.echo(f"{book.path}: {tally.turns} turns in {tally.span_s:,.1f} s, from {begun}")
    _counts("facts", tally.facts)
    _counts("decisions", tally.decisions)
    _counts("jobs at the end", Counter(_jobs(state)))
    click.echo(f"digest {state.digest()}")
    return ExitStatus.DONE


def _jobs(state: "ClusterState") -> dict[str, int]:
    return dict(sorted(Counter(job.state.value for job in state.jobs.values()).items()))


def _counts(title: str, counts: Counter[str]) -> None:
    click.echo(f"\n{title}")
    width = max((len(name) for name in counts), default=0)
    for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        click.echo(f"  {name:{width}}  {count:>9,}")
    if not counts:
        click.echo("  none")


# ---- verification --------------------------------------------------------------------------------


def _verify(book: "SqliteJournal", *, as_json: bool) -> ExitStatus:
    from iris.cli.tables import print_object
    from iris.core.replay import verify

    tally = _Tally()
    image, turns = book.whole()
    difference = verify(tally.over(turns), image)
    count = sum(tally.decisions.values())
    if as_json:
        told: dict[str, object] = {
            "path": str(book.path),
            "turns": tally.turns,
            "decisions": count,
            "equal": difference is None,
            "difference": None if difference is None else _difference(difference),
        }
        print_object("Verification", told)
    elif difference is None:
        click.echo(f"{tally.turns:,} turns with {count:,} decisions: all are decided the same now")
    else:
        words = _difference(difference)
        click.echo(
            f"turn {difference.turn}, at {difference.now} ms, decision {difference.position}:"
        )
        click.echo(f"  recorded: {words['recorded'] or 'no more decisions'}")
        click.echo(f"  decided:  {words['decided'] or 'no more decisions'}")
    return ExitStatus.DONE if difference is None else ExitStatus.FAILED


def _difference(difference: "Difference") -> dict[str, object]:
    return {
        "turn": difference.turn,
        "now_ms": difference.now,
        "position": difference.position,
        "recorded": _told(difference.recorded),
        "decided": _told(difference.decided),
    }


def _told(decision: object) -> str | None:
    return None if decision is None else as_text(decision)


# ---- every fact and decision ---------------------------------------------------------------------


def _dump(book: "SqliteJournal", *, as_json: bool) -> ExitStatus:
    import json

    from iris.cli.tables import timestamp

    image, turns = book.whole()
    if image is not None and not as_json:
        click.echo(f"{timestamp(image.now)}  (earlier turns are in a snapshot)")
    for turn in turns:
        if as_json:
            line = {
                "now_ms": turn.now,
                "facts": [as_text(event) for event in turn.events],
                "decisions": [as_text(decision) for decision in turn.decisions],
            }
            click.echo(json.dumps(line))
            continue
        at = timestamp(turn.now)
        for event in turn.events:
            click.echo(f"{at}  <  {as_text(event)}")
        for decision in turn.decisions:
            click.echo(f"{at}  >  {as_text(decision)}")
    return ExitStatus.DONE


def as_text(value: object) -> str:
    """A record on one line: its class and what in it says something, without any secret."""
    if is_dataclass(value) and not isinstance(value, type):
        parts = [
            f"{item.name}={_guarded(item.name, getattr(value, item.name))}"
            for item in fields(value)
            if getattr(value, item.name) not in (None, (), "", item.default)
        ]
        return f"{type(value).__name__}({', '.join(parts)})"
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return f"[{', '.join(as_text(item) for item in value)}]"
    return f"{value!r}" if not hasattr(value, "value") else str(value.value)


def _guarded(name: str, value: object) -> str:
    if name == _SECRET_FIELD and isinstance(value, tuple):
        return f"[{', '.join(f'{variable}=***' for variable, _ in value)}]"
    return as_text(value)
