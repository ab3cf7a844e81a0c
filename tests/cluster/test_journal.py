"""The journal on disk: durable turn by turn, recovered to the same digest, verified, and written by one."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from iris.cluster.controller.journal import JournalError, Lock, SqliteJournal
from iris.cluster.controller.recovery import JOURNAL_FILE, begin, open_folder
from iris.core.controller import Controller
from iris.core.record import Turn
from iris.core.replay import recover, verify
from iris.core.snapshot import snapshot
from iris.core.spec import ClusterSpec
from tests.harness import Script, cluster, cpu_group


def story() -> Script:
    script = cluster(cpu_group(min_slices=1))
    script.ready(script.coming("cpu")[0])
    for number in range(5):
        job = script.submit(f"job-{number}")
        script.running(job)
        if number % 2:
            script.finish(job)
        script.advance(1_000)
    return script


def test_turns_come_back_as_they_were_and_end_in_the_same_digest(tmp_path: Path) -> None:
    script = story()
    journal = SqliteJournal(tmp_path / "j")
    for turn in script.journal:
        journal.append(turn)
    journal.close()
    again = SqliteJournal(tmp_path / "j")
    image, turns = again.latest()
    assert image is None
    read = list(turns)
    assert read == script.journal
    assert again.turns == len(script.journal)
    assert recover(read).digest() == script.controller.digest()
    again.close()


@pytest.mark.parametrize("cut", [1, 4, 9])
def test_a_snapshot_and_the_turns_after_it_end_in_the_same_digest(tmp_path: Path, cut: int) -> None:
    script = story()
    journal = SqliteJournal(tmp_path / "j")
    copy = Controller()
    for number, turn in enumerate(script.journal):
        journal.append(turn)
        copy.replay(turn)
        if number % cut == 0:
            journal.save(snapshot(copy.state))
    image, turns = journal.latest()
    assert image is not None
    assert recover(turns, image).digest() == script.controller.digest()
    image, turns = journal.whole()
    assert verify(turns, image) is None
    journal.close()


def test_what_a_snapshot_makes_superfluous_is_let_go_and_a_stretch_stays(tmp_path: Path) -> None:
    script = story()
    journal = SqliteJournal(tmp_path / "j")
    copy = Controller()
    for turn in script.journal:
        journal.append(turn)
        copy.replay(turn)
        journal.save(snapshot(copy.state))
    _, turns = journal.whole()
    assert list(turns) == script.journal[-1:]
    journal.close()


def test_a_turn_is_on_the_disk_when_append_returns_whatever_becomes_of_the_process(
    tmp_path: Path,
) -> None:
    program = (
        "import os, sys; from pathlib import Path;"
        "from iris.cluster.controller.journal import SqliteJournal;"
        "from iris.core.record import Turn;"
        "j = SqliteJournal(Path(sys.argv[1]));"
        "[j.append(Turn(n, (), ())) for n in range(50)]; os._exit(9)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "j")], check=False)
    assert done.returncode == 9
    journal = SqliteJournal(tmp_path / "j")
    assert journal.turns == 50
    assert [turn.now for turn in journal.latest()[1]] == list(range(50))
    journal.close()


def test_i_101_a_second_controller_is_refused_and_told_whose_it_is(tmp_path: Path) -> None:
    lock = Lock(tmp_path)
    with pytest.raises(JournalError, match=f"another controller, of process {os.getpid()}"):
        Lock(tmp_path)
    lock.release()
    Lock(tmp_path).release()


def test_a_journal_of_a_later_format_is_refused(tmp_path: Path) -> None:
    SqliteJournal(tmp_path / "j").close()
    with sqlite3.connect(tmp_path / "j") as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(JournalError, match="of format 99, and this version of Iris knows 1"):
        SqliteJournal(tmp_path / "j")


def test_what_is_no_journal_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "j").write_bytes(b"not a database, but a text of some length " * 50)
    with pytest.raises(JournalError, match="not a journal"):
        SqliteJournal(tmp_path / "j")
    assert (tmp_path / "j").read_bytes().startswith(b"not a database")


def test_a_journal_to_be_read_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="there is no journal"):
        SqliteJournal(tmp_path / "j", readonly=True)


def test_i_100_the_same_start_again_takes_up_what_is_there(tmp_path: Path) -> None:
    spec = ClusterSpec(groups=(cpu_group(min_slices=1),))
    first = open_folder(tmp_path)
    begin(first, spec)
    digest = first.controller.digest()
    first.journal.close()
    first.lock.release()
    second = open_folder(tmp_path)
    assert second.turns == 1
    assert second.controller.digest() == digest
    # What was asked for and not confirmed is asked for again.
    assert [type(effect).__name__ for effect in begin(second, spec)]
    second.journal.close()
    second.lock.release()


def test_the_recovery_of_a_real_folder_verifies(tmp_path: Path) -> None:
    script = story()
    journal = SqliteJournal(tmp_path / JOURNAL_FILE)
    for turn in script.journal:
        journal.append(turn)
    journal.close()
    found = open_folder(tmp_path)
    assert found.controller.digest() == script.controller.digest()
    assert found.clock.now() >= script.now
    assert isinstance(script.journal[0], Turn)
    found.journal.close()
    found.lock.release()
