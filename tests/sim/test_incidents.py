"""Failures that others had, as worlds: what a blip of the network may cost, by the world's own truth."""

from iris.core.lifecycle import AttemptState
from sim.run import simulate
from tests.sim.test_protocol import answers, scenario

BUSY = """\
seed: 5
cluster:
  scale_groups:
    cpu: {accelerator_type: cpu, vm: {cpu: 4, memory: 8GB}, min_slices: 2, max_slices: 2}
    pod: {accelerator_type: v5litepod-16, min_slices: 1, max_slices: 1}
cloud: {boot: 1m}
workload:
  - name: step
    arrivals: {every: 5m}
    count: 12
    resources: {cpu: 2, memory: 1GB}
    run_time: 7m
  - name: train
    arrivals: {every: 20m}
    count: 4
    replicas: 4
    coscheduled: true
    resources: {tpu: v5litepod-16, memory: 1GB}
    run_time: 15m
"""
BLIPS = """\
network:
  cuts: {every: {uniform: {min: 2m, max: 4m}}, lasts: {uniform: {min: 1s, max: 25s}}}
  one_way: 0.5
  half_open: 0.5
calm_after: 2h
"""


def test_i_33_blips_shorter_than_the_timeout_leave_books_and_world_as_they_were() -> None:
    with_blips, without = (simulate(scenario(BUSY + more)) for more in (BLIPS, ""))
    assert answers(with_blips) != answers(without)  # They did delay what was learned.
    # What the books say of each container is what the world saw of it, and each task ran once.
    assert with_blips.violations == []
    assert {a.outcome for a in with_blips.attempts} == {AttemptState.SUCCEEDED}
    assert {a.attempt for a in with_blips.attempts} == {0}
    assert len(with_blips.attempts) == len(without.attempts) == 12 + 4 * 4
