"""`iris sim --serve`: the dashboard's pages of a simulation as it runs, at a speed of one's choice."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import threading
from http import HTTPStatus
from pathlib import Path

import httpx2
import pytest
import yaml

from iris.cli.main import main
from iris.cli.showing import Show, show
from iris.core.controller import Controller
from iris.core.ids import GroupName
from iris.core.timeline import Of, Subject
from iris.dashboard.recent import Recent
from iris.dashboard.subject import Viewer
from iris.exit_status import ExitStatus
from sim import annals
from sim.measure import Measures
from sim.on_stage import Stage
from sim.recorded import measures_of
from sim.results import summarize
from sim.run import simulate, world_of
from sim.scenario import load_scenario
from tests.cli.commands import PROGRAM
from tests.cluster.running import free_port, until
from tests.dashboard.stages import FLEET, browser_of, stage_of
from tests.sim.journals import WrittenWorld, chronicle_of

SMALL = {**FLEET, "name": "small", "duration": "2h", "expect": ["jobs.failed > 1000"]}


def written(folder: Path) -> Path:
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(SMALL))
    return path


def seal_of(client: httpx2.Client, url: str) -> str:
    return client.get(url).text.partition('name="seal" value="')[2].partition('"')[0]


def test_a_simulation_is_looked_at_hurried_and_told_when_it_is_over(tmp_path: Path) -> None:
    port = free_port()
    command = [*PROGRAM, "sim", str(written(tmp_path)), "--serve", "--port", str(port), "--json"]
    process = subprocess.Popen(
        [*command, "--speed", "0", "--out", str(tmp_path / "runs" / "here")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        assert f"small at http://127.0.0.1:{port}" in process.stderr.readline()
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            assert "t=0s of 2h" in client.get("/simulations").text
            seal = seal_of(client, "/simulations/speed")
            choice = {"seal": seal, "choice": "as fast as it goes"}
            with client.stream("GET", "/events") as stream:
                told = (line for line in stream.iter_lines() if line.startswith("id: "))
                known = next(told)
                for speed in ("rest", "as it is"):  # At either no turn is taken, but pages change.
                    client.post("/simulations/speed", data={"seal": seal, "choice": speed})
                    assert f">{speed}<" in client.get("/").text
                assert next(told) != known
            answer = client.post("/simulations/speed", data=choice)
            assert answer.status_code == HTTPStatus.SEE_OTHER
            until(lambda: ">over<" in client.get("/").text.replace("\n", ""))
            until((tmp_path / "runs" / "here" / "report.html").exists)
            assert "/simulations/runs/here" in client.get("/simulations").text
            assert client.get("/simulations/files/here/report.html").status_code == HTTPStatus.OK
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == ExitStatus.EXPECTATION_FALSE, err
    told = json.loads(out)
    assert told["digest"] == summary_of(tmp_path)["digest"]
    assert told["wall_s"] > 0


def summary_of(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "runs" / "here" / "summary.json").read_text())
    return found


def test_looking_changes_nothing_of_a_run_and_acting_does(tmp_path: Path) -> None:
    scenario = load_scenario(written(tmp_path))
    alone = simulate(scenario).digest
    stage = Stage(world_of(scenario), 0, None)
    client = browser_of(stage)
    for _ in range(5):
        stage.advance(1_500_000)
        for url in ("/", "/jobs", "/capacity", "/users", "/jobs/bob/stuck-0", "/decisions"):
            client.get(url)
    assert stage.is_over
    story = client.get("/timeline/job/alice/train-0").text
    assert "4 tasks are placed" in story
    assert "attempt 0: succeeded on iris-tpu-2-w3" in story
    assert "0 to 2 slices" in client.get("/timeline/group/tpu").text
    assert stage.finish().digest == alone
    meddled = stage_of(tmp_path, SMALL, hours=1.1)
    client = browser_of(meddled)
    seal = client.get("/stop/jobs/bob/stuck-0").text.partition('name="seal" value="')[2][:64]
    client.post("/stop/jobs/bob/stuck-0", data={"seal": seal})
    meddled.advance(7_200_000)
    assert "1 action by hand" in client.get("/simulations").text
    assert meddled.finish().digest != alone
    late = client.post("/stop/jobs/bob/stuck-0", data={"seal": seal})
    assert late.status_code == HTTPStatus.CONFLICT


def test_pages_metrics_results_and_a_journal_retold_tell_one_cost(tmp_path: Path) -> None:
    autoscaler = {"idle_timeout": "10m", "tombstone_age": "20m"}
    cluster = {"scale_groups": SMALL["cluster"]["scale_groups"], "autoscaler": autoscaler}  # type: ignore[index]
    lifetime = {"exponential": {"mean": "20m"}}
    cloud = {"boot": {"constant": "150s"}, "lifetime": lifetime, "delete": {"constant": "90s"}}
    path = tmp_path / "costly.yaml"
    path.write_text(yaml.safe_dump({**SMALL, "cluster": cluster, "cloud": cloud}))
    world = WrittenWorld(load_scenario(path), audit_every_turn=False)
    stage = Stage(world, 0, None)
    stage.advance(world.scenario.duration or 0)
    told = browser_of(stage).get("/api/v1/users.json").json()["groups"]
    results = summarize(stage.finish(), [])["groups"]
    costs = {row["group"]: round(row["cost_usd"], 6) for row in told}
    assert costs == costs_of(results)
    assert min(costs["tpu"], costs["cpu"]) > costs["scarce"] == 0
    # What metrics have of a live controller, and what its journal comes to, know only what it was told.
    recent, restarted = Recent(), Recent()
    controller = Controller()
    before: dict[GroupName, int] = {}
    for number, turn in enumerate(world.turns):
        controller.replay(turn)
        recent.turned(turn, controller.state)
        if number == len(world.turns) // 2:
            before = recent.costs.spent(controller.state, turn.now)
        if before:
            restarted.turned(turn, controller.state)
    state, end = controller.state, world.turns[-1].now
    known = {
        group: round(cost / 3.6e12, 6) for group, cost in recent.costs.spent(state, end).items()
    }
    retold = summarize(measures_of(chronicle_of(world.turns), "retold"), [])["groups"]
    assert known == costs_of(retold)
    since = restarted.costs.spent(state, end)
    assert since == {
        group: cost - before[group] for group, cost in recent.costs.spent(state, end).items()
    }
    paying = {group: price for group, price in recent.costs.per_hour(state).items() if price}
    assert paying == {"cpu": 3 * 600_000, "tpu": 2 * 9_600_000}


def costs_of(groups: object) -> dict[str, float]:
    assert isinstance(groups, dict)
    return {group: figures["cost_usd"] for group, figures in groups.items()}


@pytest.mark.parametrize("speed", ["fast", "-1", "1e9"])
def test_a_speed_that_cannot_be_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], speed: str
) -> None:
    assert (
        main(["sim", str(written(tmp_path)), "--serve", "--speed", speed]) == ExitStatus.BAD_INPUT
    )
    assert "is neither `max` nor a number from 0 to 1,000,000" in capsys.readouterr().err
    assert main(["sim", str(written(tmp_path)), "--speed", speed]) == ExitStatus.BAD_INPUT
    assert "--speed is for --serve only" in capsys.readouterr().err


def test_pages_are_served_while_results_are_written_and_ctrl_c_ends_it(tmp_path: Path) -> None:
    port, looked = free_port(), threading.Event()
    seen: list[bool] = []

    def look() -> None:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            until(lambda: bool(seen))
            assert client.get("/jobs").status_code == HTTPStatus.OK
        looked.set()
        until(lambda: len(seen) == 2)
        os.kill(os.getpid(), signal.SIGINT)

    def ended(measures: Measures) -> None:
        assert not measures.partial
        seen.append(False)
        seen.append(looked.wait(20))

    visitor = threading.Thread(target=look)
    visitor.start()
    show(load_scenario(written(tmp_path)), Show(port, None, None), ended)
    visitor.join()
    assert seen == [False, True]


def test_the_time_of_a_simulation_goes_on_though_nothing_happens_and_what_is_asked_for_happens_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall = [100.0]
    monkeypatch.setattr("sim.on_stage.time.perf_counter", lambda: wall[0])
    late = [{"name": "late", "arrivals": {"at": ["1h"]}, "resources": {"cpu": 1}, "run_time": "1h"}]
    stage = stage_of(tmp_path, {**SMALL, "workload": late}, hours=0.5)
    stage.pace(60)
    came, wall[0] = stage.now(), wall[0] + 0.0625
    assert stage.now() == came + 3_750
    stage.pace(0)
    wall[0] += 100
    assert stage.now() == came + 3_750
    (worker,) = stage.state.workers
    asyncio.run(stage.drain_worker(worker, Viewer(None, is_admin=True), resume=False))
    stage.advance(3_750)
    drained = asyncio.run(stage.latest(Subject(Of.WORKER, worker), 1))[0]
    assert drained.at == came + 3_750
    assert drained.text == "an operator says that it shall get no new work"
    assert stage.finish().partial
    assert stage.is_over  # Though its world would go on.


def test_of_a_story_that_is_too_long_what_is_left_of_its_begin_are_the_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(annals, "MOST", 3)
    stage = stage_of(tmp_path, SMALL, hours=1.1)
    first, *_, last = asyncio.run(stage.latest(Subject(Of.JOB, "/alice/train-0"), 100))
    assert (first.kind, first.text) == ("Record", "alice submitted it: 4 x")
    assert last.kind == "WorkerReported"


def test_a_port_that_is_taken_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = ["sim", str(written(tmp_path)), "--serve", "--port", str(port)]
        assert main(words) == ExitStatus.CONFLICT
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in capsys.readouterr().err
