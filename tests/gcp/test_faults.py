"""Each fault of the fake cloud, as the genuine client meets it; the clock is moved by hand."""

from dataclasses import fields
from pathlib import Path

import pytest
from google.api_core import exceptions
from google.cloud import tpu_v2

from tests.gcp.clients import ZONE, Asking, State
from tests.gcp.fake_errors import busy, internal, unavailable
from tests.gcp.fake_google import FakeGoogle
from tests.gcp.fake_knobs import Knobs


@pytest.fixture
def asking(fake_google: FakeGoogle) -> Asking:
    return Asking(fake_google)


def test_every_knob_is_turned_by_a_test() -> None:
    text = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert not [knob.name for knob in fields(Knobs) if f"knobs.{knob.name}" not in text]


# ---- creating ----------------------------------------------------------------------------


def test_no_stock_in_one_zone_is_stock_in_another(asking: Asking) -> None:
    asking.google.knobs.stockout_zones = frozenset({ZONE})
    assert asking.operation(asking.create()).error.code == 8
    other = asking.google.parent("us-east5-a")
    node = tpu_v2.Node(accelerator_type="v6e-8", runtime_version="x")
    created = asking.client.create_node(parent=other, node_id="a", node=node)
    asking.google.advance(100)
    assert created.result(timeout=5).state is State.READY


def test_quota_of_a_region_holds_what_is_preempted_and_not_deleted(asking: Asking) -> None:
    knobs = asking.google.knobs
    knobs.quota_region = {"us-central2": 16}
    asking.ready(scheduling_config=tpu_v2.SchedulingConfig(spot=True))
    asking.google.fate.preempt("a")
    with pytest.raises(exceptions.ResourceExhausted, match="in region us-central2") as refused:
        asking.create("b")
    assert refused.value.code == 429
    asking.delete()
    asking.google.advance(30)
    asking.create("b")


def test_creates_of_a_minute_are_counted(asking: Asking) -> None:
    asking.google.knobs.creates_per_minute = 2
    asking.create("a")
    asking.create("b")
    with pytest.raises(exceptions.ResourceExhausted, match="per minute"):
        asking.create("c")
    asking.google.advance(60)
    asking.create("c")


def test_creates_break_and_may_leave_a_node_behind(asking: Asking) -> None:
    knobs = asking.google.knobs
    knobs.internal_creates = 2
    assert asking.operation(asking.create("a")).error.code == 13
    assert asking.ids() == []
    knobs.failed_creates_stay = True
    assert asking.operation(asking.create("b")).error.code == 13
    assert asking.get("b").state is State.TERMINATED
    asking.delete("b").result(timeout=5)
    assert "b" not in asking.ids()


def test_creates_are_refused_with_whatever_a_test_wants(asking: Asking) -> None:
    asking.google.knobs.create_errors = [busy()]
    with pytest.raises(exceptions.Aborted, match="unable to queue the operation"):
        asking.create()
    asking.create()


def test_a_connection_that_breaks_leaves_a_node_and_the_retry_finds_it(asking: Asking) -> None:
    asking.google.knobs.reset_after_create = 1
    with pytest.raises(exceptions.ServiceUnavailable, match="reset by peer"):
        asking.create()
    with pytest.raises(exceptions.AlreadyExists) as refused:
        asking.create()
    assert refused.value.details[0].resource_name == asking.name()


def test_a_node_goes_while_it_is_created_or_must_not(asking: Asking) -> None:
    asking.google.knobs.delete_while_creating = False
    created = asking.create()
    with pytest.raises(exceptions.Aborted):
        asking.delete()
    asking.google.knobs.delete_while_creating = True
    deleted = asking.delete()
    asking.google.advance(30)
    assert asking.operation(deleted).done
    assert asking.operation(created).error.code == 1
    assert asking.google.fate.books() == {}


# ---- operations --------------------------------------------------------------------------


def test_an_operation_lags_behind_its_node(asking: Asking) -> None:
    asking.google.knobs.lro_lag_s = 600
    created = asking.create()
    asking.google.advance(100)
    assert asking.get().state is State.READY
    asking.google.advance(599)
    assert not asking.operation(created).done
    asking.google.advance(1)
    assert asking.operation(created).done


def test_an_operation_is_never_done_breaks_or_tells_an_error_of_a_node_that_lives(
    asking: Asking,
) -> None:
    knobs = asking.google.knobs
    knobs.lro_never_done = True
    created = asking.create()
    asking.google.advance(100_000)
    assert not asking.operation(created).done
    knobs.lro_never_done = False
    knobs.lro_error_after_ready = internal()
    assert asking.operation(asking.create("b")).done is False
    asking.google.advance(100)
    assert asking.get("b").state is State.READY
    knobs.get_operation_errors = [unavailable()]
    with pytest.raises(exceptions.ServiceUnavailable):
        asking.operation(created)
    asking.client.cancel_operation({"name": created.operation.name})
    told = tpu_v2.OperationMetadata.pb()()
    asking.operation(created).metadata.Unpack(told)
    assert told.cancel_requested
    assert asking.operation(created).done


def test_the_error_comes_though_the_node_is_ready(asking: Asking) -> None:
    asking.google.knobs.lro_error_after_ready = internal()
    created = asking.create()
    asking.google.advance(100)
    with pytest.raises(exceptions.InternalServerError, match="an internal error has occurred"):
        created.result(timeout=5)
    assert asking.get().state is State.READY


def test_a_delete_fails_and_the_node_lives_on(asking: Asking) -> None:
    asking.ready()
    asking.google.knobs.delete_failures = 1
    assert asking.operation(asking.delete()).error.code == 13
    assert asking.get().state is State.READY


