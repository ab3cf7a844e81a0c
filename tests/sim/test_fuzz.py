"""The fuzzer: its worlds are scenarios, it finds planted bugs, and what it finds is told small."""

import json
import multiprocessing
import os
import re
import signal
from pathlib import Path

import pytest
import yaml

import iris.cli.fuzz
from iris.cli.main import main
from iris.exit_status import ExitStatus
from sim.fuzz import Campaign, campaign, run_seed, text_of
from sim.fuzz_draw import PROFILES, draw_world
from sim.run import simulate
from sim.scenario import load_scenario, scenario_of
from sim.story import tell
from tests.sim.canaries import CANARIES, PAGE, Canary, planted, table
from tests.tidy.tree import ROOT


@pytest.mark.parametrize("profile", PROFILES)
def test_every_drawn_world_is_a_scenario(profile: str) -> None:
    for seed in range(12):
        world = draw_world(seed, profile)
        assert scenario_of(text_of(world), Path("world.yaml")).name == f"{profile}-{seed}"
        assert yaml.safe_load(text_of(world)) == world


@pytest.mark.parametrize("profile", PROFILES)
def test_a_small_campaign_finds_nothing(profile: str) -> None:
    total = campaign(profile, range(2), processes=1)
    assert [failure.sentences for failure in total.failures] == []
    assert total.seeds == 2


def test_the_same_seeds_come_to_the_same_in_another_process() -> None:
    def figures(processes: int) -> dict[str, object]:
        results = campaign("lite", range(4), processes=processes).results()
        timed = ("seconds", "seeds_per_minute", "simulated_hours_per_second")
        return {key: value for key, value in results.items() if key not in timed}

    assert figures(1) == figures(2)


def test_the_campaign_of_ci_tries_every_world_in_which_a_planted_bug_is_found() -> None:
    """So that a planted bug turns it red, and that these worlds are clean without one."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    found = re.search(
        r"for campaign in ([a-z0-9: ]+); do\n"
        r'.*/iris sim fuzz --profile "\${campaign%:\*}" --seeds "\${campaign#\*:}" .*'
        r"\|\| {\n.*\n +exit 1",
        script,
    )
    assert found is not None
    seeds = {profile: int(count) for profile, count in (w.split(":") for w in found[1].split())}
    assert set(seeds) == set(PROFILES)
    assert [c.name for c in CANARIES if c.seed >= seeds[c.profile]] == []


def test_the_command_knows_every_profile() -> None:
    assert iris.cli.fuzz.PROFILES == PROFILES


@pytest.mark.parametrize("canary", CANARIES, ids=[canary.name for canary in CANARIES])
def test_a_planted_bug_is_found(canary: Canary, monkeypatch: pytest.MonkeyPatch) -> None:
    canary.plant(monkeypatch)
    outcome = run_seed(canary.profile, canary.seed, hasty=True)
    assert canary.mark in outcome.marks, outcome.sentences


def test_a_failure_is_told_as_a_small_scenario_that_fails_in_the_same_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary = next(canary for canary in CANARIES if canary.name == "the order forgets bands")
    canary.plant(monkeypatch)
    failure = run_seed(canary.profile, canary.seed)
    story = tell(failure, tmp_path, seconds=3)
    assert story.same_again
    scenario, transcript = story.files
    told = text_of(yaml.safe_load(scenario.read_text()))  # Without the words at its head.
    assert len(told) < len(text_of(draw_world(canary.seed, canary.profile)))
    said = simulate(load_scenario(scenario)).violations
    assert any(sentence.startswith(failure.marks[0]) for sentence in said)
    assert "-> Placement" in transcript.read_text()
    monkeypatch.undo()
    assert simulate(load_scenario(scenario)).violations == []


def test_the_command_says_what_it_reached_and_by_its_status_whether_all_is_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["sim", "fuzz", "--jobs", "1"]
    assert main([*words, "--seeds", "1", "--json"]) == ExitStatus.DONE
    assert json.loads(capsys.readouterr().out)["failures"] == []
    canary = CANARIES[0]
    canary.plant(monkeypatch)
    words += ["--profile", canary.profile, "--first", str(canary.seed), "--seeds", "1"]
    words += ["--shrink-seconds", "1", "--out", str(tmp_path / "found")]
    assert main(words) == ExitStatus.INVARIANT_VIOLATED
    told, at_once = capsys.readouterr()
    assert f"seed {canary.seed}: {canary.mark}" in told
    assert f"seed {canary.seed}: {canary.mark}" in at_once
    assert "written: " in told
    assert main(words[:-2]) == ExitStatus.INVARIANT_VIOLATED
    again = f"iris sim fuzz --profile {canary.profile} --first {canary.seed} --seeds 1 --out DIR"
    assert again in capsys.readouterr().out


def test_a_process_that_dies_takes_one_world_along_and_no_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    killed: list[int] = []

    def kill_one(total: Campaign) -> None:
        if not killed:
            killed.append(total.seeds)
            pid = multiprocessing.active_children()[0].pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)

    total = campaign("policy", range(4), processes=2, finished=kill_one)
    assert len(total.lost) == 1
    assert total.seeds == 3
    monkeypatch.setattr("sim.fuzz.campaign", lambda *_, **__: total)
    assert main(["sim", "fuzz", "--seeds", "8"]) == ExitStatus.FAILED
    assert f"seeds {total.lost[0]}: their process died" in capsys.readouterr().out


def test_a_bound_in_minutes_is_the_only_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[range] = []

    def note(profile: str, seeds: range, **_: object) -> Campaign:
        asked.append(seeds)
        return Campaign(profile)

    monkeypatch.setattr("sim.fuzz.campaign", note)
    for words in ([], ["--minutes", "480"]):
        assert main(["sim", "fuzz", *words]) == ExitStatus.DONE
    assert len(asked[0]) == 200
    assert len(asked[1]) > 10**9
    assert main(["sim", "fuzz", "--minutes", "nan"]) == ExitStatus.BAD_INPUT
    assert "nan is no length of time" in capsys.readouterr().err


def test_the_page_says_by_what_each_planted_bug_is_found() -> None:
    assert len(CANARIES) >= 40
    assert all(row is not None for _, row in planted())
    assert table() in PAGE.read_text(encoding="utf-8")


def test_the_regressions_stay_mended() -> None:
    files = sorted((ROOT / "scenarios" / "regressions").glob("*.yaml"))
    assert files
    for file in files:
        assert simulate(load_scenario(file)).violations == [], file.name
