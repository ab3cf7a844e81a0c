"""`iris sim replay`: what a journal tells, whether this version decides alike, and what would have been.

Reading changes nothing, also when the controller is at work. Values of environment variables, which
may be secrets, are never shown.
"""

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from iris.cli.sim import folder_option
from iris.exit_status import ExitStatus

if TYPE_CHECKING:
    from iris.cluster.controller.journal import SqliteJournal
    from iris.core.replay import Difference
    from iris.problems import Failure

EXAMPLES: Final = """\b
Examples:
  iris sim replay iris-data/journal.sqlite
  iris sim replay iris-data --out report/
  iris sim replay iris-data --verify
  iris sim replay iris-data --what-if --set scale_groups.tpu.max_slices=20
  iris sim replay iris-data --what-if --config other.yaml --out report/
\b
Exit status: 0 done, 1 with --verify another decision was made than is
recorded, 2 the file is no journal or the configuration is wrong, 9 an
invariant was violated (no number can be trusted).
"""

_SECRET_FIELD: Final = "environment"


@click.command(epilog=EXAMPLES)
@click.argument("journal", type=click.Path(path_type=Path))
@click.option("--verify", "verifying", is_flag=True, help="Decide every turn anew and compare.")
@click.option("--dump", "dumping", is_flag=True, help="Print every fact and decision.")
@click.option(
    "--what-if", "asking", is_flag=True, help="Simulate its outside world under a configuration."
)
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="With --what-if: change a key."
)
@click.option(
    "--config", type=click.Path(path_type=Path), metavar="FILE", help="With --what-if: take this."
)
@click.option(
    "--until-done", is_flag=True, help="With --what-if: simulate on until all jobs have ended."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; a line with --dump.")
@folder_option("Write tables, a trace and a report into this folder.")
def replay(
    journal: Path,
    *,
    verifying: bool,
    dumping: bool,
    asking: bool,
    overrides: tuple[str, ...],
    config: Path | None,
    until_done: bool,
    as_json: bool,
    out: Path | None,
) -> int:
    """Tell what a journal holds, verify it, or ask it what would have been."""
    ways = {"--verify": verifying, "--dump": dumping, "--what-if": asking}
    chosen = [name for name, is_set in ways.items() if is_set]
    if len(chosen) > 1:
        raise click.UsageError(f"{' and '.join(chosen)}: one at a time")
    changes = bool(overrides) or config is not None
    _check_options(asking=asking, changes=changes, going_on=until_done)
    if out is not None and (verifying or dumping):
        raise click.UsageError(f"{chosen[0]} writes no files; leave out --out")
    from iris.cli.retell import Question, retell, what_if
    from iris.cluster.controller.journal import JournalError

    book = opened(journal)
    try:
        if dumping:
            return _dump(book, as_json=as_json)
        if verifying:
            return _verify(book, as_json=as_json)
        question = Question(journal, overrides, config, until_done, as_json, out)
        return what_if(book, question) if asking else retell(book, question)
    except JournalError as error:
        raise refusal(error) from error
    finally:
        book.close()


def _check_options(*, asking: bool, changes: bool, going_on: bool) -> None:
    if (changes or going_on) and not asking:
        raise click.UsageError(
            "--set, --config and --until-done ask what would have been; add --what-if"
        )
    if asking and not changes:
        raise click.UsageError(
            "--what-if: say what is changed, by --set KEY=VALUE or --config FILE"
        )


def refusal(error: Exception) -> "Failure":
    """What a journal that cannot be read ends a command with."""
    from iris.cluster.controller.recovery import JOURNAL_FILE
    from iris.problems import Failure

    remedy = f"name a controller's folder, or the {JOURNAL_FILE} in it"
    return Failure(str(error), ExitStatus.BAD_INPUT, remedy)


def opened(path: Path) -> "SqliteJournal":
    """The journal of a file, or of a controller's folder.

    Raises:
        Failure: there is none, or it cannot be read.
    """
    from iris.cluster.controller.journal import JournalError, SqliteJournal
    from iris.cluster.controller.recovery import JOURNAL_FILE

    try:
        return SqliteJournal(path / JOURNAL_FILE if path.is_dir() else path, readonly=True)
    except JournalError as error:
        raise refusal(error) from error


# ---- verification --------------------------------------------------------------------------------


def _verify(book: "SqliteJournal", *, as_json: bool) -> ExitStatus:
    from iris.cli.retell import Tally
    from iris.cli.tables import print_object
    from iris.core.replay import verify

    tally = Tally()
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

    from iris.units import timestamp

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
