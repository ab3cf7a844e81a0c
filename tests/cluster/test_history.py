"""Timelines out of the journal's file: page by page, whole over all pages, also after it was trimmed."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from iris.cluster.controller import history
from iris.cluster.controller.history import Latest, page_of, read_decided, read_page
from iris.cluster.controller.journal import JournalError, SqliteJournal
from iris.core.instant import MINUTE
from iris.core.retry import EndCause
from iris.core.snapshot import snapshot
from iris.core.timeline import Chapter, Happening, Of, Subject, happenings
from iris.dashboard.recent import Recent
from iris.exit_status import ExitStatus
from tests.cli.commands import Run, commands_of
from tests.cluster.situated import Situated, situated
from tests.harness import Script, cluster, cpu_group

JOB = Subject(Of.JOB, "/alice/often")


def busy() -> Script:
    """A job that is tried twenty times, and others between."""
    script = cluster(cpu_group(min_slices=1, max_slices=1)).unwatched()
    script.ready("cpu")
    job = script.submit("often", max_retries_failure=20)
    for number in range(20):
        script.running(job).ends(script.task(job).id, EndCause.EXIT_NONZERO)
        script.finish(script.submit(f"other-{number}"))
        script.advance(5 * MINUTE)
    return script


def written(script: Script, path: Path, *, trimmed_at: int = 0) -> SqliteJournal:
    """The script's journal on disk, its first turns let go of."""
    book = SqliteJournal(path)
    for number, turn in enumerate(script.journal, start=1):
        book.append(turn)
        if number in (trimmed_at, trimmed_at + 1):
            book.save(snapshot(script.controller.state))
    return book


def all_pages(book: SqliteJournal, subject: Subject, limit: int) -> list[list[Happening]]:
    pages: list[list[Happening]] = []
    before = 0
    while True:
        page = page_of(book, subject, before, limit)
        pages.insert(0, list(page.happenings))
        before = page.before
        if not before:
            return pages


@pytest.mark.parametrize("limit", [1, 7, 1_000])
def test_pages_make_up_the_whole_and_no_turn_is_on_two(tmp_path: Path, limit: int) -> None:
    script = busy()
    whole = list(happenings(enumerate(script.journal, start=1), JOB))
    with closing(written(script, tmp_path / "j")) as book:
        pages = all_pages(book, JOB, limit)
    assert [it for page in pages for it in page] == whole
    assert all(len(page) <= limit + 5 for page in pages)
    assert (len(pages) == 1) is (limit == 1_000)


def test_no_more_turns_are_read_for_a_page_than_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = busy()
    monkeypatch.setattr(history, "TURNS_READ", 3)
    with closing(written(script, tmp_path / "j")) as book:
        pages = all_pages(book, JOB, 1_000)
        assert max(len({it.turn for it in page}) for page in pages) <= 3
        whole = list(happenings(enumerate(script.journal, start=1), JOB))
        assert [it for page in pages for it in page] == whole


def test_of_what_was_let_go_of_the_begin_is_told(tmp_path: Path) -> None:
    script = busy()
    cut = len(script.journal) // 2
    with closing(written(script, tmp_path / "j", trimmed_at=cut)) as book:
        page = page_of(book, JOB, 0, 1_000)
        assert (page.first_turn, page.first_at) == (cut + 1, script.journal[cut].now)
        assert all(it.turn > cut for it in page.happenings)
    with closing(SqliteJournal(tmp_path / "empty")) as book:
        assert page_of(book, JOB, 0, 10) == Chapter((), 0, 0, page.first_at.__class__(0))


def test_a_journal_is_read_while_its_controller_writes(tmp_path: Path) -> None:
    script = busy()
    with closing(written(script, tmp_path / "j")) as book:
        seen = asyncio.run(read_page(tmp_path / "j", JOB, 0, 5))
        book.append(script.journal[-1])
        book.save(snapshot(script.controller.state))
        assert len(seen.happenings) >= 5
    with pytest.raises(JournalError):
        asyncio.run(read_page(tmp_path / "none", JOB, 0, 5))


def test_what_is_looked_at_again_is_read_on_and_told_as_if_it_were_read_anew(
    tmp_path: Path,
) -> None:
    script = busy()
    half = len(script.journal) // 2
    state = script.controller.state

    async def story(book: SqliteJournal) -> None:
        latest = Latest(tmp_path / "j")
        for stop in (half, half + 1, len(script.journal)):
            for turn in script.journal[book.turns : stop]:
                book.append(turn)
            for subject in (JOB, Subject(Of.GROUP, "cpu")):
                anew = page_of(book, subject, 0, 1_000).happenings
                assert await latest.of(state, subject, 1_000) == anew
                assert await latest.of(state, subject, 4) == anew[-4:]

    with closing(SqliteJournal(tmp_path / "j")) as book:
        asyncio.run(story(book))
    with closing(written(script, tmp_path / "trimmed", trimmed_at=half)):
        told = asyncio.run(Latest(tmp_path / "trimmed").of(state, JOB, 1_000))
        assert told[0].kind == "Record"


