"""Other genuine clients, which must not notice either: REST, TLS with a service account, discovery, gcloud."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
from google.auth.credentials import AnonymousCredentials
from google.cloud import tpu_v2
from googleapiclient import discovery

from tests.cluster.certificates import Authority
from tests.gcp.apart import client_apart
from tests.gcp.clients import RUNTIME, ZONE, Asking, State
from tests.gcp.discovery import Judge
from tests.gcp.fake_google import FakeGoogle, serve
from tests.gcp.fake_time import ScaledClock


def test_the_rest_transport_creates_lists_and_waits() -> None:
    with serve(clock=ScaledClock(100)) as google:
        client = tpu_v2.TpuClient(
            transport="rest",
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": f"http://{google.rest_address}"},
        )
        node = tpu_v2.Node(accelerator_type="v4-8", runtime_version=RUNTIME)
        created = client.create_node(parent=google.parent(ZONE), node_id="a", node=node)
        assert created.result(timeout=10).state is State.READY
        assert Asking(google).ids() == ["a"]
        [listed] = client.list_nodes(parent=google.parent())
        client.delete_node(name=listed.name).result(timeout=10)
        assert google.fate.books() == {}
        google.knobs.reset_after_create = 1
        with pytest.raises(requests.ConnectionError, match="reset by peer"):
            client.create_node(parent=google.parent(ZONE), node_id="a", node=node)
        assert Asking(google).ids() == ["a"]


# Without any seam.
_PRODUCTION = """
import sys
from google.cloud import tpu_v2
client = tpu_v2.TpuClient(client_options={"api_endpoint": sys.argv[1]})
for _ in range(3):
    try:
        print(len(list(client.list_nodes(parent=sys.argv[2], timeout=10))))
    except Exception as error:
        print(type(error).__name__, error)
    input()
"""


def test_tls_and_a_service_account_need_no_seam_and_tokens_are_looked_at(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    with serve(tls=authority.sign("server")) as google:
        google.knobs.check_auth = True
        places = (google.grpc_address, google.parent())
        with client_apart(_PRODUCTION, google, authority, tmp_path, *places) as next_line:
            assert next_line() == "0\n"
            google.knobs.audience = "https://compute.googleapis.com/"
            assert next_line().startswith("Unauthenticated 401")
            google.knobs.audience = "https://tpu.googleapis.com/"
            google.knobs.token_age_s = 7_200
            assert "expired" in next_line()
        assert "Bearer ey" in google.gate.log[0].headers["authorization"]


@pytest.mark.parametrize("version", ["v2", "v2alpha1"])
def test_every_answer_is_as_the_discovery_document_says(
    fake_google: FakeGoogle, version: str
) -> None:
    service = discovery.build(
        "tpu",
        version,
        cache_discovery=False,
        static_discovery=True,
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": f"http://{fake_google.rest_address}"},
    )
    locations = service.projects().locations()
    _walk(fake_google, locations)
    judge = Judge("tpu", version)
    assert [judge.faults(*told) for told in fake_google.rest.log if judge.faults(*told)] == []
    assert len(fake_google.rest.log) == 17
    service.close()


def _walk(google: FakeGoogle, locations: Any) -> None:
    parent = google.parent(ZONE)
    node = {"acceleratorType": "v4-16", "runtimeVersion": RUNTIME, "labels": {"a": "b"}}
    node["networkConfig"] = {"enableExternalIps": True}
    operation = locations.nodes().create(parent=parent, nodeId="a", body=node).execute()
    assert operation["done"] is False  # SkyPilot indexes it
    wish = {"tpu": {"nodeSpec": [{"parent": parent, "nodeId": "q", "node": node}]}, "spot": {}}
    queued = locations.queuedResources()
    queued.create(parent=parent, queuedResourceId="q", body=wish).execute()
    google.advance(100)
    name, own = f"{parent}/nodes/a", f"{parent}/queuedResources/q"
    done = locations.operations().get(name=operation["name"]).execute()
    assert done["response"]["@type"].endswith(".Node")
    locations.operations().list(name=parent).execute()
    assert locations.nodes().get(name=name).execute()["id"].isdecimal()
    locations.nodes().list(parent=parent).execute()
    locations.nodes().patch(name=name, updateMask="labels", body={"labels": {"a": "c"}}).execute()
    locations.nodes().getGuestAttributes(name=name, body={"workerIds": ["1"]}).execute()
    queued.get(name=own).execute()
    queued.list(parent=parent).execute()
    queued.delete(name=own, force=True).execute()
    deleted = locations.nodes().delete(name=name).execute()
    google.advance(30)
    told = locations.operations().get(name=deleted["name"]).execute()
    assert told["response"] == {"@type": "type.googleapis.com/google.protobuf.Empty"}
    locations.acceleratorTypes().list(parent=parent).execute()
    locations.runtimeVersions().list(parent=parent).execute()
    locations.list(name=f"projects/{google.project}").execute()
    with pytest.raises(Exception, match="was not found"):
        locations.nodes().get(name=name).execute()


def test_the_judge_sees_what_is_wrong(fake_google: FakeGoogle) -> None:
    Asking(fake_google).ready()
    fake_google.fate.show_as("a", 99)
    http = tpu_v2.TpuClient(
        transport="rest",
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": f"http://{fake_google.rest_address}"},
    )
    with pytest.warns(UserWarning, match="99"):
        assert http.get_node(name=f"{fake_google.parent(ZONE)}/nodes/a").state == 99
    assert Judge("tpu", "v2").faults(*fake_google.rest.log[0]) != []


# ---- gcloud ------------------------------------------------------------------------------


def gcloud_environment(google: FakeGoogle, home: Path) -> Mapping[str, str]:
    """What points gcloud at the fake (gcp.md, 3)."""
    return os.environ | {
        "HOME": str(home),
        "CLOUDSDK_CONFIG": str(home / "gcloud"),
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_TPU": f"http://{google.rest_address}/",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE": f"http://{google.compute_address}/compute/v1/",
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_CORE_PROJECT": google.project,
        "CLOUDSDK_COMPUTE_ZONE": ZONE,
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true",
    }


@pytest.mark.skipif(shutil.which("gcloud") is None, reason="needs gcloud")
def test_gcloud_makes_lists_and_deletes(tmp_path: Path) -> None:
    def start(words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["gcloud", "compute", *words.split()],
            env=gcloud_environment(google, tmp_path / words.split(maxsplit=1)[0]),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    with serve(clock=ScaledClock(1_000)) as google:
        asking = Asking(google)
        asking.create("ours")
        google.knobs.stockout = True
        instance = start("instances create c --machine-type=n2-standard-4 --image-family=debian-12")
        slice_ = start(f"tpus tpu-vm create t --type=v4 --topology=2x2x4 --version={RUNTIME}")
        listing = start("tpus tpu-vm list --zone=-")
        made, why = instance.communicate()
        assert "RUNNING" in made, why
        assert google.compute.find(ZONE, "c").status() == "RUNNING"
        assert '"code": 8' in slice_.communicate()[1]
        [sent] = [call for call in google.gate.calls("CreateNode") if call.transport == "rest"]
        assert sent.request["node"]["acceleratorConfig"] == {"topology": "2x2x4", "type": "V4"}
        listed, why = listing.communicate()
        row = ["ours", ZONE, "v4-32", "V4", "2x2x4", "READY"]
        assert [line.split() for line in listed.splitlines()[1:]] == [row], why
        start("tpus tpu-vm delete ours --async").communicate()
        assert google.fate.books() == {f"{ZONE}.c": "ready"}
