"""Queued resources, which wait for what is not there, and lose it again."""

from dataclasses import replace

import grpc
import pytest
from google.api_core import exceptions
from google.cloud import tpu_v2, tpu_v2alpha1
from google.cloud.tpu_v2alpha1.services.tpu.transports import TpuGrpcTransport
from google.protobuf import duration_pb2

from iris.core.ids import Zone
from iris.core.instant import Instant, Millis
from sim.dice import Constant
from tests.gcp.clients import RUNTIME, TYPE, ZONE, Asking, State
from tests.gcp.conftest import MODEL
from tests.gcp.fake_google import FakeGoogle, serve
from tests.gcp.fake_time import HandClock


@pytest.fixture
def asking(fake_google: FakeGoogle) -> Asking:
    return Asking(fake_google)


def queue(asking: Asking, own: str = "q", **rest: object) -> str:
    node = tpu_v2.Node(accelerator_type=TYPE, runtime_version="x")
    spec = tpu_v2.QueuedResource.Tpu.NodeSpec(parent=asking.parent, node_id=own, node=node)
    wish = tpu_v2.QueuedResource(tpu=tpu_v2.QueuedResource.Tpu(node_spec=[spec]), **rest)
    created = asking.client.create_queued_resource(
        parent=asking.parent, queued_resource_id=own, queued_resource=wish
    )
    return str(created.result(timeout=5).name)


def state_of(asking: Asking, name: str) -> str:
    return str(asking.client.get_queued_resource(name=name).state.state.name)


def test_a_queued_resource_waits_for_stock_and_loses_its_node_in_the_end(asking: Asking) -> None:
    asking.google.knobs.stockout = True
    name = queue(asking, spot={})
    asking.google.advance(3_600)
    assert (state_of(asking, name), asking.ids()) == ("WAITING_FOR_RESOURCES", [])
    asking.google.knobs.stockout = False
    asking.google.advance(21)
    assert (state_of(asking, name), asking.ids()) == ("PROVISIONING", ["q"])
    assert asking.get("q").queued_resource == name
    with pytest.raises(exceptions.FailedPrecondition, match="force"):
        asking.client.delete_queued_resource(name=name)
    asking.google.advance(100)
    assert state_of(asking, name) == "ACTIVE"
    asking.google.fate.preempt("q")
    asking.google.advance(10)
    assert state_of(asking, name) == "SUSPENDING"
    asking.google.advance(70)
    assert (state_of(asking, name), asking.ids()) == ("SUSPENDED", [])
    asking.google.knobs.quota_zone = {ZONE: 31}
    with pytest.raises(exceptions.ResourceExhausted):
        asking.create("b")  # what is suspended holds its 16 chips
    told = asking.client.get_queued_resource(name=name).state
    assert told.state_initiator is tpu_v2.QueuedResourceState.StateInitiator.SERVICE
    asking.client.delete_queued_resource(name=name).result(timeout=5)
    assert asking.google.fate.books() == {}
    asking.create("b")


def test_a_queued_resource_comes_too_late_or_after_it_was_given_up(asking: Asking) -> None:
    asking.google.knobs.stockout = True
    policy = tpu_v2.QueuedResource.QueueingPolicy(
        valid_until_duration=duration_pb2.Duration(seconds=600)
    )
    late = queue(asking, "late", queueing_policy=policy)
    zombie = queue(asking, "zombie")
    asking.google.advance(610)
    assert state_of(asking, late) == "FAILED"
    asking.google.knobs.fulfil_after_delete = True
    asking.client.delete_queued_resource({"name": zombie, "force": True}).result(timeout=5)
    asking.google.knobs.stockout = False
    asking.google.advance(200)
    assert asking.get("zombie").state is State.READY


def test_a_node_that_may_yet_be_refused_is_not_there_while_it_is_queued() -> None:
    late = Constant(Millis(45_000))
    model = replace(MODEL, capacity={Zone(ZONE): ((Instant(0), 0),)}, verdict=late)
    with serve(model=model, clock=HandClock()) as google:
        asking = Asking(google)
        name = queue(asking)
        google.advance(20)
        assert (state_of(asking, name), asking.ids()) == ("WAITING_FOR_RESOURCES", [])


def test_a_queued_resource_is_deleted_while_its_node_is_being_asked_for() -> None:
    with serve(model=replace(MODEL, call=Constant(Millis(5_000))), clock=HandClock()) as google:
        asking = Asking(google)
        name = queue(asking)
        google.advance(1)
        assert state_of(asking, name) == "WAITING_FOR_RESOURCES"
        asking.client.delete_queued_resource(name=name)
        google.advance(4)
        assert list(google.fate.books()) == [f"{ZONE}.q"]
        google.advance(100)
        assert google.fate.books() == {}


def test_the_alpha_delete_answers_with_another_type_than_it_declares(asking: Asking) -> None:
    channel = grpc.insecure_channel(asking.google.grpc_address)
    alpha = tpu_v2alpha1.TpuClient(transport=TpuGrpcTransport(channel=channel))
    names = [queue(asking, own) for own in ("q", "r")]
    asking.google.advance(100)
    deleted = [alpha.delete_queued_resource({"name": n, "force": True}) for n in names]
    asking.google.advance(30)
    with pytest.raises(TypeError):
        deleted[0].result(timeout=5)
    assert asking.ids() == []
    asking.google.knobs.alpha_delete_mismatch = False
    assert deleted[1].result(timeout=5).name == names[1]


def test_a_reset_queued_resource_waits_anew(asking: Asking) -> None:
    node = tpu_v2.Node(accelerator_type="v4-8", runtime_version=RUNTIME)
    several = tpu_v2.types.QueuedResource.Tpu.NodeSpec.MultisliceParams(
        node_count=2, node_id_prefix="m"
    )
    spec = tpu_v2.QueuedResource.Tpu.NodeSpec(
        parent=asking.parent, multislice_params=several, node=node
    )
    wish = tpu_v2.QueuedResource(tpu=tpu_v2.QueuedResource.Tpu(node_spec=[spec]))
    asking.client.create_queued_resource(
        parent=asking.parent, queued_resource_id="q", queued_resource=wish
    )
    asking.google.advance(100)
    assert asking.ids() == ["m-0", "m-1"]
    name = f"{asking.parent}/queuedResources/q"
    asking.client.reset_queued_resource({"name": name})
    assert asking.client.get_queued_resource(name=name).state.state.name == "WAITING_FOR_RESOURCES"
    asking.google.advance(29)
    assert {*asking.google.fate.books().values()} == {"deleting"}
    asking.google.advance(20)
    assert {*asking.google.fate.books().values()} == {"creating"}
    assert asking.ids() == ["m-0", "m-1"]
