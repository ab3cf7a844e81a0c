"""Which slices are asked for: what placement could not serve, tried dry on what is coming."""

from dataclasses import replace

import pytest

from iris.core import decisions as de
from iris.core import effects as ef
from iris.core import events as ev
from iris.core.ids import GroupName, RequestId, SliceId
from iris.core.instant import HOUR, MINUTE, SECOND
from iris.core.lifecycle import SliceState, TaskState
from iris.core.spec import AutoscalerPolicy, Constraint, ConstraintOp
from tests.harness import Script, cluster, cpu_group, fleet, gpu_group, tpu_group

SMALL, LARGE = "v5litepod-8", "v5litepod-16"


def groups_asked(script: Script) -> list[str]:
    return [effect.group for effect in script.asked(ef.CreateSlice)]


# ---- demand is placement, tried dry -----------------------------------------------------------


def test_i_53_busy_slices_and_one_job_more_ask_for_one_slice_more() -> None:
    script = fleet(cpu_group(min_slices=3, max_slices=8))
    for number in range(3):
        script.running(script.submit(f"busy-{number}", cpu=4))
    assert not script.effects
    script.submit("more", cpu=4)
    assert len(groups_asked(script)) == 1


def test_i_53_cpu_work_finds_its_group() -> None:
    script = cluster(tpu_group(), cpu_group())
    script.submit()
    assert groups_asked(script) == ["cpu"]


def test_i_54_small_tasks_share_slices_and_no_accelerator_is_bought_for_them() -> None:
    script = cluster(tpu_group(priority=1), gpu_group(), cpu_group(cores=16, max_slices=20))
    script.submit(replicas=100)
    assert groups_asked(script) == ["cpu"] * 7


def test_i_54_cpu_work_that_only_an_accelerator_host_could_hold_buys_none() -> None:
    script = cluster(tpu_group(), cpu_group(cores=4))
    job = script.submit(cpu=8)
    assert groups_asked(script) == []
    assert script.task(job).state is TaskState.PENDING


def test_what_is_coming_is_not_asked_for_again() -> None:
    script = cluster(cpu_group(max_slices=20))
    script.submit("first", replicas=6)
    assert len(groups_asked(script)) == 2
    script.submit("second", replicas=2)
    assert groups_asked(script) == []
    script.submit("third")
    assert len(groups_asked(script)) == 1


def test_a_slice_asked_for_in_this_pass_serves_the_next_shape_of_the_pass() -> None:
    script = cluster(cpu_group(cores=8, max_slices=20))
    script.step(ev.ControllerRestarted())
    script.submit("one", cpu=5)
    script.submit("two", cpu=3)
    script.submit("three", cpu=6)
    script.listing()
    assert len(groups_asked(script)) == 2


def test_the_fullest_coming_host_that_fits_is_filled_first() -> None:
    script = cluster(cpu_group(cores=8, max_slices=20))
    script.step(ev.ControllerRestarted())
    for name, cpu in (("five", 5), ("six", 6), ("one", 1), ("three", 3), ("two", 1)):
        script.submit(name, cpu=cpu)
    script.listing()
    assert len(groups_asked(script)) == 2


def test_a_slice_that_one_shape_takes_whole_does_not_serve_the_next() -> None:
    script = cluster(cpu_group("one", priority=1, max_slices=9), cpu_group("two", priority=2))
    script.step(ev.ControllerRestarted())
    script.submit("wide", cpu=4, replicas=2)
    script.submit("narrow", cpu=3)
    script.listing()
    assert groups_asked(script) == ["one"] * 3


def test_gangs_and_single_tasks_are_counted_by_whole_slices_and_by_hosts() -> None:
    script = cluster(tpu_group("pods", type=LARGE), gpu_group(gpus=8))
    script.submit("gangs-1", tpu=LARGE, replicas=2, gang=True)
    script.submit("gangs-2", tpu=LARGE, replicas=2, gang=True)
    assert len(script.coming("pods")) == 2
    script.submit("gpus", gpus=3, replicas=5)
    assert groups_asked(script) == ["gpu"] * 3


