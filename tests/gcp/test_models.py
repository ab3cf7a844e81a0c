"""What the simulator's model says of a cloud, as the genuine client meets it."""

from dataclasses import replace

import pytest
from google.api_core import exceptions
from google.cloud import tpu_v2

from iris.core.ids import Zone
from iris.core.instant import Instant, Millis
from sim.dice import Constant
from sim.model import CreateFailures, Deletes, Lists
from tests.gcp.clients import TYPE, ZONE, Asking, State
from tests.gcp.conftest import MODEL
from tests.gcp.fake_google import serve
from tests.gcp.fake_models import TYPICAL
from tests.gcp.fake_time import HandClock


def test_stock_follows_the_simulators_capacity_and_its_verdict_comes_late() -> None:
    steps = ((Instant(0), 1), (Instant(3_600_000), 2))
    model = replace(MODEL, capacity={Zone(ZONE): steps}, verdict=Constant(Millis(45_000)))
    with serve(model=model, clock=HandClock()) as google:
        asking = Asking(google)
        asking.create("a")
        second = asking.create("b")
        google.advance(44)
        assert not asking.operation(second).done
        assert asking.get("b").state is State.CREATING
        google.advance(1)
        assert "no more capacity" in asking.operation(second).error.message
        assert asking.ids() == ["a"]
        google.advance(3_600)
        assert asking.ready("b").state is State.READY


@pytest.mark.parametrize(
    ("reason", "error", "text"),
    [
        ("quota", exceptions.ResourceExhausted, "in zone"),
        ("quota_region", exceptions.ResourceExhausted, "in region"),
        ("rate", exceptions.ResourceExhausted, "per minute"),
        ("permission", exceptions.PermissionDenied, "denied on"),
        ("bad_request", exceptions.InvalidArgument, "unable to complete the operation"),
        ("internal", exceptions.InternalServerError, "an internal error"),
        ("stockout", exceptions.ResourceExhausted, "no more capacity"),
    ],
)
def test_the_models_refusals_are_told_in_googles_words(
    reason: str, error: type[Exception], text: str
) -> None:
    odds = CreateFailures(**{reason: 1.0})
    with serve(model=replace(MODEL, create_failures=odds), clock=HandClock()) as google:
        asking = Asking(google)
        with pytest.raises(error, match=text):
            asking.create().result(timeout=5)
        assert asking.ids() == []


def test_a_reservation_is_used_up() -> None:
    with serve(model=replace(MODEL, reservations={"default": 16}), clock=HandClock()) as google:
        asking = Asking(google)
        reserved = tpu_v2.SchedulingConfig(reserved=True)
        asking.ready("a", scheduling_config=reserved)
        created = asking.create("b", scheduling_config=reserved)
        assert "Insufficient reserved capacity" in asking.operation(created).error.message


def test_others_make_nodes_with_our_labels() -> None:
    model = replace(MODEL, stray=Constant(Millis(3_600_000)))
    with serve(model=model, clock=HandClock()) as google:
        asking = Asking(google)
        asking.create("a", labels={"managed": "iris"})
        google.advance(3_600)
        [own, other] = asking.page().nodes
        assert dict(other.labels) == dict(own.labels)
        asking.client.delete_node(name=other.name)
        google.advance(30)
        assert asking.ids() == ["a"]


def test_a_day_of_a_cloud_as_unkind_as_reports_leaves_nothing_behind() -> None:
    spot = tpu_v2.SchedulingConfig(spot=True)
    alive = (State.CREATING, State.READY)
    seen: set[str] = set()
    with serve(model=replace(TYPICAL, lists=MODEL.lists), clock=HandClock()) as google:
        asking = Asking(google)
        for round_ in range(48):
            nodes = asking.page().nodes
            for node in nodes:
                seen.add(node.state.name)
                if node.state not in (*alive, State.DELETING):
                    asking.client.delete_node(name=node.name)
            for number in range(6 - sum(node.state in alive for node in nodes)):
                asking.create(f"n{round_}-{number}", scheduling_config=spot)
            google.advance(1_800)
        assert {"READY", "PREEMPTED"} <= seen
        for node in asking.page().nodes:
            asking.client.delete_node(name=node.name)
        google.advance(300)
        assert (asking.ids(), google.fate.books()) == ([], {})


@pytest.mark.parametrize("lie", [Deletes(lies=1.0), Deletes(lost=1.0), Deletes(refused=1.0)])
def test_deletes_lie_as_the_simulators_do(lie: Deletes) -> None:
    with serve(model=replace(MODEL, deletes=lie), clock=HandClock()) as google:
        asking = Asking(google)
        asking.ready()
        if lie.refused:
            with pytest.raises(exceptions.ServiceUnavailable):
                asking.delete()
        else:
            deleted = asking.delete()
            google.advance(3_600)
            assert asking.operation(deleted).done is bool(lie.lies)
        assert asking.get().state is State.READY
        google.slices.model = MODEL
        again = asking.delete()
        joined = asking.delete()
        assert not asking.operation(again).done
        google.advance(30)
        assert asking.operation(again).done
        assert asking.operation(joined).done


def test_lists_lie_as_the_simulators_do() -> None:
    with serve(model=replace(MODEL, lists=Lists(zone_missing=1.0)), clock=HandClock()) as google:
        asking = Asking(google)
        asking.create()
        google.advance(1)
        assert (asking.ids(), list(asking.page().unreachable)) == ([], [ZONE])
        assert asking.get().state is State.CREATING


def test_an_address_comes_back_with_another_slice() -> None:
    with serve(model=replace(MODEL, recycle_addresses=True), clock=HandClock()) as google:
        asking = Asking(google)
        before = {endpoint.ip_address for endpoint in asking.ready("a").network_endpoints}
        google.fate.preempt("a")
        after = {endpoint.ip_address for endpoint in asking.ready("b").network_endpoints}
        assert before == after
        assert asking.get("a").network_endpoints[0].ip_address in after


def test_an_answer_is_late_by_the_clock_or_lost_for_good() -> None:
    answers = replace(MODEL.create_answers, lost=1.0)
    with serve(model=replace(MODEL, create_answers=answers), clock=HandClock()) as google:
        asking = Asking(google)
        with pytest.raises(exceptions.DeadlineExceeded):
            asking.client.create_node(
                parent=asking.parent,
                node_id="a",
                node=tpu_v2.Node(accelerator_type=TYPE, runtime_version="x"),
                timeout=0.1,
            )
        with pytest.raises(exceptions.AlreadyExists):
            asking.create()
