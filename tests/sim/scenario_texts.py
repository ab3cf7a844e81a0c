"""Scenarios as text: the one of the design page, and a small one to bend."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from iris.problems import Problem
from iris.yaml_source import BadInput
from sim.model import Scenario
from sim.scenario import load_scenario

DESIGN = """\
name: preemption
seed: 7
duration: 3d                     # stop here; or earlier, when all jobs have ended
cluster:
  scale_groups:
    tpu_v5e_16:
      accelerator_type: v5litepod-16
      min_slices: 0
      max_slices: 8
      preemptible: true
      zones: [us-central1-a, us-central1-b]
      price_per_hour: 9.6        # of one slice
    cpu:
      accelerator_type: cpu
      vm: {cpu: 16, memory: 64GB}
      max_slices: 4
  autoscaler: {idle_timeout: 10m}
cloud:                           # how the fake VmManager behaves
  boot: {lognormal: {median: 150s, sigma: 0.5}}
  lifetime: {exponential: {mean: 6h}}       # until preempted; `max: 24h` caps it
  bulk: {mean: 2.1, max: 6}                 # how many slices of a zone go at once
  notice: 30s
  capacity:                                 # slices obtainable over time; without it, unlimited
    us-central1-a: [[0s, 4], [20h, 1], [30h, 4]]
    us-central1-b: {trace: ../data/zone_b.csv, scale: 0.1}    # columns t_s,capacity
  create_failures: {stockout: 0.0, internal: 0.01}
workload:
  - name: train
    user: alice
    band: interactive
    arrivals: {poisson: {rate: 2/h}}        # or {every: 10m}, or {at: [0s, 5m]}
    count: 40
    replicas: 4
    coscheduled: true
    resources: {cpu: 8, memory: 32GB, tpu: v5litepod-16}
    run_time: {lognormal: {median: 3h, sigma: 0.8}}
    checkpoint: {every: 10m, restore: 2m}
  - name: etl
    band: batch
    trace: {file: jobs.swf, format: swf}
faults:                                     # a script on top of the random behaviour
  - {at: 10h, kind: zone_outage, zone: us-central1-a, for: 30m}
  - {at: 12h, kind: kill_worker, slice: any}
expect:                                     # makes the scenario a test
  - jobs.succeeded == jobs.submitted
  - queue_wait_s.p95 < 7200
  - work.goodput_fraction > 0.85
"""

SMALL = """\
cluster:
  scale_groups:
    tpu: {accelerator_type: v5litepod-16, max_slices: 2, zones: [zone-a, zone-b]}
    gpu: {accelerator_type: "V100:8", max_slices: 2, zones: [zone-a]}
    cpu: {accelerator_type: cpu, max_slices: 4, zones: [zone-a]}
workload:
  - {name: train, arrivals: {every: 10m}, count: 3, run_time: 1h}
"""


class Desk:
    """A folder to write scenarios into, and what loading them says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "scenarios").mkdir()
        (folder / "data").mkdir()

    def put(self, name: str, text: str) -> Path:
        """Writes a file below the folder of scenarios."""
        path = self.folder / "scenarios" / name
        path.write_text(text, encoding="utf-8")
        return path

    def load(self, text: str = SMALL, *overrides: str, seed: int | None = None) -> Scenario:
        """The scenario that the text is."""
        return load_scenario(self.put("s.yaml", text), seed=seed, overrides=overrides)

    def small(self, **sections: object) -> Scenario:
        """The small scenario with sections put in or replaced."""
        return self.load(bent(**sections))

    def refused(self, text: str, *overrides: str) -> Sequence[Problem]:
        """The problems of a scenario that must not load."""
        with pytest.raises(BadInput) as refusal:
            self.load(text, *overrides)
        return refusal.value.problems

    def refused_small(self, **sections: object) -> Problem:
        """The only problem of the small scenario, bent."""
        (problem,) = self.refused(bent(**sections))
        return problem


def bent(**sections: object) -> str:
    """The small scenario's text with sections put in or replaced; None takes one out."""
    data = {**yaml.safe_load(SMALL), **sections}
    return yaml.safe_dump(
        {key: value for key, value in data.items() if value is not None}, sort_keys=False
    )


def entry(**keys: object) -> list[object]:
    """A workload of one entry with keys put in or replaced; None takes one out."""
    plain = {"name": "train", "arrivals": {"every": "10m"}, "count": 3, "run_time": "1h"}
    return [{key: value for key, value in {**plain, **keys}.items() if value is not None}]
