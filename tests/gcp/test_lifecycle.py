"""A cluster on the fake Google Cloud from `iris cluster start` to `iris cluster stop`, and nothing left."""

import io
import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from iris.cli.main import main
from iris.cluster.vm.gcp_endpoints import ELSEWHERE
from iris.core.instant import Millis
from iris.exit_status import ExitStatus
from sim.dice import Constant
from sim.model import CloudModel
from tests.cluster.running import free_port, until
from tests.gcp.fake_google import FakeGoogle, serve
from tests.gcp.iris_vms import IrisVms, elsewhere

TOKEN = "the-operators-long-token"
QUICK = CloudModel(boot=Constant(Millis(200)), delete=Constant(Millis(200)))


def cluster_file(folder: Path, **more: object) -> Path:
    group = {"accelerator_type": "v5litepod-16", "max_slices": 2, "zones": ["us-central1-a"]}
    whole: dict[str, object] = {
        "provider": {"type": "gcp", "project_id": "iris-test", "zone": "us-central1-a"},
        "docker": {"image": "iris-worker:test"},
        "controller": {
            "vm": {"enabled": True, "image": "iris-controller:test", "port": free_port()}
        },
        "auth": {"tokens": {"alice": {"env": "IRIS_TOKEN"}}, "admins": ["alice"]},
        "scale_groups": {"tpu": group},
        "autoscaler": {"idle_timeout": "1s", "delete_retry": "2s"},
        **more,
    }
    path = folder / "cluster.yaml"
    path.write_text(json.dumps(whole))
    return path


@pytest.fixture
def google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGoogle]:
    with serve(model=QUICK, compute_model=QUICK, hook=IrisVms(tmp_path / "vms")) as found:
        monkeypatch.setenv(
            ELSEWHERE, elsewhere(found.grpc_address, f"http://{found.compute_address}")
        )
        monkeypatch.setenv("IRIS_TOKEN", TOKEN)
        monkeypatch.setenv("IRIS_LOG_FORMAT", "json")
        yield found


def nodes(google: FakeGoogle) -> list[str]:
    return [node.name for node in google.tpu_client().list_nodes(parent=google.parent())]


def instances(google: FakeGoogle) -> list[str]:
    zones = google.compute.aggregated(lambda _: True)["items"].values()
    return [it["name"] for zone in zones for it in zone.get("instances", ())]


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[str, str]:
    """What a command says that succeeds."""
    assert main([*words]) == 0, capsys.readouterr().err
    return capsys.readouterr()


def state(google: FakeGoogle) -> str:
    """What the controller's machine has said last."""
    (vm,) = google.compute.instances["us-central1-a", "iris-controller"].holding.vms.values()
    return vm.guest_attributes["iris/state"]


def controller_pids(folder: Path) -> list[int]:
    told = folder / "vms" / "iris-controller" / "docker" / "iris-controller" / "pids"
    return [int(word) for word in told.read_text().split()] if told.exists() else []


def end_controller(folder: Path, google: FakeGoogle) -> None:
    """End it in order, by an engine that is restarted, which is undone, and then by somebody who means it."""
    _, controller = controller_pids(folder)
    (folder / "vms" / "iris-controller" / "docker" / "engine.pid").write_text("another")
    os.kill(controller, signal.SIGTERM)
    until(lambda: controller not in (controller_pids(folder) or [controller]), 30)
    until(lambda: " serving: " in state(google), 30)
    os.kill(controller_pids(folder)[1], signal.SIGTERM)
    until(lambda: " failed: the controller has ended" in state(google))


def all_log_as_the_command_was_told_to(folder: Path) -> None:
    """The controller, and the worker of each host."""
    logs = [*(folder / "vms").glob("*/docker/*/log")]
    assert len(logs) == 5
    for log in logs:
        assert json.loads(log.read_text().splitlines()[0])["level"]


GANG = ("--tpu=v5litepod-16", "--replicas=4", "--coscheduled", "--cpu=1", "--memory=64MB")


