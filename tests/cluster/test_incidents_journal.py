"""Entries of the incident list that concern the journal: generations that were mixed, crashes, a full disk."""

import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from iris.client import RemoteError
from iris.cluster.controller.journal import JournalError, SqliteJournal
from iris.cluster.types import Entrypoint
from iris.core.controller import Controller
from iris.core.instant import Instant
from iris.core.record import Turn
from iris.core.snapshot import snapshot
from iris.exit_status import ExitStatus
from iris.rpc import iris_pb2 as pb
from iris.rpc.methods import STOP_JOB
from tests.cluster.running import RunningCluster, running
from tests.harness import cluster, cpu_group

WRITES = """
import os, sys
from pathlib import Path
from iris.cluster.controller.journal import SqliteJournal
from iris.core.controller import Controller
from iris.core.record import Turn
from iris.core.snapshot import snapshot

journal = SqliteJournal(Path(sys.argv[1]))
turns, every = int(sys.argv[2]), int(sys.argv[3])
image = snapshot(Controller().state)
sys.stdout.write("begun\\n")
sys.stdout.flush()
for number in range(1, turns + 1):
    journal.append(Turn(number, (), ()))
    if every and number % every == 0:
        journal.save(image)
os._exit(9)
"""


def written(path: Path, turns: int, every: int = 0) -> None:
    """By a process that dies without closing anything."""
    command = [sys.executable, "-c", WRITES, str(path), str(turns), str(every)]
    assert subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode == 9


def beside(path: Path, name: str) -> Path:
    return path.with_name(f"{path.name}-{name}")


def turns_in(path: Path) -> int:
    journal = SqliteJournal(path)
    journal.close()
    return journal.turns


def test_i_99_a_restored_copy_beside_the_log_of_a_later_generation_is_refused(
    tmp_path: Path,
) -> None:
    path, copy = tmp_path / "journal", tmp_path / "copy"
    written(path, 10)
    assert turns_in(path) == 10
    shutil.copy(path, copy)
    written(path, 10)
    assert beside(path, "wal").stat().st_size > 0
    shutil.copy(copy, path)
    for _ in range(2):  # It stays refused, and nothing is changed.
        with pytest.raises(JournalError, match=r"of another generation .* remove journal-wal and"):
            SqliteJournal(path)
    assert path.read_bytes() == copy.read_bytes()
    beside(path, "wal").unlink()
    beside(path, "shm").unlink(missing_ok=True)
    assert turns_in(path) == 10


def test_i_99_a_copy_from_before_the_last_snapshot_of_the_same_run_is_refused_too(
    tmp_path: Path,
) -> None:
    path, copy = tmp_path / "journal", tmp_path / "copy"
    journal = SqliteJournal(path)
    shutil.copy(path, copy)
    journal.append(Turn(Instant(1), (), ()))
    journal.save(snapshot(Controller().state))
    journal.append(Turn(Instant(2), (), ()))
    shutil.copy(beside(path, "wal"), tmp_path / "log")
    journal.close()
    shutil.copy(copy, path)
    shutil.copy(tmp_path / "log", beside(path, "wal"))
    with pytest.raises(JournalError, match="of another generation"):
        SqliteJournal(path)


def test_i_99_a_write_ahead_log_without_its_file_begins_no_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    written(path, 10)
    path.unlink()
    with pytest.raises(JournalError, match="of another generation"):
        SqliteJournal(path)
    assert not path.exists()


def test_i_99_what_was_not_touched_is_taken_up_again_and_again(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    for round_ in range(1, 6):
        written(path, 7, every=3)
        assert turns_in(path) == 7 * round_


def test_i_99_a_crash_at_any_point_of_a_snapshot_loses_nothing(tmp_path: Path) -> None:
    path, dice = tmp_path / "journal", random.Random(1)
    reached = 0
    for _ in range(15):
        command = [sys.executable, "-c", WRITES, str(path), "100000", "2"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        time.sleep(dice.random() * 0.2)
        process.kill()
        process.wait()
        process.stdout.close()
        journal = SqliteJournal(path)
        image, turns = journal.latest()
        after = list(turns)
        assert len(after) <= 2
        assert image is not None or not reached
        assert journal.turns >= reached
        reached = journal.turns
        journal.close()
    assert reached > 15


def test_i_88_a_snapshot_that_cannot_be_written_is_an_error_in_words_and_no_turn_is_lost(
    tmp_path: Path,
) -> None:
    journal = SqliteJournal(tmp_path / "journal")
    journal.append(Turn(Instant(1), (), ()))
    (pages,) = journal._db.execute("PRAGMA page_count").fetchone()
    journal._db.execute(f"PRAGMA max_page_count={pages}")
    image = snapshot(cluster(*(cpu_group(name=f"group-{n}") for n in range(50))).controller.state)
    with pytest.raises(OSError, match=r"journal: a snapshot could not be written: .*full"):
        journal.save(image)
    journal.close()
    assert turns_in(tmp_path / "journal") == 1


@pytest.fixture
def own(tmp_path: Path) -> Iterator[RunningCluster]:
    yield from running(tmp_path)


def test_i_88_a_controller_whose_disk_takes_no_turn_ends_at_once_and_says_why(
    own: RunningCluster,
) -> None:
    assert own.process is not None
    with own.client() as client:
        done = client.submit(Entrypoint.from_command("true"), "first")
        assert done.wait(60).state == "succeeded"
        limit = f"--fsize={own.root.joinpath('journal.sqlite-wal').stat().st_size}"
        subprocess.run(["prlimit", f"--pid={own.process.pid}", limit], check=True)
        with pytest.raises(RemoteError):
            client.channel.call(STOP_JOB, pb.StopJobRequest(request_id="one", job=done.id))
    assert own.process.wait(30) == ExitStatus.FAILED
    said = own.root.with_name("controller.log").read_text()
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith(f"error: {own.root}/journal.sqlite: a turn could not")
    own.start()
    with own.client() as client:
        assert client.job("/alice/first").status().state == "succeeded"
        assert client.submit(Entrypoint.from_command("true"), "third").wait(60).state == "succeeded"


POISON = """
from iris.core.controller import Controller
from iris.core.events import JobStopRequested
from iris.core.state import IllegalMove

step = Controller.step

def stumble(self, now, events):
    if any(isinstance(event, JobStopRequested) for event in events):
        raise IllegalMove("planted")
    return step(self, now, events)

Controller.step = stumble
"""


def test_i_88_a_controller_that_meets_a_bug_of_its_own_ends_and_does_not_answer_on_without_turns(
    tmp_path: Path,
) -> None:
    (tmp_path / "sitecustomize.py").write_text(POISON)
    for own in running(tmp_path, variables={"PYTHONPATH": str(tmp_path)}):
        assert own.process is not None
        with own.client() as client:
            kept = client.submit(Entrypoint.from_command("sleep", "60"), "kept")
            with pytest.raises(RemoteError):
                client.channel.call(STOP_JOB, pb.StopJobRequest(request_id="one", job=kept.id))
        assert own.process.wait(30) == ExitStatus.BUG
        assert "IllegalMove: planted" in own.root.with_name("controller.log").read_text()
        del own.variables["PYTHONPATH"]
        own.start()
        with own.client() as client:
            client.job(kept.id).terminate()
            assert client.job(kept.id).wait(60).state == "killed"
