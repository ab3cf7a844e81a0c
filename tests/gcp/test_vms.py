"""VMs of the fake: what runs in them finds its metadata server, and dies with the machine."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from iris.core.instant import Millis
from tests.gcp.clients import ZONE, Asking
from tests.gcp.conftest import MODEL
from tests.gcp.fake_boots import MARK, ProcessVms
from tests.gcp.fake_google import FakeGoogle, serve
from tests.gcp.fake_metadata import MetadataServer
from tests.gcp.fake_time import HandClock

STARTUP = """#!/bin/sh
ask() { curl -sf -H 'Metadata-Flavor: Google' "http://$GCE_METADATA_HOST/computeMetadata/v1/$1"; }
echo "worker $(ask instance/attributes/agent-worker-number) at $FAKE_VM_ADDRESS"
setsid sleep 1000 &
python -c '
import os, google.auth
from google.auth.transport.requests import AuthorizedSession
credentials, project = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
nodes = os.environ["FAKE_TPU_ENDPOINT"] + f"/v2/projects/{project}/locations/-/nodes"
print("sees", [n["name"] for n in AuthorizedSession(credentials).get(nodes).json()["nodes"]])'
until [ "$(ask instance/preempted)" = TRUE ]; do sleep 0.05; done
echo "preempted: TRUE"
sleep 1000
"""


def until(is_so: Callable[[], bool], told: Callable[[], str]) -> None:
    """Wait for what happens in real time, for a while."""
    limit = time.monotonic() + 8
    while not is_so():
        assert time.monotonic() < limit, told()
        time.sleep(0.02)


def marked(home: Path) -> list[int]:
    """What runs in the VM of a folder."""
    mark = f"{MARK}={home}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:  # it has ended meanwhile, or is another's
            continue
    return found


def test_a_startup_script_runs_on_each_machine_and_dies_with_it(tmp_path: Path) -> None:
    hook = ProcessVms(tmp_path)
    with serve(hook=hook, model=MODEL, clock=HandClock()) as google:
        Asking(google).ready(type="v4-16", metadata={"startup-script": STARTUP})
        google.knobs.check_auth = True
        first, second = google.fate.vms("a")
        assert first.address.startswith("127.")
        assert first.address != second.address
        homes = [tmp_path / vm.name for vm in (first, second)]
        until(lambda: all("sees" in vm.serial() for vm in (first, second)), first.serial)
        assert f"worker 1 at {second.address}" in second.serial()
        assert "nodes/a" in first.serial()
        google.fate.preempt("a", notice_s=30)
        until(lambda: all("preempted: TRUE" in vm.serial() for vm in (first, second)), first.serial)
        assert all(len(marked(home)) >= 2 for home in homes)
        google.fate.lose_host("a", 0)
        assert [bool(marked(home)) for home in homes] == [False, True]
        google.advance(30)
        assert [marked(home) for home in homes] == [[], []]


def test_an_instance_starts_anew_and_tells_what_it_prints(tmp_path: Path) -> None:
    with serve(hook=ProcessVms(tmp_path), clock=HandClock()) as google:
        items = [{"key": "startup-script", "value": "echo up; exec sleep 1000"}]
        body = {"name": "c", "machineType": "x/n2-standard-4", "metadata": {"items": items}}
        compute = google.compute
        compute.insert(ZONE, body, lambda: True)
        google.advance(0)

        def printed() -> str:
            return str(compute.serial(ZONE, "c", 0)["contents"])

        until(lambda: printed() == "up\n", printed)
        [first] = marked(tmp_path / "c")
        compute.reset(ZONE, "c")
        until(lambda: printed() == "up\nup\n", printed)
        assert compute.serial(ZONE, "c", 3)["contents"] == "up\n"
        assert first not in marked(tmp_path / "c")
        google.fate.preempt("c")
        assert compute.get(ZONE, "c")["status"] == "TERMINATED"
        assert marked(tmp_path / "c") == []


class Metadata:
    """A client of one server."""

    def __init__(self, server: MetadataServer) -> None:
        self._server = server

    def __call__(self, path: str, *, flavor: str = "Google", body: bytes | None = None) -> Any:
        """What it answers: the text, and the etag."""
        request = urllib.request.Request(
            f"http://{self._server.address}/computeMetadata/v1/{path}",
            headers={"Metadata-Flavor": flavor} if flavor else {},
            data=body,
            method="GET" if body is None else "PUT",
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.headers["Metadata-Flavor"] == "Google"
            return answer.read().decode(), answer.headers["ETag"]


@pytest.fixture
def metadata(fake_google: FakeGoogle) -> Iterator[Metadata]:
    asking = Asking(fake_google)
    asking.ready(metadata={"iris-token": "t"})
    server = MetadataServer(fake_google.fate.vms("a")[2], fake_google.world)
    yield Metadata(server)
    server.close()


def test_the_metadata_server_tells_who_a_machine_is(metadata: Metadata) -> None:
    assert metadata("instance/attributes/agent-worker-number")[0] == "2"
    endpoints = metadata("instance/attributes/worker-network-endpoints")[0].split(",")
    assert [endpoint.split(":")[2] for endpoint in endpoints][2] == (
        metadata("instance/network-interfaces/0/ip")[0]
    )
    assert metadata("instance/attributes/iris-token")[0] == "t"
    assert metadata("instance/attributes/instance-id")[0] == "a"
    assert "attributes/" in metadata("instance/")[0].split()
    whole = json.loads(metadata("instance/?recursive=true&alt=json")[0])
    assert whole["networkInterfaces"]["0"]["ip"].startswith("127.")
    assert whole["attributes"]["agent-worker-number"] == "2"
    token = json.loads(metadata("instance/service-accounts/default/token")[0])
    assert token["token_type"] == "Bearer"
    for path, flavor, status in (
        ("instance/id", "", 403),
        ("instance/attributes/no", "Google", 404),
    ):
        with pytest.raises(urllib.error.HTTPError) as refused:
            metadata(path, flavor=flavor)
        assert refused.value.code == status
        refused.value.close()


def test_who_waits_for_a_change_hears_of_it(fake_google: FakeGoogle, metadata: Metadata) -> None:
    told, etag = metadata("instance/preempted")
    assert told == "FALSE"
    path = f"instance/preempted?wait_for_change=true&last_etag={etag}&timeout_sec="
    assert metadata(f"{path}0")[0] == "FALSE"
    fake_google.fate.preempt("a", notice_s=30)
    assert metadata(f"{path}10")[0] == "TRUE"
    fake_google.fate.repair("a")
    assert metadata("instance/maintenance-event")[0] == "TERMINATE_ON_HOST_MAINTENANCE"


def test_a_machine_writes_about_itself(fake_google: FakeGoogle, metadata: Metadata) -> None:
    metadata("instance/guest-attributes/iris/phase", body=b"pulling")
    client = fake_google.tpu_client()
    request = {"name": Asking(fake_google).name(), "worker_ids": ["2"], "query_path": "iris/"}
    [told] = client.get_guest_attributes(request).guest_attributes
    [item] = told.query_value.items
    assert (item.namespace, item.key, item.value) == ("iris", "phase", "pulling")


def test_notices_of_the_simulators_cloud_reach_the_machines() -> None:
    model = replace(MODEL, lifetime=MODEL.boot, notice=Millis(30_000))
    with serve(model=model, clock=HandClock()) as google:
        asking = Asking(google)
        asking.ready(scheduling_config={"spot": True})
        vms = google.fate.vms("a")
        google.advance(99)
        assert [vm.preempted for vm in vms] == [False] * 4
        google.advance(1)
        assert [vm.preempted for vm in vms] == [True] * 4
        assert asking.get().state.name == "READY"
        google.advance(30)
        assert asking.get().state.name == "PREEMPTED"
        assert google.fate.vms("a") == []
