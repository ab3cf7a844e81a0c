"""`iris sim replay`: a journal told, verified, and printed without secrets."""

import json
import sqlite3
from pathlib import Path

import pytest

from iris.cli.main import main
from iris.cluster.controller.journal import SqliteJournal
from iris.cluster.controller.recovery import JOURNAL_FILE
from iris.core.controller import Controller
from iris.core.snapshot import snapshot
from tests.harness import Script, cluster, cpu_group


def story() -> Script:
    script = cluster(cpu_group(min_slices=1))
    script.ready(script.coming("cpu")[0])
    for number in range(3):
        job = script.submit(f"job-{number}", environment=(("TOKEN", "hush-hush"), ("MODE", "x")))
        script.running(job)
        script.finish(job)
    script.submit("too-large", cpu=1_000)
    return script


def kept(folder: Path, script: Script, *, image_after: int | None = None) -> Path:
    """The story in a controller's folder, with a snapshot after so many turns."""
    journal = SqliteJournal(folder / JOURNAL_FILE)
    copy = Controller()
    for number, turn in enumerate(script.journal, 1):
        journal.append(turn)
        copy.replay(turn)
        if image_after is not None and number in (image_after, image_after + 1):
            journal.save(snapshot(copy.state))
    journal.close()
    return folder


def test_a_journal_is_told_in_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = story()
    folder = kept(tmp_path, script)
    assert main(["sim", "replay", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{folder / JOURNAL_FILE}: {len(script.journal)} turns in ")
    assert lines[0].endswith("from the beginning")
    words = [line.split() for line in lines]
    assert ["Placement", "3"] in words
    assert ["JobSubmitted", "4"] in words
    assert words.index(["succeeded", "3"]) < words.index(["unschedulable", "1"])
    assert lines[-1] == f"digest {script.controller.digest()}"


def test_with_json_it_is_one_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = story()
    folder = kept(tmp_path, script, image_after=4)
    assert main(["sim", "replay", str(folder / JOURNAL_FILE), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["kind"] == "Journal"
    assert told["from_snapshot"] is True
    assert told["turns"] == len(script.journal) - 4
    assert told["digest"] == script.controller.digest()
    assert sum(told["jobs"].values()) == 4


@pytest.mark.parametrize("image_after", [None, 5], ids=["whole", "after a snapshot"])
def test_a_journal_of_this_version_verifies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], image_after: int | None
) -> None:
    script = story()
    folder = kept(tmp_path, script, image_after=image_after)
    assert main(["sim", "replay", str(folder), "--verify"]) == 0
    turns = len(script.journal) - (image_after or 0)
    assert capsys.readouterr().out.startswith(f"{turns} turns with ")
    assert main(["sim", "replay", str(folder), "--verify", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["equal"], told["difference"], told["turns"]) == (True, None, turns)


def forged(folder: Path, old: str, new: str) -> int:
    """Change the first turn that holds a text; its number from 0."""
    with sqlite3.connect(folder / JOURNAL_FILE) as db:
        rows = db.execute("SELECT number, body FROM turns ORDER BY number").fetchall()
        number, body = next(row for row in rows if old in row[1])
        db.execute("UPDATE turns SET body = ? WHERE number = ?", (body.replace(old, new), number))
    db.close()
    return int(number) - 1


def test_the_first_other_decision_is_told_with_both(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = kept(tmp_path, story())
    turn = forged(
        folder, '"is":"Placement","job":"/alice/job-1"', '"is":"Placement","job":"/eve/j"'
    )
    assert main(["sim", "replay", str(folder), "--verify"]) == 1
    out = capsys.readouterr().out
    assert out.startswith(f"turn {turn}, at ")
    assert "recorded: Placement(job='/eve/j'" in out
    assert "decided:  Placement(job='/alice/job-1'" in out
    assert main(["sim", "replay", str(folder), "--verify", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["equal"] is False
    assert told["difference"]["turn"] == turn


@pytest.mark.parametrize("as_json", [False, True])
def test_a_dump_names_every_fact_and_decision_and_no_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *, as_json: bool
) -> None:
    script = story()
    folder = kept(tmp_path, script)
    words = ["sim", "replay", str(folder), "--dump"]
    assert main([*words, "--json"] if as_json else words) == 0
    out = capsys.readouterr().out
    assert "hush" not in out
    assert "environment=[TOKEN=***, MODE=***]" in out
    if as_json:
        lines = [json.loads(line) for line in out.splitlines()]
        assert [line["now_ms"] for line in lines] == [turn.now for turn in script.journal]
        decisions = [len(line["decisions"]) for line in lines]
        assert decisions == [len(turn.decisions) for turn in script.journal]
    else:
        told = sum(len(turn.events) + len(turn.decisions) for turn in script.journal)
        assert len(out.splitlines()) == told
        assert "  >  Placement(job='/alice/job-0', tasks=['/alice/job-0:0'], workers=[" in out


def test_what_is_damaged_or_no_journal_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = kept(tmp_path, story())
    (tmp_path / "text").write_text("a text " * 100)
    for path, said in (
        (tmp_path / "nothing", "there is no journal"),
        (tmp_path / "text", "not a journal"),
    ):
        assert main(["sim", "replay", str(path), "--verify"]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith(f"error: {path}")
        assert said in err
        assert "help:  name a controller's folder, or the journal.sqlite in it" in err
    number = forged(folder, '"is":"JobSubmitted"', '"is":"JobSubmitte"') + 1
    for words in ([], ["--verify"], ["--dump"]):
        assert main(["sim", "replay", str(folder), *words]) == 2
        assert f"turn {number} is damaged: 'JobSubmitte' is none of" in capsys.readouterr().err


def test_a_damaged_snapshot_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = kept(tmp_path, story(), image_after=3)
    with sqlite3.connect(folder / JOURNAL_FILE) as db:
        db.execute("UPDATE snapshots SET body = '{'")
    db.close()
    assert main(["sim", "replay", str(folder)]) == 2
    assert "snapshot 3 is damaged" in capsys.readouterr().err


def test_one_thing_at_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "replay", "x", "--verify", "--dump"]) == 2
    assert "--verify and --dump: one at a time" in capsys.readouterr().err


def test_a_scenario_that_is_called_like_a_verb_is_reached_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("replay").write_text("name: x\n")
    assert main(["sim", "./replay"]) == 2
    assert "--> replay:1:1" in capsys.readouterr().err


def test_reading_leaves_a_journal_to_its_controller(tmp_path: Path) -> None:
    script = story()
    journal = SqliteJournal(tmp_path / JOURNAL_FILE)
    for turn in script.journal[:-1]:
        journal.append(turn)
    reader = SqliteJournal(tmp_path / JOURNAL_FILE, readonly=True)
    _, turns = reader.whole()
    first = next(turns)
    journal.append(script.journal[-1])
    assert [first, *turns] == script.journal[:-1]
    reader.close()
    journal.close()
