"""A cluster on the fake Google Cloud from `iris cluster start` to `iris cluster stop`, and nothing left."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from iris.cli.main import main
from iris.cluster.vm.gcp_endpoints import ELSEWHERE
from iris.core.instant import Millis
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
        "controller": {"vm": {"enabled": True, "image": "iris-controller:test", "port": free_port()}},
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
        monkeypatch.setenv(ELSEWHERE, elsewhere(found.endpoints))
        monkeypatch.setenv("IRIS_TOKEN", TOKEN)
        yield found


def test_a_gang_runs_on_a_cluster_that_was_started_and_nothing_is_left_when_it_is_stopped(
    google: FakeGoogle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = f"--config={cluster_file(tmp_path)}"
    assert main(["cluster", config, "start"]) == 0
    out, err = capsys.readouterr()
    print(out, err)
    job = ["--tpu=v5litepod-16", "--replicas=4", "--coscheduled", "--cpu=1", "--memory=64MB"]
    assert main(["job", "run", config, *job, "--", "sh", "-c", "echo rank $IRIS_TASK_INDEX"]) == 0
    assert "rank 3" in capsys.readouterr().out
    until(lambda: not google.tpu.nodes or not any(n.is_there() for n in google.tpu.nodes.values()))
    assert main(["cluster", config, "stop", "--yes"]) == 0
    print(*capsys.readouterr())
