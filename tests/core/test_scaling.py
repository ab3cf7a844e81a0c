"""What is decided about groups: each rule by its name, also that nothing was done, folded when it repeats."""

from dataclasses import replace

import pytest
from hypothesis import given, settings

from iris.core import decisions as de
from iris.core import events as ev
from iris.core.autoscaler import plan_capacity
from iris.core.ids import GroupName, SliceId
from iris.core.instant import MINUTE
from iris.core.rules import Action, Rule, Scaling
from iris.core.scaling import scalings, why_not_scaling
from iris.core.spans import SPANS_KEPT, ScalingSpans
from iris.core.spec import AutoscalerPolicy
from iris.core.telling import headline, sentences
from tests.core.situations import situations
from tests.core.test_explain import TPU
from tests.core.test_explain_limits import at_limit
from tests.harness import Script, cluster, cpu_group, fleet, tpu_group


def told(script: Script, group: str = "cpu") -> Scaling:
    """What is decided about a group; asking leaves no trace."""
    state = script.controller.state
    before = state.digest(), state.books.evaluations
    scaling = why_not_scaling(state, GroupName(group))
    assert (state.digest(), state.books.evaluations) == before
    return scaling


@pytest.mark.parametrize(
    ("check", "rule", "said"),
    [
        ("listing", Rule.NOT_LISTED, "held: the cloud was not listed yet"),
        ("max_slices", Rule.AT_MAX, "held: at max_slices, 1 of 1"),
        ("reservation", Rule.RESERVATION, "held: its reservation is used up"),
        ("window", Rule.WINDOW, "held: as many are coming as may at once, 1"),
        ("pause", Rule.RATE, "held: creates are rationed, over in 1 min"),
        ("tokens", Rule.RATE, "held: creates are rationed, over in 1 s"),
    ],
)
def test_what_keeps_a_group_from_growing_is_the_rule(check: str, rule: Rule, said: str) -> None:
    script = at_limit(check)
    script.submit("more", cpu=4, replicas=2, tpu=TPU if check == "reservation" else None)
    scaling = told(script, "tpu" if check == "reservation" else "cpu")
    assert (scaling.rule, scaling.action, headline(scaling)) == (rule, Action.HOLD, said)
    assert scaling.unmet > 0


@pytest.mark.parametrize(
    ("reason", "rule", "said"),
    [
        (ev.CreateFailure.STOCKOUT, Rule.BACKOFF, "held: the cloud refused lately, over in 1 min"),
        (ev.CreateFailure.QUOTA_ZONE, Rule.QUOTA, "held: a quota is used up, over in 5 min"),
        (ev.CreateFailure.BAD_REQUEST, Rule.BACKOFF, "held: the cloud refused lately"),
    ],
)
def test_a_refusal_is_told_with_its_end(reason: ev.CreateFailure, rule: Rule, said: str) -> None:
    script = cluster(cpu_group(max_slices=2))
    script.submit()
    script.refused(script.coming("cpu")[0], reason)
    scaling = told(script)
    assert (scaling.rule, headline(scaling)) == (rule, said)


def test_a_group_that_needs_nothing_says_so_and_when_it_gives_back() -> None:
    script = cluster(cpu_group(max_slices=3))
    assert (told(script).rule, told(script).action) == (Rule.NO_DEMAND, Action.NOTHING)
    job = script.submit(replicas=2, cpu=4)
    served = told(script)
    assert (served.rule, served.demand, served.unmet, served.jobs) == (Rule.SERVED, 2, 0, (job,))
    script.ready("cpu")
    assert told(script).rule is Rule.NO_DEMAND
    script.running(job).finish(job)
    idle = told(script)
    assert (idle.rule, idle.idle, idle.usable) == (Rule.IDLE, 2, 2)
    assert idle.until == script.now + AutoscalerPolicy().idle_timeout
    assert headline(idle) == (
        "does nothing: 2 idle, kept a while before they are given back, over in 10 min"
    )


def test_floors_and_buffers_that_cannot_be_filled_are_wanted_in_vain() -> None:
    script = cluster(cpu_group(max_slices=3, min_slices=1))
    script.refused(script.coming("cpu")[0], ev.CreateFailure.STOCKOUT)
    assert told(script).rule is Rule.BACKOFF
    script = fleet(cpu_group(max_slices=1, buffer_slices=2))
    assert (told(script).rule, told(script).demand) == (Rule.AT_MAX, 0)
    assert told(fleet(cpu_group(max_slices=2, buffer_slices=2))).rule is Rule.NO_DEMAND


