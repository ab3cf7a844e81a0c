"""Compute Engine as the product asks it: over REST, with the sessions of google-auth."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from google.auth.transport.requests import AuthorizedSession
from google.oauth2.service_account import Credentials

from iris.core.instant import Instant
from sim.model import Deletes
from tests.gcp import fake_compute_errors
from tests.gcp.clients import Asking, State
from tests.gcp.conftest import MODEL
from tests.gcp.discovery import Judge
from tests.gcp.fake_google import FakeGoogle, serve
from tests.gcp.fake_time import ScaledClock

ZONE = "us-central1-a"
BODY: dict[str, Any] = {
    "name": "c",
    "machineType": f"zones/{ZONE}/machineTypes/n2-standard-4",
    "labels": {"iris-cluster": "x"},
    "disks": [{"boot": True, "initializeParams": {"sourceImage": "debian"}}],
    "networkInterfaces": [{"network": "global/networks/default"}],
    "metadata": {"items": [{"key": "startup-script", "value": "true"}]},
}


class Session:
    """A genuine session with the key of a service account, and the paths of one zone."""

    def __init__(self, google: FakeGoogle, path: Any) -> None:
        google.knobs.check_auth = True
        key = google.service_account(path / "sa.json")
        credentials = Credentials.from_service_account_file(
            str(key), scopes=["https://www.googleapis.com/auth/cloud-platform"]
        )
        self.session = AuthorizedSession(credentials)
        self.project = f"http://{google.compute_address}/compute/v1/projects/{google.project}"

    def __call__(self, verb: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        """Ask below the zone, or below the project if the path begins with a slash."""
        url = f"{self.project}{path}" if path[0] == "/" else f"{self.project}/zones/{ZONE}/{path}"
        answer = self.session.request(verb, url, json=body, timeout=10)
        assert answer.status_code == status, answer.text
        return answer.json()


@pytest.fixture
def session(fake_google: FakeGoogle, tmp_path: Any) -> Iterator[Session]:
    found = Session(fake_google, tmp_path)
    yield found
    found.session.close()


def test_an_instance_is_made_changed_found_and_deleted(
    fake_google: FakeGoogle, session: Session
) -> None:
    made = session("POST", "instances", BODY)
    assert (made["status"], session("GET", "instances/c")["status"]) == ("RUNNING", "STAGING")
    fake_google.advance(100)
    assert session("GET", f"operations/{made['name']}")["status"] == "DONE"
    told = session("GET", "instances/c")
    assert told["status"] == "RUNNING"
    assert told["networkInterfaces"][0]["networkIP"] == fake_google.fate.vms("c")[0].address
    assert session("POST", "instances", BODY, status=409)["error"]["errors"][0]["reason"] == (
        "alreadyExists"
    )
    stale = {"labels": {"a": "b"}, "labelFingerprint": "AAAA"}
    session("POST", "instances/c/setLabels", stale, status=412)
    session("POST", "instances/c/setLabels", stale | {"labelFingerprint": told["labelFingerprint"]})
    items = [{"key": "k", "value": "v"}]
    fingerprint = session("GET", "instances/c")["metadata"]["fingerprint"]
    session("POST", "instances/c/setMetadata", {"items": items, "fingerprint": fingerprint})
    [vm] = fake_google.fate.vms("c")
    assert vm.metadata == {"k": "v"}
    scopes = session("GET", "/aggregated/instances?filter=labels.a=b")["items"]
    assert [one["name"] for one in scopes[f"zones/{ZONE}"]["instances"]] == ["c"]
    assert "items" not in session("GET", "instances?filter=labels.a=x")
    session("DELETE", "instances/c")
    fake_google.advance(30)
    session("GET", "instances/c", status=404)
    assert fake_google.fate.books() == {}
    fake_google.knobs.check_auth = False
    Asking(fake_google).ready("c")
    fake_google.fate.preempt("c")  # the node: the instance of this name is no more
    assert Asking(fake_google).get("c").state is State.PREEMPTED


def test_what_instances_are_made_of(session: Session) -> None:
    assert session("GET", "machineTypes/n2-standard-4")["guestCpus"] == 4
    session("GET", "machineTypes/n9-standard-4", status=404)
    image = session("GET", "/global/images/family/debian-12")
    assert image["selfLink"].endswith("/global/images/debian-12-v20261101")
    assert session("GET", f"/zones/{ZONE}")["name"] == ZONE
    session("GET", "/zones/nowhere-a", status=404)
    assert session("GET", "/zones")["items"][0]["status"] == "UP"


def test_refusals_come_in_the_operation_or_in_the_call(
    fake_google: FakeGoogle, session: Session
) -> None:
    knobs = fake_google.knobs

    def ends() -> tuple[int, str]:
        made = session("POST", "instances", BODY)
        told = session("GET", f"operations/{made['name']}")
        return told["httpErrorStatusCode"], told["error"]["errors"][0]["code"]

    knobs.instance_stockout = True
    assert ends() == (503, "ZONE_RESOURCE_POOL_EXHAUSTED")
    knobs.instance_stockout, knobs.instance_quota = False, True
    assert ends() == (403, "QUOTA_EXCEEDED")
    knobs.instance_quota = False
    knobs.compute_errors = [fake_compute_errors.rate()]
    refused = session("POST", "instances", BODY, status=403)
    assert refused["error"]["errors"][0]["reason"] == "rateLimitExceeded"
    assert fake_google.fate.books() == {}
    knobs.token_age_s = 3_600
    session("GET", "instances", status=401)
    knobs.token_age_s = 0
    fake_google.machines.model = replace(MODEL, deletes=Deletes(refused=1.0))
    session("POST", "instances", BODY)
    session("DELETE", "instances/c", status=503)
    knobs.unreachable = frozenset({ZONE})
    assert session("GET", "/aggregated/instances")["unreachables"] == [f"zones/{ZONE}"]


def test_the_server_waits_for_an_operation_and_stock_is_the_simulators(tmp_path: Any) -> None:
    model = replace(MODEL, capacity={ZONE: ((Instant(0), 1),)})  # type: ignore[dict-item]
    with serve(compute_model=model, clock=ScaledClock(1_000)) as google:
        session = Session(google, tmp_path)
        made = session("POST", "instances", BODY)
        assert session("POST", f"operations/{made['name']}/wait")["status"] == "DONE"
        assert session("GET", "instances/c")["status"] == "RUNNING"
        second = session("POST", "instances", BODY | {"name": "d"})
        told = session("POST", f"operations/{second['name']}/wait")
        assert told["error"]["errors"][0]["code"] == "ZONE_RESOURCE_POOL_EXHAUSTED"
        session.session.close()


def test_answers_are_as_the_discovery_document_says(
    fake_google: FakeGoogle, session: Session
) -> None:
    session("POST", "instances", BODY)
    fake_google.advance(100)
    for path in ("instances", "instances/c", "instances/c/serialPort", "/aggregated/instances"):
        session("GET", path)
    session("GET", "instances/x", status=404)
    session("DELETE", "instances/c")
    judge = Judge("compute", "v1")
    asked = [told for told in fake_google.compute_front.log if told[0].path != "/token"]
    assert [judge.faults(*told) for told in asked if judge.faults(*told)] == []
    assert len(asked) == 7
