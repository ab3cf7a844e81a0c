"""The order of service: band, then the user who used less, then who came first."""

from iris.core import decisions as de
from iris.core import events as ev
from iris.core.ids import JobId, RequestId, UserName
from iris.core.instant import HOUR, Millis
from iris.core.lifecycle import JobState
from iris.core.order import queues_in_order
from iris.core.resources import Resources
from iris.core.spec import Band, JobSpec, Order, SchedulerPolicy
from tests.harness import GIB, Script, cpu_group, fleet

FIFO = SchedulerPolicy(order=Order.FIFO)
FAIR = SchedulerPolicy(order=Order.FAIR)


def spec(user: str, name: str, *, band: Band = Band.INTERACTIVE, replicas: int = 1) -> JobSpec:
    need = Resources(cpu=1_000, memory=GIB)
    return JobSpec(UserName(user), name, band=band, replicas=replicas, resources=need)


def full(policy: SchedulerPolicy, *, cores: int = 1) -> Script:
    """A cluster of one machine that carol fills."""
    script = fleet(cpu_group(cores=cores, min_slices=1, max_slices=1), scheduler=policy)
    script.running(script.submit("fill", user="carol", cpu=cores, band=Band.PRODUCTION))
    return script


def submitted_at_once(script: Script, *specs: JobSpec) -> None:
    script.step(*(ev.JobSubmitted(RequestId(f"{s.user}-{s.name}"), s) for s in specs))


def started(script: Script) -> list[JobId]:
    return [placement.job for placement in script.decided(de.Placement)]


def test_i_11_a_more_urgent_band_is_served_first_whenever_it_came() -> None:
    script = full(FIFO)
    for band in (Band.BATCH, Band.INTERACTIVE, Band.PRODUCTION):
        script.submit(band.name.lower(), band=band)
    for expected in ("/alice/production", "/alice/interactive", "/alice/batch"):
        job = next(
            j.id for j in script.controller.state.jobs.values() if j.state is JobState.RUNNING
        )
        script.advance(1).finish(job)
        assert started(script) == [expected]


def test_i_11_capacity_is_bought_in_the_same_order() -> None:
    script = full(FIFO)
    submitted_at_once(
        script, spec("alice", "b", band=Band.BATCH), spec("bob", "p", band=Band.PRODUCTION)
    )
    assert [key.band for key in queues_in_order(script.controller.state)] == [0, 2]


def test_first_come_is_first_served_among_all_users_when_the_order_is_fifo() -> None:
    script = full(FIFO, cores=4)
    submitted_at_once(script, spec("alice", "one", replicas=3), spec("bob", "two", replicas=3))
    script.finish(JobId("/carol/fill"))
    assert started(script) == ["/alice/one"] * 3 + ["/bob/two"]


def test_within_one_turn_users_take_turns_when_the_order_is_fair() -> None:
    script = full(FAIR, cores=4)
    submitted_at_once(script, spec("alice", "one", replicas=3), spec("bob", "two", replicas=3))
    script.finish(JobId("/carol/fill"))
    assert started(script) == ["/alice/one", "/bob/two", "/alice/one", "/bob/two"]


def test_a_user_of_weight_two_is_owed_twice_the_share() -> None:
    policy = SchedulerPolicy(user_weights=((UserName("alice"), 2),))
    script = full(policy, cores=6)
    submitted_at_once(script, spec("alice", "one", replicas=6), spec("bob", "two", replicas=6))
    script.finish(JobId("/carol/fill"))
    assert started(script).count(JobId("/alice/one")) == 4
    assert started(script).count(JobId("/bob/two")) == 2


def test_who_used_the_cluster_before_is_served_after_who_did_not() -> None:
    script = full(FAIR)
    script.submit("early", user="alice")
    script.finish(JobId("/carol/fill"))
    script.running(JobId("/alice/early")).advance(HOUR)
    script.submit("again", user="alice")
    script.submit("late", user="bob")
    script.finish(JobId("/alice/early"))
    assert started(script) == ["/bob/late"]


def test_past_use_counts_half_after_each_half_life() -> None:
    policy = SchedulerPolicy(fair_half_life=Millis(HOUR))
    script = fleet(cpu_group(cores=1, min_slices=1, max_slices=1), scheduler=policy)
    script.running(script.submit("long", user="alice")).advance(HOUR)
    script.finish(JobId("/alice/long"))
    # Ten half-lives later alice's hour counts for less than bob's five minutes.
    script.advance(10 * HOUR)
    script.running(script.submit("short", user="bob")).advance(HOUR // 12)
    script.submit("b", user="bob")
    script.submit("a", user="alice")
    script.finish(JobId("/bob/short"))
    assert started(script) == ["/alice/a"]


def test_i_08_what_a_user_uses_in_one_band_counts_nothing_in_another() -> None:
    script = fleet(cpu_group(cores=2, min_slices=1, max_slices=1), scheduler=FAIR)
    script.running(script.submit("night", user="alice", band=Band.BATCH)).advance(HOUR)
    script.running(script.submit("fill", user="carol", band=Band.PRODUCTION))
    script.submit("one", user="alice", band=Band.PRODUCTION, cpu=2)
    script.submit("two", user="bob", band=Band.PRODUCTION, cpu=2)
    state = script.controller.state
    assert [key.user for key in queues_in_order(state)] == ["alice", "bob"]
