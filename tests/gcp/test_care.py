"""What else the genuine client asks of nodes, and of zones, over gRPC."""

import grpc
import pytest
from google.api_core import exceptions
from google.cloud import tpu_v2
from google.longrunning import operations_pb2
from google.protobuf import field_mask_pb2

from tests.gcp.clients import RUNTIME, ZONE, Asking, State
from tests.gcp.fake_google import FakeGoogle


@pytest.fixture
def asking(fake_google: FakeGoogle) -> Asking:
    return Asking(fake_google)


def test_labels_change_on_a_ready_node_only_and_the_zone_does_not(asking: Asking) -> None:
    asking.create(labels={"a": "b"})

    def update(path: str) -> tpu_v2.Node:
        node = tpu_v2.Node(name=asking.name(), labels={"a": "c"})
        mask = field_mask_pb2.FieldMask(paths=[path])
        future = asking.client.update_node(node=node, update_mask=mask)
        updated: tpu_v2.Node = future.result(timeout=5)
        return updated

    with pytest.raises(exceptions.Aborted):
        update("labels")
    asking.google.advance(100)
    assert dict(update("labels").labels) == {"a": "c"}
    assert asking.get().runtime_version == RUNTIME
    with pytest.raises(exceptions.InvalidArgument, match="runtime_version"):
        update("runtime_version")


def test_a_single_machine_stops_and_starts_and_a_slice_does_not(asking: Asking) -> None:
    asking.ready("one", type="v4-8")
    asking.client.stop_node({"name": asking.name("one")}).result(timeout=5)
    assert asking.get("one").state is State.STOPPED
    assert asking.google.fate.vms("one") == []
    started = asking.client.start_node({"name": asking.name("one")})
    assert asking.get("one").state is State.STARTING
    asking.google.advance(100)
    assert started.result(timeout=5).state is State.READY
    assert len(asking.google.fate.vms("one")) == 1
    asking.ready("four")
    with pytest.raises(exceptions.FailedPrecondition):
        asking.client.stop_node({"name": asking.name("four")})


def test_a_zone_tells_what_it_sells(asking: Asking) -> None:
    kinds = {k.type_ for k in asking.client.list_accelerator_types(parent=asking.parent)}
    assert "v4-32" in kinds
    assert not [kind for kind in kinds if not kind.startswith("v4-")]
    versions = asking.client.list_runtime_versions(parent=asking.parent)
    assert RUNTIME in [version.version for version in versions]
    name = f"{asking.parent}/acceleratorTypes/v4-32"
    config = asking.client.get_accelerator_type(name=name).accelerator_configs[0]
    assert (config.type_, config.topology) == (tpu_v2.AcceleratorConfig.Type.V4, "2x2x4")
    places = asking.client.list_locations({"name": f"projects/{asking.google.project}"})
    assert ZONE in [place.location_id for place in places.locations]


def test_a_topology_is_sent_in_place_of_a_type_and_both_come_back(asking: Asking) -> None:
    config = tpu_v2.AcceleratorConfig(type=tpu_v2.AcceleratorConfig.Type.V4, topology="2x2x4")
    node = tpu_v2.Node(accelerator_config=config, runtime_version=RUNTIME)
    asking.client.create_node(parent=asking.parent, node_id="a", node=node)
    assert asking.get().accelerator_type == "v4-32"
    both = tpu_v2.Node(accelerator_config=config, accelerator_type="v4-32", runtime_version=RUNTIME)
    with pytest.raises(exceptions.InvalidArgument, match="exactly one"):
        asking.client.create_node(parent=asking.parent, node_id="b", node=both)


def test_operations_are_listed_waited_for_and_forgotten(asking: Asking) -> None:
    created = asking.create()
    listed = asking.client.list_operations({"name": asking.parent})
    assert [operation.name for operation in listed.operations] == [created.operation.name]
    with grpc.insecure_channel(asking.google.grpc_address) as channel:
        wait = channel.unary_unary(
            "/google.longrunning.Operations/WaitOperation",
            request_serializer=operations_pb2.WaitOperationRequest.SerializeToString,
            response_deserializer=operations_pb2.Operation.FromString,
        )
        wish = operations_pb2.WaitOperationRequest(name=created.operation.name)
        waiting = wait.future(wish, timeout=5)
        assert not asking.operation(created).done
        asking.google.advance(100)
        assert waiting.result().done
    asking.client.delete_operation({"name": created.operation.name})
    with pytest.raises(exceptions.NotFound):
        asking.operation(created)
