"""What users have had stays what it was, whoever looks and when."""

import asyncio

from iris.core.ids import UserName
from iris.core.instant import HOUR, MINUTE, Millis
from iris.core.retry import EndCause
from iris.dashboard.recent import sample_of
from iris.dashboard.usage import Had, Usage
from tests.harness import ALICE, Script, cluster, cpu_group, tpu_group

DOLLAR = 1_000_000


def had(script: Script, usage: Usage) -> Had:
    return asyncio.run(usage.look(script.controller.state, script.now))[ALICE]


def test_a_cost_stays_when_the_slice_is_forgotten_and_when_its_group_goes() -> None:
    group = cpu_group(cores=4, max_slices=1, price_per_hour=16 * DOLLAR)
    script = cluster(group)
    ended, lost = script.submit("ended", cpu=2), script.submit("lost", cpu=2)
    (slice_,) = script.ready(group.name)
    script.running(ended).running(lost).advance(HOUR)
    script.finish(ended, EndCause.EXIT_ZERO).preempted(slice_)
    usage = Usage()
    before = had(script, usage)
    assert (before.kept, before.lost, before.running) == (2 * HOUR, 2 * HOUR, 0)
    assert before.cost == 16 * DOLLAR * HOUR
    script.advance(2 * script.controller.state.spec.autoscaler.tombstone_age)
    assert slice_ not in script.controller.state.slices
    assert had(script, usage).cost == before.cost
    assert had(script, Usage()).cost == before.cost  # Of one that nobody has asked before.
    script.config(cpu_group("other"))
    assert had(script, usage).cost == before.cost


def test_what_a_job_had_saved_is_kept_though_its_attempt_is_cut_short() -> None:
    script = cluster(cpu_group(cores=4, max_slices=1))
    saves = script.submit("saves", cpu=2, checkpoint_every=Millis(25 * MINUTE))
    (slice_,) = script.ready("cpu")
    script.advance(MINUTE).running(saves).advance(HOUR).preempted(slice_)
    found = had(script, Usage())
    assert (found.kept, found.lost) == (2 * 50 * MINUTE, 2 * 11 * MINUTE)


def test_cpu_work_takes_nothing_of_the_chips_that_its_slice_is_bought_for() -> None:
    script = cluster(tpu_group(price_per_hour=8 * DOLLAR, hosts=2))
    gang = script.submit("gang", gang=True, replicas=2, tpu="v5litepod-16")
    guest = script.submit("guest", user="bob", cpu=2)
    script.ready("tpu")
    script.running(gang).running(guest).advance(HOUR)
    found = asyncio.run(Usage().look(script.controller.state, script.now))
    assert (found[ALICE].cost, found[UserName("bob")].cost) == (8 * DOLLAR * HOUR, 0)
    assert found[UserName("bob")].running == 2 * HOUR


def test_parts_of_cores_are_summed_before_they_are_rounded() -> None:
    script = cluster(cpu_group(cores=1, max_slices=3))
    jobs = [script.submit(name, cpu=0.6) for name in ("a", "b", "c")]
    script.ready("cpu")
    for job in jobs:
        script.running(job)
    seen = sample_of(script.controller.state, script.now)
    assert (seen.busy, seen.idle) == (2, 1)
