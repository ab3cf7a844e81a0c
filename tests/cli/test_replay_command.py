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
from sim.export import FILES
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


def test_a_journal_is_told_as_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = story()
    folder = kept(tmp_path, script)
    assert main(["sim", "replay", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{folder / JOURNAL_FILE}: {len(script.journal)} turns in ")
    assert lines[0].endswith("from the beginning")
    assert "jobs        4 submitted: 3 succeeded, 1 unschedulable" in lines
    assert any(line.startswith("why    /alice/too-large: ") for line in lines)
    assert lines[-1] == f"digest {script.controller.digest()}"


def test_with_json_it_is_the_results_of_a_run_and_says_where_it_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = story()
    folder = kept(tmp_path, script, image_after=4)
    assert main(["sim", "replay", str(folder / JOURNAL_FILE), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {"jobs", "queue_wait_s", "work", "groups", "cost_usd", "invariants"} <= set(told)
    journal = told["journal"]
    assert journal["from_snapshot"] is True
    assert journal["turns"] == told["turns"] == len(script.journal) - 4
    assert journal["digest"] == script.controller.digest()
    assert journal["decisions"]["Placement"] >= 2
    assert main(["sim", "replay", str(folder)]) == 0
    assert "what was before it is gone" in capsys.readouterr().out.splitlines()[0]


def test_it_writes_the_files_of_a_run(tmp_path: Path) -> None:
    folder, out = kept(tmp_path, story()), tmp_path / "out"
    assert main(["sim", "replay", str(folder), "--out", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == sorted(FILES)
    assert "hush" not in "".join(path.read_text() for path in out.iterdir())
    assert json.loads((out / "summary.json").read_text())["journal"]["from_snapshot"] is False
    assert len((out / "jobs.csv").read_text().splitlines()) == 5


def test_another_configuration_is_told_beside_what_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = kept(tmp_path, story()), tmp_path / "out"
    words = ["sim", "replay", str(folder), "--what-if", "--set", "scale_groups.cpu.vm.cpu=2000"]
    assert main([*words, "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["recorded", "simulated", "changed", "changed", "-", "simulated"]
    assert "changed: --set scale_groups.cpu.vm.cpu=2000" in lines
    assert any(line.startswith("as it was: 4 of 4 jobs end as on record") for line in lines)
    assert any(line.startswith("- stops and evictions take effect at once") for line in lines)
    written = json.loads((out / "what_if.json").read_text())
    for name in ("recorded", "simulated", "changed"):
        assert (
            json.loads((out / name / "summary.json").read_text())["jobs"] == written[name]["jobs"]
        )
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["figures"]["jobs.unschedulable"] == {
        "recorded": 1, "simulated": 1, "changed": 0, "error": 0, "difference": -1,
    }  # fmt: skip
    assert told["fidelity"]["same_end"] == 4


def test_a_whole_other_configuration_is_taken_from_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = kept(tmp_path, story())
    other = tmp_path / "other.yaml"
    other.write_text(
        "scale_groups: {big: {accelerator_type: cpu, vm: {cpu: 2000}, max_slices: 1}}\n"
    )
    words = ["sim", "replay", str(folder), "--what-if", "--config", str(other), "--until-done"]
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["changed"]["jobs"]["unfinished"] == told["changed"]["jobs"]["unschedulable"] == 0
    assert list(told["changed"]["groups"]) == ["big"]
    assert told["changes"] == f"--config {other} --until-done"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--set", "autoscaler.idle_timeout=1h"], "add --what-if"),
        (["--until-done"], "add --what-if"),
        (["--what-if"], "say what is changed"),
        (["--verify", "--what-if", "--set", "a=b"], "--verify and --what-if: one at a time"),
        (["--verify", "--out", "x"], "--verify writes no files"),
        (["--what-if", "--set", "scale_groups.cpu.max_slice=1"], "did you mean `max_slices`?"),
        (["--what-if", "--set", "scale_groups.cpu.max_slices=x"], "scale_groups.cpu.max_slices"),
        (["--what-if", "--config", "/nowhere.yaml"], "/nowhere.yaml"),
    ],
)
def test_what_makes_no_question_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main(["sim", "replay", str(kept(tmp_path, story())), *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err


def test_a_journal_without_a_turn_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    SqliteJournal(tmp_path / JOURNAL_FILE).close()
    assert main(["sim", "replay", str(tmp_path)]) == 2
    assert "nothing has happened yet" in capsys.readouterr().err


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