# ---- what is seen ------------------------------------------------------------------------


def test_machines_are_up_before_the_node_is_ready_and_endpoints_may_be_empty(
    asking: Asking,
) -> None:
    asking.google.knobs.ready_lag_s = 500
    node = asking.ready()
    assert node.state is State.CREATING
    assert all(endpoint.ip_address for endpoint in node.network_endpoints)
    asking.google.knobs.empty_endpoints = frozenset({2})
    addresses = [endpoint.ip_address for endpoint in asking.get().network_endpoints]
    assert [index for index, address in enumerate(addresses) if not address] == [2]
    asking.google.advance(500)
    assert asking.get().state is State.READY


def test_lists_are_stale_partial_and_forget_their_pages(asking: Asking) -> None:
    knobs = asking.google.knobs
    asking.create("a")
    asking.google.advance(1)
    asking.create("b")
    knobs.stale_lists = 1
    assert asking.ids() == ["a"]
    knobs.unreachable = frozenset({ZONE})
    assert list(asking.page().unreachable) == [ZONE]
    assert asking.ids() == []
    knobs.unreachable = frozenset()
    knobs.page_size = 1
    first = asking.page()
    assert [node.name for node in asking.client.list_nodes(parent=asking.parent)] == [
        asking.name("a"),
        asking.name("b"),
    ]
    knobs.expired_page_tokens = True
    with pytest.raises(exceptions.InvalidArgument, match="page token"):
        asking.client.list_nodes(
            {"parent": asking.google.parent(), "page_token": first.next_page_token}
        )


@pytest.mark.parametrize("state", ["PREEMPTED", "TERMINATED", "STOPPED"])
def test_what_is_left_of_a_preempted_node(asking: Asking, state: str) -> None:
    asking.ready()
    asking.google.fate.preempt("a", state=state, notice_s=30)
    assert asking.get().state is State.READY
    asking.google.advance(30)
    assert (asking.get().state.name, asking.ids()) == (state, ["a"])
    asking.delete()
    assert asking.get().state is State.DELETING


def test_a_preempted_node_is_gone_or_in_a_state_that_no_client_knows(asking: Asking) -> None:
    asking.ready()
    asking.google.fate.preempt("a", state=99)
    with pytest.warns(UserWarning, match="Unrecognized State enum value: 99"):
        assert asking.get().state == 99
    asking.ready("b")
    asking.google.fate.preempt("b", state=None)
    with pytest.raises(exceptions.NotFound):
        asking.get("b")


def test_a_node_is_preempted_while_it_is_created(asking: Asking) -> None:
    created = asking.create()
    asking.google.advance(1)
    asking.google.fate.preempt("a")
    with pytest.raises(exceptions.InvalidArgument, match="while in state PREEMPTED"):
        created.result(timeout=5)


def test_a_host_dies_and_the_node_stays_ready_and_maintenance_comes_and_goes(
    asking: Asking,
) -> None:
    asking.ready()
    asking.google.fate.lose_host("a", 1)
    assert asking.get().state is State.READY
    assert [vm.index for vm in asking.google.fate.vms("a")] == [0, 2, 3]
    asking.google.fate.repair("a")
    node = asking.get()
    assert (node.state, node.health) == (State.REPAIRING, tpu_v2.Node.Health.UNHEALTHY_MAINTENANCE)
    asking.google.fate.repaired("a")
    assert asking.get().health is tpu_v2.Node.Health.HEALTHY


# ---- the wire ----------------------------------------------------------------------------


def test_reads_fail_for_a_while(asking: Asking) -> None:
    asking.create()
    asking.google.knobs.unavailable_reads = 2
    for read in (asking.get, asking.page):
        with pytest.raises(exceptions.ServiceUnavailable):
            read()
    assert asking.ids() == ["a"]


def test_calls_are_slow_or_never_answered(asking: Asking) -> None:
    asking.google.knobs.slow_calls_s = 0.2
    with pytest.raises(exceptions.DeadlineExceeded):
        asking.client.list_nodes(parent=asking.parent, timeout=0.05)
    asking.google.knobs.slow_calls_s = 0
    asking.google.knobs.hanging_methods = frozenset({"CreateNode"})
    with pytest.raises(exceptions.DeadlineExceeded):
        asking.client.create_node(
            parent=asking.parent, node_id="a", node=tpu_v2.Node(), timeout=0.05
        )
    assert asking.ids() == []


# ---- who calls ---------------------------------------------------------------------------


def test_a_method_is_denied(asking: Asking) -> None:
    asking.google.knobs.denied = frozenset({"CreateNode"})
    with pytest.raises(exceptions.PermissionDenied, match="CreateNode"):
        asking.create()
    with pytest.raises(exceptions.PermissionDenied, match="or it may not exist") as refused:
        asking.page(asking.google.parent("nowhere-a"))
    assert refused.value.reason == "LOCATION_POLICY_VIOLATED"


def test_types_are_refused_where_they_are_not_sold(asking: Asking) -> None:
    with pytest.raises(exceptions.InvalidArgument, match="could not be found in the zonal"):
        asking.create(type="v9-8")
    node = tpu_v2.Node(accelerator_type="v4-8", runtime_version="x")
    with pytest.raises(exceptions.InvalidArgument, match="is not supported"):
        asking.client.create_node(parent=asking.google.parent("us-west1-c"), node_id="a", node=node)
    for wrong in ({"labels": {"Upper": "x"}}, {"runtime_version": ""}):
        with pytest.raises(exceptions.InvalidArgument):
            asking.client.create_node(
                parent=asking.parent,
                node_id="a",
                node=tpu_v2.Node({"accelerator_type": "v4-8", "runtime_version": "x", **wrong}),
            )