def test_small_amounts_fill_what_wide_ones_left_of_coming_hosts() -> None:
    script = cluster(cpu_group(cores=8, hosts=2, max_slices=9))
    script.submit("wide", cpu=6, replicas=3)
    assert len(script.coming("cpu")) == 2
    script.submit("small", cpu=2, replicas=7)
    assert groups_asked(script) == []
    script.submit("last", cpu=2)
    assert len(groups_asked(script)) == 1


def test_work_that_fits_nowhere_now_is_served_by_the_group_that_can_hold_it() -> None:
    zone = Constraint("zone", ConstraintOp.IN, ("us-b",))
    script = cluster(cpu_group(zones=("us-a", "us-b")))
    script.submit(constraints=(zone,))
    assert script.the(ef.CreateSlice).zone == "us-b"


def test_groups_are_tried_by_priority_then_price_then_preference() -> None:
    cheap = cpu_group("cheap", priority=2, price_per_hour=1, max_slices=1)
    dear = cpu_group("dear", priority=2, price_per_hour=9, max_slices=1)
    first = cpu_group("first", priority=1, price_per_hour=99, max_slices=1)
    script = cluster(dear, cheap, first)
    script.submit(cpu=4, replicas=3)
    assert groups_asked(script) == ["first", "cheap", "dear"]


def test_a_slice_comes_and_goes_and_the_demand_is_met_again() -> None:
    script = cluster(cpu_group(max_slices=1))
    job = script.submit(cpu=4)
    script.ready("cpu")
    script.running(job).advance(HOUR)
    script.preempted(SliceId("iris-cpu-1"))
    assert groups_asked(script) == []
    script.deleted(SliceId("iris-cpu-1"))
    assert groups_asked(script) == ["cpu"]


def test_i_51_demand_that_waits_for_a_gate_is_looked_at_when_it_opens_without_any_fact() -> None:
    script = cluster(cpu_group())
    script.submit()
    script.refused(script.coming("cpu")[0], ev.CreateFailure.STOCKOUT)
    assert script.controller.next_deadline() == script.now + MINUTE
    assert groups_asked(script.advance(MINUTE, answer=False)) == ["cpu"]


def test_i_61_everything_a_pass_needs_is_asked_for_in_that_pass() -> None:
    script = cluster(cpu_group(max_slices=30), tpu_group(max_slices=30))
    script.step(ev.ControllerRestarted())
    for number in range(10):
        script.submit(f"gang-{number}", tpu=LARGE, replicas=2, gang=True)
        script.submit(f"job-{number}", cpu=4)
    script.listing()
    assert sorted(groups_asked(script)) == ["cpu"] * 10 + ["tpu"] * 10


# ---- limits -----------------------------------------------------------------------------------


def test_i_62_max_slices_counts_every_slice_that_may_exist() -> None:
    script = cluster(cpu_group(max_slices=3))
    script.submit(cpu=4, replicas=9)
    assert len(groups_asked(script)) == 3
    script.step(ev.SliceAccepted(SliceId("iris-cpu-1"))).ready("iris-cpu-2")
    script.preempted(SliceId("iris-cpu-1"))
    script.advance(30 * MINUTE, answer=False)
    assert not script.decided(de.SliceRequest)
    script.deleted(SliceId("iris-cpu-1"))
    assert script.the(de.SliceRequest).slice == "iris-cpu-4"


def test_i_46_sizes_that_draw_on_one_reservation_share_its_chips() -> None:
    small = tpu_group("small", type=SMALL, hosts=1, reservation="pool", max_slices=9)
    large = tpu_group("large", type=LARGE, hosts=2, reservation="pool", max_slices=9)
    script = cluster(small, large, reservations=[("pool", 22)])
    script.submit("large", tpu=LARGE, replicas=2, gang=True)
    script.submit("small", tpu=SMALL, replicas=9)
    assert groups_asked(script) == ["small"] * 3
    script.submit("more", tpu=LARGE, replicas=2, gang=True)
    assert groups_asked(script) == []