def test_from_start_to_stop_a_gang_runs_a_restart_keeps_jobs_and_nothing_is_left(
    google: FakeGoogle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = cluster_file(tmp_path, storage={"bundles": "nowhere://bundles"})
    config = f"--config={path}"
    assert main(["cluster", config, "start"]) == 1
    err = capsys.readouterr().err
    assert "creating iris-controller (n2-standard-4) in us-central1-a" in err
    assert "error: the controller does not come up on iris-controller: failed: " in err
    assert "storage.bundles: 'nowhere://bundles': Protocol not known: nowhere" in err

    cluster_file(tmp_path)  # It is corrected, and started again.
    out, err = said(capsys, "cluster", config, "start")
    assert re.fullmatch(
        r"controller at http://127\.128\.\S+, iris-controller in us-central1-a\n", out
    )
    out, err = said(capsys, "cluster", config, "start", "--json")
    assert json.loads(out)["state"] == "serving"
    assert err.endswith("it runs already\n")
    assert len(google.gate.calls("instances.insert")) == 1
    assert TOKEN not in json.dumps(google.gate.calls("instances.insert")[0].request)

    wait = f"while [ ! -e {tmp_path}/done ]; do sleep 0.1; done"
    words = ("job", "run", config, *GANG, "--no-wait", "--", "sh", "-c", wait)
    job = said(capsys, *words)[0].strip()
    until(lambda: [at["state"] for at in attempts(capsys, config, job)] == 4 * ["running"])
    said(capsys, "cluster", config, "restart")
    all_log_as_the_command_was_told_to(tmp_path)
    (tmp_path / "done").touch()
    until(lambda: "succeeded" in said(capsys, "job", "status", config, job)[0])
    (first,) = {at["attempt"] for at in attempts(capsys, config, job)}
    assert first == 0, "a restart of the controller ends no task"
    assert len(google.gate.calls("CreateNode")) == 1

    until(lambda: " 0 workers" in said(capsys, "cluster", config, "status")[0])
    assert not nodes(google)
    _, err = said(capsys, "cluster", config, "stop", "--yes")
    assert "controller: iris-controller in us-central1-a, serving" in err
    assert (nodes(google), instances(google)) == ([], [])
    assert said(capsys, "cluster", config, "stop", "--yes")[1] == "nothing of this cluster runs\n"


def attempts(capsys: pytest.CaptureFixture[str], config: str, job: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(
        said(capsys, "job", "status", config, job, "--json")[0]
    )["attempts"]
    return found


def test_a_cluster_whose_controller_answers_nobody_is_stopped_by_its_labels(
    google: FakeGoogle,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = f"--config={cluster_file(tmp_path)}"
    said(capsys, "cluster", config, "start")
    said(capsys, "job", "run", config, *GANG, "--no-wait", "--", "sleep", "100")
    until(lambda: bool(nodes(google)))
    end_controller(tmp_path, google)
    google.knobs.unreachable = frozenset({"us-central1-a"})
    assert main(["cluster", config, "start"]) == 1, "a listing that lacks its zone proves nothing"
    assert "whether iris-controller is there is not known" in capsys.readouterr().err
    google.knobs.unreachable = frozenset()
    assert main(["cluster", config, "status"]) == 5
    err = capsys.readouterr().err
    assert "cluster.yaml has failed: the controller has ended: " in err
    assert f"help:  `iris cluster {config} start`" in err
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert main(["cluster", config, "stop"]) == 2, "nobody can answer its question"
    err = capsys.readouterr().err
    assert "slices (1): iris-tpu-1" in err
    assert "no controller answers, so the jobs that run are not known" in err
    assert (len(nodes(google)), len(instances(google))) == (1, 1)
    google.knobs.denied = frozenset({"DeleteNode"})
    assert main(["cluster", config, "stop", "-y"]) == ExitStatus.NOT_PERMITTED
    err = capsys.readouterr().err
    assert "may not delete are left: iris-tpu-1 (PERMISSION_DENIED: " in err
    assert "roles/tpu.admin" in err
    google.knobs.denied = frozenset()
    _, err = said(capsys, "cluster", config, "stop", "-y")
    assert "deleting slice iris-tpu-1" in err
    assert (nodes(google), instances(google)) == ([], [])


def test_what_keeps_the_controllers_machine_away_is_told_with_its_correction_and_status(
    google: FakeGoogle,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = f"--config={cluster_file(tmp_path)}"
    google.knobs.denied = frozenset({"instances.insert"})
    assert main(["cluster", config, "start"]) == ExitStatus.NOT_PERMITTED
    assert "give the account roles/compute.instanceAdmin.v1" in capsys.readouterr().err
    google.knobs.denied = frozenset()
    google.knobs.instance_quota = True
    assert main(["cluster", config, "start"]) == ExitStatus.FAILED
    assert "take less: controller.vm.machine_type" in capsys.readouterr().err
    google.knobs.disabled = frozenset({"compute"})
    assert main(["cluster", config, "start"]) == ExitStatus.NOT_PERMITTED
    assert "gcloud services enable compute.googleapis.com" in capsys.readouterr().err
    google.knobs.disabled = frozenset()
    monkeypatch.delenv("IRIS_TOKEN")
    assert main(["cluster", config, "start"]) == ExitStatus.BAD_INPUT
    err = capsys.readouterr().err
    assert "IRIS_TOKEN is not set" in err
    assert "creating" not in err
