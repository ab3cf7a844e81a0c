"""`iris doctor` on the fake Google: what is enabled, offered and left, and who may not know."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import requests

from iris.cli.main import main
from iris.cluster.vm.gcp_endpoints import ELSEWHERE
from iris.cluster.vm.gcp_names import CLUSTER as CLUSTER_LABEL
from iris.cluster.vm.gcp_names import MANAGED
from iris.exit_status import ExitStatus
from tests.gcp.fake_google import FakeGoogle

CLUSTER: Mapping[str, object] = {
    "provider": {"type": "gcp", "project_id": "iris-test", "zone": "us-central1-a"},
    "controller": {"vm": {"enabled": True, "image": "iris-controller:test"}},
    "docker": {"image": "127.0.0.1:9/iris/iris-worker:v1"},
    "auth": {"tokens": {"alice": "a-token-of-alice-for-tests"}, "admins": ["alice"]},
}
TPU = {"accelerator_type": "v5litepod-16", "max_slices": 2}
CPU = {"accelerator_type": "cpu", "vm": {"cpu": 16, "memory": "64GB"}, "max_slices": 4}


@pytest.fixture
def google(fake_google: FakeGoogle, monkeypatch: pytest.MonkeyPatch) -> FakeGoogle:
    where = {
        "tpu": fake_google.grpc_address,
        "compute": f"http://{fake_google.compute_address}",
    }
    monkeypatch.setenv(ELSEWHERE, json.dumps(where))
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    return fake_google


def examined(
    folder: Path, capsys: pytest.CaptureFixture[str], **groups: object
) -> tuple[int, dict[str, dict[str, str]]]:
    path = folder / "cluster.yaml"
    path.write_text(json.dumps({**CLUSTER, "scale_groups": groups}))
    capsys.readouterr()
    status = main(["doctor", f"--config={path}", "--json"])
    out, err = capsys.readouterr()
    assert err == ""
    return status, {item["name"]: item for item in json.loads(out)["items"]}


def test_a_project_that_has_all_is_well(
    google: FakeGoogle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = {**CPU, "max_slices": 1}
    status, found = examined(tmp_path, capsys, tpu=TPU, cpu=CPU, more=more)
    assert status == ExitStatus.DONE, found
    outcomes = {name: item["outcome"] for name, item in found.items()}
    assert [name for name, outcome in outcomes.items() if outcome == "ok"] == [
        "python",
        "libraries",
        "tokens",
        "clock",
        "Compute Engine",
        "TPU API",
        "quota us-central1",
    ]
    said = found["quota us-central1"]["said"]
    assert said == "N2_CPUS: 192 of 200 are free, 36 are needed, 84 at most"
    assert found["credentials"]["outcome"] == "skipped"
    assert not google.gate.calls("CreateNode") + google.gate.calls("instances.insert")


def test_what_a_project_lacks_is_said_with_the_command_that_gives_it(
    google: FakeGoogle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    google.knobs.disabled = frozenset({"tpu"})
    google.knobs.compute_quotas = {"N2_CPUS": (8, 0)}
    status, found = examined(tmp_path, capsys, tpu=TPU, cpu=CPU)
    assert status == ExitStatus.FAILED
    assert found["TPU API"]["help"] == (
        "gcloud services enable tpu.googleapis.com --project=iris-test"
    )
    assert found["quota us-central1"]["outcome"] == "failed"
    assert "8 of 8 are free, 20 are needed" in found["quota us-central1"]["said"]

    google.knobs.disabled = frozenset()
    google.knobs.denied = frozenset({"machineTypes.get", "regions.get"})
    _, found = examined(tmp_path, capsys, cpu=CPU)
    assert "roles/compute.instanceAdmin.v1" in found["Compute Engine"]["help"]
    assert found["TPU API"]["outcome"] == "skipped"


def test_what_others_use_is_not_free_and_what_the_cluster_has_is_not_in_its_way(
    google: FakeGoogle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    google.knobs.compute_quotas = {"N2_CPUS": (40, 30)}
    small = {**CPU, "vm": {"cpu": 8, "memory": "32GB"}}
    _, found = examined(tmp_path, capsys, cpu=small)
    assert found["quota us-central1"]["outcome"] == "failed"
    assert "10 of 40 are free, 12 are needed" in found["quota us-central1"]["said"]
    made = {
        "name": "iris-controller",
        "machineType": "zones/us-central1-a/machineTypes/n2-standard-4",
        "labels": {MANAGED: "true", CLUSTER_LABEL: "iris"},
    }
    place = "compute/v1/projects/iris-test/zones/us-central1-a/instances"
    requests.post(f"http://{google.compute_address}/{place}", json=made, timeout=10)
    _, found = examined(tmp_path, capsys, cpu=small)
    assert found["quota us-central1"]["outcome"] == "ok"
    assert "free, 4 are this cluster's, 12 are needed" in found["quota us-central1"]["said"]


def test_what_a_zone_does_not_offer_is_named_with_the_key_to_correct(
    google: FakeGoogle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    groups = {
        "tpu": {**TPU, "accelerator_type": "v4-8"},
        "old": {**TPU, "runtime_version": "tpu-vm-of-yore"},
        "odd": {**CPU, "vm": {**CPU["vm"], "machine_type": "z9-huge-1"}},  # type: ignore[dict-item]
    }
    status = main(["doctor", f"--config={_file(tmp_path, groups)}"])
    out = capsys.readouterr().out
    assert status == ExitStatus.FAILED
    assert "failed   TPU API: v4-8 in us-central1-a: NOT_FOUND" in out
    assert "accelerator-types list --zone=us-central1-a`, and correct scale_groups.tpu" in out
    assert "failed   TPU API: tpu-vm-of-yore in us-central1-a: NOT_FOUND" in out
    assert "and correct scale_groups.old.runtime_version" in out
    assert "failed   Compute Engine: z9-huge-1 in us-central1-a: NOT_FOUND" in out
    assert google.gate.calls("GetAcceleratorType")


def _file(folder: Path, groups: Mapping[str, object]) -> Path:
    path = folder / "cluster.yaml"
    path.write_text(json.dumps({**CLUSTER, "scale_groups": groups}))
    return path


def test_who_is_not_signed_in_is_told_how(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ELSEWHERE, raising=False)
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nothing.json"))
    status, found = examined(tmp_path, capsys, tpu=TPU)
    assert status == ExitStatus.FAILED
    assert found["credentials"]["help"] == "sign in: gcloud auth application-default login"
    assert found["TPU API"]["said"] == "nobody is signed in"
