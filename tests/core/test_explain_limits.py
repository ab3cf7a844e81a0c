"""Why no slice is asked for: each limit by its name, in numbers, with the time at which it ends."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings

from iris.core import decisions as de
from iris.core import events as ev
from iris.core.autoscaler import plan_capacity
from iris.core.blockers import limits_of
from iris.core.ids import GroupName, JobId, RequestId, SliceId, Zone
from iris.core.instant import HOUR, MINUTE, Instant, Millis
from iris.core.reasons import Verdict
from iris.core.scaling import why_not_scaling
from iris.core.spec import AutoscalerPolicy
from iris.core.telling import sentences
from tests.core.situations import situations
from tests.core.test_explain import TPU, full, why
from tests.harness import Script, cluster, cpu_group, fleet, tpu_group


def test_a_gate_that_is_shut_is_told_with_the_time_at_which_it_opens() -> None:
    script = cluster(cpu_group(max_slices=2))
    job = script.submit()
    script.refused(script.coming("cpu")[0], ev.CreateFailure.STOCKOUT, "no room")
    reason = why(script, job)
    assert reason.verdict is Verdict.BACKOFF
    (limit,) = reason.pools[0].limits
    assert limit.check == "gate"
    assert "stockout: no room" in limit.detail
    assert reason.next.at == limit.until == script.controller.next_deadline() == Instant(MINUTE)
    assert "in 1 min" in " ".join(sentences(reason))


def test_a_gate_that_is_shut_for_good_has_no_time_and_no_gate_is_waited_for() -> None:
    script = cluster(cpu_group(max_slices=2))
    job = script.submit()
    script.refused(script.coming("cpu")[0], ev.CreateFailure.BAD_REQUEST)
    reason = why(script, job)
    assert reason.verdict is Verdict.FULL
    assert [(x.check, x.until) for x in reason.pools[0].limits] == [("gate", None)]


@pytest.mark.parametrize(
    "check", ["listing", "max_slices", "reservation", "window", "pause", "tokens"]
)
def test_each_limit_is_told_by_its_name(check: str) -> None:
    assert check in {
        x.check for pool in why(at_limit(check), "/alice/x").pools for x in pool.limits
    }


def at_limit(check: str) -> Script:
    """A cluster in which a job waits and one limit stops slices."""
    match check:
        case "listing":
            script = Script().config(cpu_group())
        case "max_slices":
            script = full()
        case "reservation":
            group = tpu_group(hosts=1, reservation="shared")
            script = cluster(group, reservations=[("shared", 0)])
            script.submit("x", tpu=TPU)
            return script
        case "window":
            script = cluster(cpu_group(), autoscaler=AutoscalerPolicy(initial_window=1))
            script.submit("first", cpu=4)
        case "pause":
            script = cluster(cpu_group())
            script.submit("first", cpu=4)
            script.refused(script.coming("cpu")[0], ev.CreateFailure.RATE)
        case _:
            script = cluster(cpu_group(), autoscaler=AutoscalerPolicy(create_burst=1))
            script.submit("first", cpu=4)
    script.submit("x", cpu=4)
    return script


def test_time_alone_lifts_the_latest_of_several_limits() -> None:
    script = at_limit("pause")
    assert why(script, "/alice/x").next.at == Instant(MINUTE)


def test_when_nothing_more_can_be_bought_the_first_certain_end_is_awaited() -> None:
    script = fleet(cpu_group(min_slices=2, max_slices=2))
    script.running(script.submit("open", cpu=4))
    script.running(script.submit("long", cpu=3, timeout=Millis(HOUR)))
    reason = why(script, script.submit("wide", cpu=4))
    assert (reason.verdict, reason.next.at) == (Verdict.GROUP_AT_MAX, Instant(HOUR))
    script.finish(JobId("/alice/long"))
    assert script.job(JobId("/alice/wide")).state.value == "running"


# ---- groups ------------------------------------------------------------------------------------


def test_a_group_says_what_is_wanted_of_it_and_what_stops_it() -> None:
    script = cluster(cpu_group(max_slices=1), tpu_group(hosts=1))
    script.submit("many", cpu=4, replicas=3)
    scaling = why_not_scaling(script.controller.state, GroupName("cpu"))
    assert (scaling.demand, scaling.standing, scaling.coming, scaling.tokens) == (3, 1, 1, 59)
    assert [x.check for _, limits in scaling.limits for x in limits] == ["max_slices"]
    told = " ".join(sentences(scaling))
    assert "1 of max_slices 1 exist" in told
    idle = why_not_scaling(script.controller.state, GroupName("tpu"))
    assert idle.demand == 0
    assert "us-a: nothing stops it." in sentences(idle)


# ---- whatever the situation --------------------------------------------------------------------


@settings(max_examples=25)
@given(situations())
def test_i_135_a_limit_is_told_exactly_when_the_autoscaler_may_not_ask(script: Script) -> None:
    state = script.controller.state
    for pool in state.room.pools.values():
        told = list(limits_of(state, pool))
        asked = asked_for(script, pool.group.name, pool.zone)
        assert bool(told) is not bool(asked), (told, asked)


def asked_for(script: Script, group: GroupName, zone: Zone) -> list[SliceId]:
    """The slice that a twin asks for when an operator wants one in this very zone, if it may."""
    twin = script.controller.clone()
    only = replace(twin.state.groups[group], zones=(zone,))
    everything = tuple(only if g.name == group else g for g in twin.state.spec.groups)
    twin.state.spec = replace(twin.state.spec, groups=everything)
    request = ev.SliceCreateRequested(RequestId("ask"), group, Millis(0))
    twin.state.news.creations.append(request)
    (first,) = itertools.islice(plan_capacity(twin.state), 1)
    return [first.slice] if isinstance(first, de.SliceRequest) else []
