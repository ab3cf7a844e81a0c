"""`fidelity: protocol`: the same answers where nothing goes wrong, and whole where everything does."""

import functools
from pathlib import Path

import pytest

from iris.core.retry import EndCause
from iris.problems import BadInput
from sim.containers import ProtocolFleet
from sim.measure import Measures
from sim.model import Scenario
from sim.protocol_world import ProtocolWorld
from sim.run import finish, simulate, world_of
from sim.scenario import scenario_of

KIND = """\
seed: 3
cluster:
  scale_groups:
    cpu: {accelerator_type: cpu, vm: {cpu: 4, memory: 8GB}, max_slices: 3}
    pod: {accelerator_type: v5litepod-16, max_slices: 2}
cloud: {boot: {lognormal: {median: 1m, sigma: 0.5}}}
workload:
  - name: step
    arrivals: {every: 3m}
    count: 12
    replicas: 2
    resources: {cpu: 2, memory: 1GB}
    run_time: {lognormal: {median: 5m, sigma: 0.5}}
    failures: {probability: 0.2}
    max_retries_failure: 2
  - name: train
    arrivals: {every: 10m}
    count: 5
    replicas: 4
    coscheduled: true
    resources: {tpu: v5litepod-16, memory: 1GB}
    run_time: {constant: 20m}
"""
UNKIND = """\
network:
  delay: {uniform: {min: 1ms, max: 2s}}
  loss: 0.1
  repeat: 0.2
  late: {probability: 0.1, span: {uniform: {min: 1s, max: 2m}}}
  cuts: {every: {exponential: {mean: 15m}}, lasts: {exponential: {mean: 1m}}}
  one_way: 0.3
  half_open: 0.5
runtime:
  refused: 0.1
  wedged: 0.05
  slow: {probability: 0.2, span: 1m}
  stop: {lognormal: {median: 2s, sigma: 1}}
  deaf: 0.3
  unkillable: {probability: 0.2, span: 30s}
  agent_deaths: {every: {exponential: {mean: 20m}}, lasts: 10s}
controller:
  crashes: {every: {exponential: {mean: 10m}}, lasts: 20s}
  between: 0.5
  stalls: {every: {exponential: {mean: 20m}}, lasts: 30s}
calm_after: 2h
duration: 16h
"""


def scenario(text: str, fidelity: str = "protocol", seed: int | None = None) -> Scenario:
    return scenario_of(f"{text}fidelity: {fidelity}\n", Path("world.yaml"), seed=seed)


def answers(measures: Measures) -> list[tuple[object, ...]]:
    return [(j.job, j.first_running, j.end, j.state, j.attempts) for j in measures.jobs.values()]


@functools.cache
def unkind(seed: int) -> tuple[ProtocolWorld, Measures]:
    world = world_of(scenario(KIND + UNKIND, seed=seed))
    assert isinstance(world, ProtocolWorld)
    return world, finish(world)


def test_both_fidelities_give_the_same_answers_where_nothing_goes_wrong() -> None:
    near, far = simulate(scenario(KIND)), simulate(scenario(KIND, "capacity"))
    assert answers(near) == answers(far)
    assert near.invariants_violated == far.invariants_violated == 0


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_violated_and_everything_ends_where_everything_goes_wrong(seed: int) -> None:
    world, measures = unkind(seed)
    assert measures.violations == []
    assert all(job.end is not None for job in measures.jobs.values())
    census = world.census()
    for reached in ("ControllerRestarted", "ControllerStalled", "WorkerSilent", "message fault"):
        assert census[reached], reached
    assert world.faults_injected() > 20


def test_a_seed_is_the_same_again_and_another_is_another() -> None:
    first, other = (unkind(seed)[1].digest for seed in (0, 1))
    again = unkind.__wrapped__(0)[1].digest
    assert first == again
    assert first != other


def test_what_is_lost_of_the_truth_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkers look at the world's record, not at what the controller believes of it."""
    note = ProtocolFleet._note_end

    def lie(self: ProtocolFleet, site: object, key: object, cause: EndCause | None) -> None:
        said = EndCause.EXIT_NONZERO if cause is EndCause.EXIT_ZERO else cause
        note(self, site, key, cause)  # type: ignore[arg-type]
        next(c for c in self.truth if (c.task, c.attempt) == key).cause = said

    monkeypatch.setattr(ProtocolFleet, "_note_end", lie)
    violations = simulate(scenario(KIND)).violations
    assert any("called succeeded, and its container never exited with 0" in v for v in violations)


def test_what_only_the_protocol_knows_is_refused_without_it() -> None:
    with pytest.raises(BadInput) as refused:
        scenario(KIND + "network: {loss: 0.1}\ncalm_after: 1h\n", "capacity")
    told = str(refused.value)
    assert "`network` needs `fidelity: protocol`" in told
    assert "`calm_after` needs `fidelity: protocol`" in told
