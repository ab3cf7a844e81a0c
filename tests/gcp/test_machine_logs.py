"""What machines of the fake Google have said of themselves, as an operator is told it."""

import pytest

from iris.core.ids import GroupName, SliceId
from iris.ports import NoLog, VmPlace
from tests.gcp.fake_google import FakeGoogle
from tests.gcp.managing import ZONE, Managed, tell

MUCH = 1_000


def place(name: str, group: str, host: int) -> VmPlace:
    return VmPlace(SliceId(name), host, GroupName(group), ZONE)


def test_nodes_tell_by_guest_attributes_and_instances_by_their_serial_port(
    fake_google: FakeGoogle,
) -> None:
    async def story(managed: Managed) -> None:
        for name, group in (("iris-tpu-1", "tpu"), ("iris-cpu-2", "cpu")):
            await managed.create(name, group)
        fake_google.advance(300)
        with pytest.raises(NoLog, match="it has said nothing yet"):
            await managed.vms.log(place("iris-tpu-1", "tpu", 2), MUCH)
        said = "trouble: the image cannot be had"
        node = fake_google.tpu.find(f"{fake_google.parent(ZONE)}/nodes/iris-tpu-1")
        node.holding.vms[2].guest_attributes["iris/state"] = said
        found = await managed.vms.log(place("iris-tpu-1", "tpu", 2), MUCH)
        assert found == f"state: {said}\n".encode()
        instance = fake_google.compute.find(ZONE, "iris-cpu-2-w1")
        instance.holding.vms[0].serial = lambda: "booting\nstarted\n"
        assert await managed.vms.log(place("iris-cpu-2", "cpu", 1), 8) == b"started\n"
        with pytest.raises(NoLog, match="NOT_FOUND"):
            await managed.vms.log(place("iris-cpu-9", "cpu", 0), MUCH)
        with pytest.raises(NoLog, match="group gone is not configured"):
            await managed.vms.log(place("iris-gone-1", "gone", 0), MUCH)

    tell(fake_google, story)
