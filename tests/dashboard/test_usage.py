"""What users have had stays what it was, whoever looks and when."""

import asyncio

from iris.core.instant import HOUR
from iris.core.retry import EndCause
from iris.dashboard.usage import Had, Usage
from tests.harness import ALICE, Script, cluster, cpu_group

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
