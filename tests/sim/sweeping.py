"""A scenario of a sweep that reads files, and units that end soon or never."""

from pathlib import Path

from sim.packing import Folder
from sim.sweep import Sweep, plan_sweep
from sim.sweep_run import Unit

CLUSTER = """\
auth: {tokens: {alice: not-for-the-eyes-of-a-worker}}
scale_groups:
  cpu: {accelerator_type: cpu, vm: {cpu: 4, memory: 8GB}, max_slices: 3, price_per_hour: 2}
"""
TRACED = """\
seed: 3
cluster: deployed/cluster.yaml
cloud:
  boot: 1m
  capacity: {default: {trace: capacity.csv}}
workload:
  - name: past
    trace: data/jobs.csv
  - name: drip
    arrivals: {poisson: {rate: 30/h}}
    count: 5
    resources: {cpu: 1, memory: 1GB}
    run_time: {exponential: {mean: 10m}}
expect:
  - queue_wait_s.max < 530s
"""
JOBS = "submit_s,duration_s,cpu\n0,600,1\n60,600,2\n120,900,1\n"
SETTINGS = ("scale_groups.cpu.max_slices=1..2", "cloud.boot=2m,0s", "workload.drip.count=4")
SHORT = """\
name: short
cluster: {scale_groups: {cpu: {accelerator_type: cpu, vm: {cpu: 4, memory: 8GB}, max_slices: 1}}}
workload:
  - name: step
    arrivals: {at: [0s]}
    count: 2
    resources: {cpu: 1, memory: 1GB}
    run_time: 1m
"""
ENDLESS = SHORT.replace("{at: [0s]}", "{every: 1m}").replace("count: 2", "count: 1000000000")


def traced(folder: Path) -> Path:
    """The scenario `traced.yaml` in a folder, with all that it reads."""
    for name in ("deployed", "data"):
        (folder / name).mkdir()
    (folder / "deployed" / "cluster.yaml").write_text(CLUSTER)
    (folder / "data" / "jobs.csv").write_text(JOBS)
    (folder / "capacity.csv").write_text("t_s,capacity\n0,2\n3600,1\n")
    (folder / "traced.yaml").write_text(TRACED)
    return folder / "traced.yaml"


def planned(folder: Path, *settings: str, replications: int = 2) -> tuple[Sweep, Folder]:
    """A sweep of `traced`."""
    files = Folder(folder / "files")
    files.path.mkdir()
    path = traced(folder)
    chosen = settings or SETTINGS
    return plan_sweep(path, chosen, seed=None, replications=replications, folder=files), files


def short(seed: int = 0) -> Unit:
    return Unit(SHORT, seed)


def endless() -> Unit:
    return Unit(ENDLESS, 0)
