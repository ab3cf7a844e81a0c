"""What happened to a job, a task, a slice, a worker or a group, as the journal has it."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import click

from iris.cli.connect import channel, controller_options
from iris.cli.tables import print_list, print_table

if TYPE_CHECKING:
    from iris.cluster.controller.journal import SqliteJournal
    from iris.core.timeline import Subject
    from iris.rpc import iris_pb2 as pb
    from iris.rpc.channel import Channel

_F = TypeVar("_F", bound=Callable[..., Any])

_Decorator: TypeAlias = Callable[[Callable[..., None]], Callable[..., None]]
_ID: Final[_Decorator] = click.argument("id")

NEWEST: Final = 100
"""Events that are shown if nobody says how many."""
_PAGE: Final = 1_000


@dataclass(frozen=True, slots=True)
class _Told:
    """Some of a timeline, oldest first."""

    events: "list[pb.Happening]"
    more: bool
    """There are older ones."""
    first_at_ms: int
    """What was before it is no longer in the journal."""
    trimmed: bool


def events_options(command: _F) -> _F:
    """What every command has that shows a timeline."""
    limit = click.option(
        "--limit", type=click.IntRange(1), default=NEWEST, show_default=True, help="The newest."
    )
    journal = click.option(
        "--journal",
        type=click.Path(path_type=Path),
        metavar="PATH",
        help="Read this journal, or controller's folder, instead of asking a controller.",
    )
    as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
    return limit(journal(as_json(command)))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose timeline is to be shown, and how much of it."""

    kind: str
    """`job`, `task`, `slice`, `worker` or `group`."""
    id: str
    limit: int
    journal: Path | None  # None: the controller is asked


def show(wanted: Wanted, link: "Callable[[], Channel]", *, as_json: bool) -> None:
    """Print a timeline; on stderr what is left out of it."""
    from iris.rpc.kinds import happening
    from iris.units import timestamp

    if wanted.journal is None:
        told = _of_controller(link(), wanted)
    else:
        told = _of_journal(wanted.journal, wanted)
    if as_json:
        print_list("Event", [happening(event) for event in told.events])
    else:
        rows = [(timestamp(it.at_ms), it.subject, it.text, it.cause) for it in told.events]
        print_table(("AT", "OF", "WHAT", "WHY"), rows, spare=("OF", "WHY"))
    if told.more:
        click.echo(f"the newest {len(told.events)}; see --limit", err=True)
    elif told.trimmed:
        kept = timestamp(told.first_at_ms)
        click.echo(f"the journal begins at {kept}: of what was before, only records", err=True)


def _of_controller(link: "Channel", wanted: Wanted) -> _Told:
    from iris.rpc import iris_pb2 as pb
    from iris.rpc.methods import LIST_EVENTS

    events: list[pb.Happening] = []
    before = 0
    while True:
        left = min(wanted.limit - len(events), _PAGE)
        request = pb.ListEventsRequest(kind=wanted.kind, id=wanted.id, limit=left, before=before)
        answer = link.call(LIST_EVENTS, request)
        events = [*answer.events, *events]
        before = answer.before
        if not before or len(events) >= wanted.limit:
            break
    more = bool(before) or len(events) > wanted.limit
    return _Told(events[-wanted.limit :], more, answer.first_at_ms, answer.first_turn > 1)


def _of_journal(path: Path, wanted: Wanted) -> _Told:
    """The same, out of a file, whether its controller works or not.

    Raises:
        Failure: there is no journal, or it cannot be read, or it says nothing of that.
    """
    from iris.cli.replay import opened, refusal
    from iris.cluster.controller.history import page_of
    from iris.cluster.controller.journal import JournalError
    from iris.core.recorded import recorded
    from iris.core.snapshot import restore
    from iris.exit_status import ExitStatus
    from iris.problems import Failure
    from iris.rpc.codec_events import happening_to_wire

    with closing(opened(path)) as book:
        try:
            image, _ = book.whole()
            state = None if image is None else restore(image)
            subject = _subject(book, wanted)
            page = page_of(book, subject, 0, wanted.limit)
            found = list(page.happenings)
            while page.before and len(found) < wanted.limit:
                page = page_of(book, subject, page.before, wanted.limit - len(found))
                found = [*page.happenings, *found]
        except JournalError as error:
            raise refusal(error) from error
    if state is not None and not page.before:
        found = [*recorded(state, subject, page.first_at), *found]
    if not found:
        raise Failure(f"{path} says nothing of {wanted.kind} {wanted.id}", ExitStatus.NOT_FOUND)
    more = bool(page.before) or len(found) > wanted.limit
    wire = [happening_to_wire(it) for it in found[-wanted.limit :]]
    return _Told(wire, more, page.first_at, page.first_turn > 1)


def _subject(book: "SqliteJournal", wanted: Wanted) -> "Subject":
    from iris.core.events import ConfigLoaded
    from iris.core.ids import GroupName
    from iris.core.spec import ClusterSpec
    from iris.core.timeline import Of, Subject, timeline_of_group

    of = Of(wanted.kind)
    if of is not Of.GROUP:
        return Subject(of, wanted.id)
    read = book.turns_with(['"ConfigLoaded"'], 0, 1)  # The configuration as it was last read.
    events = read[0][1].events if read else ()
    spec = next((it.spec for it in events if isinstance(it, ConfigLoaded)), ClusterSpec())
    return timeline_of_group(spec, GroupName(wanted.id))


def events_of(kind: str, *examples: str, argument: _Decorator = _ID) -> click.Command:
    """The command that shows what happened to one thing of a kind, with what it is shown for as examples."""

    @click.command(
        "events",
        help=f"Show what happened to a {kind}, when, and why.",
        epilog="\b\nExamples:\n" + "".join(f"  iris {kind} events {it}\n" for it in examples),
    )
    @controller_options
    @argument
    @events_options
    def events(
        id: str,
        controller_url: str | None,
        config: Path | None,
        limit: int,
        journal: Path | None,
        as_json: bool,
    ) -> None:
        wanted = Wanted(kind, id, limit, journal)
        show(wanted, lambda: channel(controller_url, config), as_json=as_json)

    return events


@click.group("slice")
def slices() -> None:
    """Say what happened to a slice."""


slices.add_command(events_of("slice", "iris-cpu-1"))
