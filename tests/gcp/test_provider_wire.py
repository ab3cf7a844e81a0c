"""How the provider asks: as whom, how many at a time, and which interfaces it can do without."""

import asyncio
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from iris.core.events import SliceAccepted, SliceDeleted
from iris.core.ids import GroupName, SliceId
from tests.cluster.certificates import Authority
from tests.gcp import fake_errors as no
from tests.gcp.apart import client_apart
from tests.gcp.fake_calls import Call
from tests.gcp.fake_compute_errors import ComputeError
from tests.gcp.fake_google import FakeGoogle, serve
from tests.gcp.managing import QUICK, ZONE, Managed, config, patient, tell

# Built as in production.
_PRODUCTION = """
import asyncio, sys
from iris.cluster.controller.clock import WallClock
from iris.cluster.vm.bootstrap import Bootstrap
from iris.cluster.vm.gcp import GcpSettings, GcpVmManager
from iris.cluster.vm.gcp_endpoints import Endpoints
from iris.core.effects import ObserveSlices
from tests.gcp.managing import QUICK, config

async def main():
    cluster = config()
    settings = GcpSettings(cluster.provider, {}, Endpoints(sys.argv[1], sys.argv[2]), QUICK)
    told = Bootstrap("iris", "iris-test", "", "", dict, str)
    vms = GcpVmManager(settings, told, WallClock(), print)
    for _ in range(3):
        (found,) = await vms.observe(ObserveSlices())
        print(found.complete, found.error)
        input()

asyncio.run(main())
"""


def test_credentials_are_those_of_the_application_for_both_interfaces(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    with serve(tls=authority.sign("server")) as google:
        places = (google.grpc_address, f"http://{google.compute_address}")
        with client_apart(_PRODUCTION, google, authority, tmp_path, *places) as next_line:
            assert next_line() == "True \n"
            google.knobs.check_auth = True  # A token is for one of them, and no good for the other.
            said = next_line()
            assert "instances: UNAUTHENTICATED" in said
            assert "nodes" not in said
            google.knobs.audience = "https://compute.googleapis.com/"
            said = next_line()
            assert "nodes: UNAUTHENTICATED" in said
            assert "instances" not in said


def test_i_60_i_87_few_creates_are_under_way_at_once_and_hold_up_nothing_else(
    fake_google: FakeGoogle,
) -> None:
    async def story(m: Managed) -> None:
        fake_google.knobs.hanging_methods = frozenset({"CreateNode"})
        names = [f"iris-tpu-{number}" for number in range(3 * QUICK.changes)]
        creates = [asyncio.ensure_future(m.create(name)) for name in names]
        async with asyncio.timeout(10):
            while len(fake_google.gate.calls("CreateNode")) < QUICK.changes:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert (await m.observe()).complete
        assert len(fake_google.gate.calls("CreateNode")) == QUICK.changes
        fake_google.knobs.hanging_methods = frozenset()
        assert await asyncio.gather(*creates) == [[SliceAccepted(SliceId(name))] for name in names]

    tell(fake_google, story, limits=patient(30))


@pytest.mark.parametrize("group", ["cpu", "tpu"])
@pytest.mark.parametrize("off", ["tpu", "compute"])
def test_an_interface_that_is_not_enabled_is_missed_only_where_a_group_needs_it(
    fake_google: FakeGoogle, group: str, off: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter = fake_google.gate.enter
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SERVICE_DISABLED"}
    text = "The API has not been used in project 1 before or it is disabled."

    def closed(call: Call) -> None:
        if call.service != off:
            enter(call)
        elif off == "tpu":
            raise no.ApiError(grpc.StatusCode.PERMISSION_DENIED, text, [info])
        else:
            raise ComputeError(403, "accessNotConfigured", text)

    monkeypatch.setattr(fake_google.gate, "enter", closed)
    kinds = {"cpu": "accelerator_type: cpu", "tpu": "accelerator_type: v5litepod-16"}
    cluster = config(
        f"provider: {{type: gcp, project_id: iris-test, zone: {ZONE}}}\n"
        f"scale_groups: {{g: {{{kinds[group]}, max_slices: 1}}}}"
    )

    async def story(m: Managed) -> None:
        needs = {"cpu": "compute", "tpu": "tpu"}
        assert (await m.observe()).complete is (needs[group] != off)

    tell(fake_google, story, cluster=cluster)


def test_a_slice_is_removed_as_what_it_is_whatever_the_configuration_says_now(
    fake_google: FakeGoogle,
) -> None:
    async def story(m: Managed) -> None:
        fake_google.knobs.quota_zone = {ZONE: 8}
        await m.create("iris-held-1", "held")
        held = GroupName("held")
        m.groups[held] = replace(m.groups[held], reservation=None)
        await m.observe()
        assert await m.delete("iris-held-1", "held") == [SliceDeleted(SliceId("iris-held-1"))]
        assert fake_google.queue.all == {}

    tell(fake_google, story)