def test_decisions_of_before_come_before_those_of_this_process(tmp_path: Path) -> None:
    script = busy()
    state, half = script.controller.state, len(script.journal) // 2
    whole, restarted = Recent(), Recent()
    for number, turn in enumerate(script.journal):
        whole.turned(turn, state)
        if number >= half:
            restarted.turned(turn, state)
            list(restarted.entries(state))
    with closing(written(script, tmp_path / "j")):
        turns = asyncio.run(read_decided(tmp_path / "j", half + 1, 5_000))
        assert turns[-1].now <= script.journal[half - 1].now
        assert asyncio.run(read_decided(tmp_path / "j", half + 1, 2)) == turns[-2:]
    restarted.recall(turns, state)
    assert list(restarted.entries(state)) == list(whole.entries(state))


def test_a_damaged_turn_is_named(tmp_path: Path) -> None:
    script = busy()
    with closing(written(script, tmp_path / "j")) as book:
        book._db.execute("UPDATE turns SET body = '\"/alice/often\"' WHERE number = 9")
        with pytest.raises(JournalError, match="turn 9 is damaged"):
            page_of(book, JOB, 0, 1_000)
        book._db.execute("UPDATE turns SET body = '{\"decisions\": [{}]}' WHERE number = 9")
        with pytest.raises(JournalError, match="turn 9 is damaged"):
            book.decided(10, 5)


# ---- commands ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Situated]:
    with situated(tmp_path_factory.mktemp("situated")) as found:
        script = busy()
        for number, turn in enumerate(script.journal, start=1):
            found.journal.append(turn)
            if number in (30, 31):
                found.journal.save(snapshot(script.controller.state))
        found.put(script)
        yield found


@pytest.fixture
def iris(
    asked: Situated, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Run:
    return commands_of(asked.url, monkeypatch, capfd)


@pytest.mark.parametrize(
    "words",
    [
        ("job", "events", "/alice/often"),
        ("task", "events", "/alice/often:0"),
        ("slice", "events", "iris-cpu-1"),
        ("worker", "events", "iris-cpu-1-w0"),
        ("cluster", "autoscaler", "events", "cpu"),
    ],
)
def test_a_controller_and_its_journal_tell_the_same(
    asked: Situated, iris: Run, words: tuple[str, ...]
) -> None:
    status, out, _ = iris(*words, "--json", "--limit", "12")
    assert status == 0
    live = json.loads(out)
    assert (live["schema"], live["kind"], len(live["items"])) == (
        "iris/v1", "EventList", min(12, len(live["items"])),
    )  # fmt: skip
    offline = json.loads(iris(*words, "--json", "--limit", "12", "--journal", asked.folder)[1])
    assert live["items"] == offline["items"]
    assert live["items"]


def test_what_is_left_out_is_told_beside_the_table(iris: Run) -> None:
    status, out, err = iris("job", "events", "often", "--limit", "3")
    assert (status, len(out.splitlines())) == (0, 4)
    assert err == "the newest 3; see --limit\n"
    assert "attempt 19: failed on iris-cpu-1-w0" in out
    status, out, err = iris("job", "events", "often", "--limit", "100000")
    assert err.startswith("the journal begins at 1970-01-01T")
    assert (
        out.splitlines()[1].split("  ")[0] == "1970-01-01T00:00:00Z"
    )  # Of the record, not the journal.
    assert "alice submitted it: 1 x" in out.splitlines()[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("job", "events", "nope"), "job nope is not known"),
        (("slice", "events", "nope"), "slice nope is not known"),
        (("cluster", "autoscaler", "events", "nope"), "group nope is not known"),
    ],
)
def test_what_nobody_knows_is_not_found(
    asked: Situated, iris: Run, words: tuple[str, ...], said: str
) -> None:
    status, out, err = iris(*words)
    assert (status, out) == (ExitStatus.NOT_FOUND, "")
    assert said in err
    status, _, err = iris(*words, "--journal", asked.folder)
    assert status == ExitStatus.NOT_FOUND
    assert f"says nothing of {said.removesuffix(' is not known')}" in err
    status, _, err = iris(*words, "--journal", "nowhere")
    assert status == ExitStatus.BAD_INPUT
    assert "there is no journal" in err
