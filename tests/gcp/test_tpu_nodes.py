"""The genuine google-cloud-tpu client over gRPC, and nodes that come, fail and go."""

import pytest
from google.api_core import exceptions
from google.cloud import tpu_v2

from tests.gcp.fake_google import FakeGoogle

ZONE = "us-central2-b"


def node(**rest: object) -> tpu_v2.Node:
    return tpu_v2.Node(
        accelerator_type="v4-32",
        runtime_version="tpu-ubuntu2204-base",
        **rest,
    )


def test_a_node_boots_is_listed_and_goes(fake_google: FakeGoogle) -> None:
    client = fake_google.tpu_client()
    created = client.create_node(
        parent=fake_google.parent(ZONE), node_id="a", node=node(labels={"managed": "iris"})
    )
    name = f"{fake_google.parent(ZONE)}/nodes/a"
    assert created.metadata.target == name
    assert client.get_node(name=name).state is tpu_v2.Node.State.CREATING
    assert not created.done()

    fake_google.advance(100)

    ready = created.result(timeout=5)
    assert ready.state is tpu_v2.Node.State.READY
    assert ready.accelerator_config.topology == "2x2x4"
    assert len({endpoint.ip_address for endpoint in ready.network_endpoints}) == 4
    [listed] = client.list_nodes(parent=fake_google.parent())
    assert (listed.name, dict(listed.labels)) == (name, {"managed": "iris"})

    deleted = client.delete_node(name=name)
    assert client.get_node(name=name).state is tpu_v2.Node.State.DELETING
    fake_google.advance(30)
    deleted.result(timeout=5)
    with pytest.raises(exceptions.NotFound, match="was not found"):
        client.get_node(name=name)


def test_stockout_is_told_in_the_operation_and_quota_in_the_call(fake_google: FakeGoogle) -> None:
    client = fake_google.tpu_client()
    parent = fake_google.parent(ZONE)
    fake_google.knobs.stockout = True
    created = client.create_node(parent=parent, node_id="a", node=node())
    with pytest.raises(exceptions.ResourceExhausted, match="no more capacity in the zone"):
        created.result(timeout=5)
    with pytest.raises(exceptions.NotFound):
        client.get_node(name=f"{parent}/nodes/a")

    fake_google.knobs.stockout = False
    fake_google.knobs.quota_zone = {ZONE: 8}
    with pytest.raises(exceptions.ResourceExhausted, match="in zone us-central2-b") as refused:
        client.create_node(parent=parent, node_id="a", node=node())
    assert "Limit 8" in refused.value.details[0].violations[0].description
