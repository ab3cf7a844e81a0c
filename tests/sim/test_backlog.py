"""What waits in a run is told in the words of the explanation, often enough, and at little cost."""

from pathlib import Path

from iris.core.explain import why_waiting
from iris.core.instant import MINUTE
from iris.core.lifecycle import JobState
from iris.core.reasons import Verdict
from sim.backlog import Verdicts
from sim.measure import Measures
from sim.run import finish, world_of
from sim.scenario import scenario_of
from tests.sim.example_run import at

TOO_LITTLE = """
name: little
seed: 1
duration: 4h
cluster:
  scale_groups: {cpu: {accelerator_type: cpu, vm: {cpu: 8, memory: 32GB}, max_slices: 1, zones: [a]}}
cloud: {boot: {constant: 5m}}
workload:
  - name: narrow
    arrivals: {at: [0s]}
    count: 6
    resources: {cpu: 5, memory: 1GB}
    run_time: {constant: 1h}
"""


def test_a_run_tells_what_waited_for_what_and_since_when() -> None:
    world = world_of(scenario_of(TOO_LITTLE, Path("little.yaml")))
    measures = finish(world)
    state = world.controller.state
    last = [
        why_waiting(state, name, state.now).verdict for name in state.by_state[JobState.PENDING]
    ]
    assert measures.waits[-1].units == ((last[0], len(last)),)
    assert last == [Verdict.GROUP_AT_MAX] * 2
    told = [(look.at, dict(look.units)) for look in measures.waits]
    assert told[1][1] == {Verdict.WAITING_FOR_SLICES: 6}
    assert [units for _, units in told[2:]] == [{Verdict.GROUP_AT_MAX: n} for n in (5, 4, 3, 2)]
    begins = [job.first_running for job in measures.jobs.values() if job.first_running is not None]
    for (seen, _), begin in zip(told[2:], begins, strict=True):
        assert 0 <= seen - begin < 10 * MINUTE


def test_looks_are_paid_for_by_turns_and_by_time() -> None:
    states = []
    for text in (TOO_LITTLE, TOO_LITTLE.replace("4h", "2h")):  # So that each look finds a change.
        world = world_of(scenario_of(text, Path("little.yaml")))
        finish(world)
        states.append(world.controller.state)
    measures = Measures(scenario="little", seed=0)
    verdicts = Verdicts(measures)
    for sample in range(100):
        verdicts.look(states[sample % 2], at(sample), turns=3)
    assert len(measures.waits) == 1, "where there was no turn there is nothing new"
    for sample in range(100, 1_000):
        verdicts.look(states[sample % 2], at(sample), turns=sample)
    assert 30 < len(measures.waits) < 90