def test_of_two_zones_the_one_that_opens_first_ends_the_wait() -> None:
    group = cpu_group(max_slices=4, zones=("us-a", "us-b"))
    script = cluster(group)
    script.submit("x", replicas=2, cpu=4)
    first, second = script.coming("cpu")
    script.refused(first, ev.CreateFailure.STOCKOUT)
    script.advance(20_000)
    script.refused(second, ev.CreateFailure.STOCKOUT)
    for name in script.coming("cpu"):
        script.refused(name, ev.CreateFailure.STOCKOUT)
    assert told(script).until == script.controller.next_deadline()


def test_what_is_about_to_be_asked_for_is_told_before_the_turn_that_asks() -> None:
    script = cluster(cpu_group(), autoscaler=AutoscalerPolicy(create_burst=1))
    script.submit("x", replicas=2, cpu=4)
    twin = script.controller.clone()
    twin.state.now = script.controller.next_deadline() or script.now
    scaling = why_not_scaling(twin.state, GroupName("cpu"))
    assert (scaling.rule, scaling.action, scaling.wanted) == (Rule.DEMAND, Action.ASK, 1)
    assert headline(scaling) == "asks for 1 more"


def test_a_groups_sentences_say_its_numbers_and_what_stops_each_zone() -> None:
    script = cluster(cpu_group(max_slices=1))
    script.submit("many", cpu=4, replicas=3)
    assert sentences(told(script)) == (
        "cpu held: at max_slices, 1 of 1.",
        "It has 1 slice, 0 usable, 0 idle, 1 coming (min 0, max 1, buffer 0).",
        "3 units of waiting work would be served by more, 2 of which nothing on its way serves.",
        "The project may make 59 creates at once.",
        "us-a: 1 of max_slices 1 exist.",
    )


# ---- folded ------------------------------------------------------------------------------------


def test_a_decision_that_repeats_is_one_entry_with_its_turns() -> None:
    script = cluster(cpu_group(max_slices=1), tpu_group())
    spans, cpu = ScalingSpans(), GroupName("cpu")
    spans.look(script.controller.state, 1)
    script.submit("many", cpu=4, replicas=3)
    began = script.now
    spans.look(script.controller.state, 2)
    script.advance(MINUTE)
    spans.look(script.controller.state, 12)
    spans.look(script.controller.state, 12)  # Nothing happened: nothing is counted.
    idle, held = spans.spans(cpu)
    assert (idle.rule, idle.turns) == (Rule.NO_DEMAND, 1)
    assert (held.rule, held.turns, held.since, held.until) == (
        Rule.AT_MAX, 11, began, script.now,
    )  # fmt: skip
    assert held.headline == "held: at max_slices, 1 of 1"
    script.config(tpu_group())
    spans.look(script.controller.state, 13)
    assert spans.spans(cpu) == ()
    assert len(spans.spans(GroupName("tpu"))) == 1


def test_old_entries_are_let_go() -> None:
    spans = ScalingSpans()
    for number in range(SPANS_KEPT + 3):
        script = cluster(cpu_group(max_slices=1))
        if number % 2:
            script.submit("many", cpu=4, replicas=3)
        spans.look(script.controller.state, number)
    assert len(spans.spans(GroupName("cpu"))) == SPANS_KEPT


# ---- whatever the situation --------------------------------------------------------------------


@settings(max_examples=25)
@given(situations())
def test_a_group_that_is_held_would_ask_if_nothing_limited_it(
    script: Script,
) -> None:
    state = script.controller.state
    for scaling in scalings(state):
        assert scaling.rule is not Rule.DEMAND  # Between two turns nothing is left to be asked for.
        if scaling.unmet:
            assert scaling.action is Action.HOLD
            assert all(limits for _, limits in scaling.limits)
            assert asks_without_limits(script, scaling.group)


def asks_without_limits(script: Script, group: GroupName) -> list[SliceId]:
    """The slices that a twin asks of a group, once nothing limits it any more."""
    twin = script.controller.clone().state
    groups = [replace(g, max_slices=1_000) if g.name == group else g for g in twin.spec.groups]
    policy = replace(twin.spec.autoscaler, create_burst=1_000, initial_window=1_000)
    twin.spec = replace(twin.spec, groups=tuple(groups), autoscaler=policy)
    twin.gates.clear()
    twin.books.tokens = 1_000 * 60_000
    twin.books.creates_paused_until = None
    twin.books.listed = True
    twin.rebuild()
    decisions = list(zip(range(50), plan_capacity(twin), strict=False))
    return [d.slice for _, d in decisions if isinstance(d, de.SliceRequest) and d.group == group]


def test_jobs_that_a_group_is_wanted_for_are_named() -> None:
    script = cluster(cpu_group(max_slices=0))
    jobs = [script.submit(f"job-{n}", cpu=1 + n % 4, user=f"u{n}") for n in range(7)]
    assert told(script).jobs == tuple(jobs[:5])
    assert told(script).demand == 7