def test_a_reservation_that_nobody_configured_holds_nothing() -> None:
    script = cluster(replace(gpu_group(gpus=1), reservation="unknown"))
    script.submit(gpus=1)
    assert groups_asked(script) == []


# ---- operators --------------------------------------------------------------------------------


def create(script: Script, group: str, keep: int = HOUR) -> Script:
    request = RequestId("by-hand")
    return script.step(ev.SliceCreateRequested(request, GroupName(group), type(HOUR)(keep)))


def test_an_operator_gets_a_slice_beyond_the_demand_and_it_is_kept_for_as_long_as_asked() -> None:
    script = cluster(cpu_group())
    create(script, "cpu")
    assert script.the(ef.Reply).answer == ef.Accepted(slice=SliceId("iris-cpu-1"))
    request = script.the(de.SliceRequest)
    assert (request.keep_until, request.why) == (script.now + HOUR, "an operator asked for it")
    script.ready("cpu")
    assert not script.advance(HOUR - 1).decided(de.SliceDrain)
    assert script.advance(1).the(de.SliceDrain).slice == "iris-cpu-1"


def test_an_operator_who_names_an_unknown_group_is_told_the_known_ones() -> None:
    why = "group gpu is not configured; there are: cpu, tpu"
    assert create(cluster(tpu_group(), cpu_group()), "gpu").the(ef.Reply).answer == ef.Rejected(
        why, ef.Refusal.UNKNOWN
    )
    none = create(cluster(), "gpu").the(ef.Reply).answer
    assert none == ef.Rejected("group gpu is not configured; there are: none", ef.Refusal.UNKNOWN)


def test_an_operator_cannot_go_over_the_maximum_or_through_a_closed_gate() -> None:
    script = cluster(cpu_group(max_slices=1))
    why = "group cpu is at max_slices, or the cloud has refused it lately"
    create(script, "cpu")
    assert create(script, "cpu").the(ef.Reply).answer == ef.Rejected(why, ef.Refusal.CONFLICT)
    script.refused(SliceId("iris-cpu-1"), ev.CreateFailure.STOCKOUT).deleted(SliceId("iris-cpu-1"))
    assert create(script, "cpu").the(ef.Reply).answer == ef.Rejected(why, ef.Refusal.CONFLICT)


def test_each_of_the_operators_who_ask_in_one_turn_has_an_answer_of_their_own() -> None:
    script = cluster(cpu_group("full", max_slices=1), cpu_group())
    create(script, "full")
    script.step(
        ev.SliceCreateRequested(RequestId("a"), GroupName("unknown"), HOUR),
        ev.SliceCreateRequested(RequestId("b"), GroupName("full"), HOUR),
        ev.SliceCreateRequested(RequestId("c"), GroupName("cpu"), HOUR),
    )
    answers = [
        (reply.request, isinstance(reply.answer, ef.Accepted)) for reply in script.asked(ef.Reply)
    ]
    assert answers == [("a", False), ("b", False), ("c", True)]


def test_two_slices_that_two_operators_ask_for_in_one_turn_have_two_names() -> None:
    script = cluster(cpu_group())
    keep = HOUR
    script.step(
        ev.SliceCreateRequested(RequestId("a"), GroupName("cpu"), keep),
        ev.SliceCreateRequested(RequestId("b"), GroupName("cpu"), keep),
    )
    names = [effect.slice for effect in script.asked(ef.CreateSlice)]
    assert names == ["iris-cpu-1", "iris-cpu-2"]


@pytest.mark.parametrize("window", [1, 3])
def test_no_more_of_a_zone_may_be_coming_than_its_window(window: int) -> None:
    policy = AutoscalerPolicy(initial_window=window)
    script = cluster(cpu_group(max_slices=9), autoscaler=policy)
    script.submit(cpu=4, replicas=9)
    assert len(groups_asked(script)) == window
    assert groups_asked(script.advance(SECOND)) == []
    script.ready("cpu")
    assert len(groups_asked(script)) == window
    assert len(script.slices_in(SliceState.READY)) == window
