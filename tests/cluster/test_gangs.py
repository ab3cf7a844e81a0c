"""Gangs that train: what JAX and PyTorch read of their surroundings, and a training that is preempted twice."""

import http.server
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from iris.client import IrisClient, Job
from iris.cluster.types import Entrypoint, EnvironmentSpec, ResourceSpec
from iris.cluster.worker.gang import gang_variables
from iris.cluster.worker.ports import NoPort, Ports
from iris.rpc import iris_pb2 as pb
from tests.cluster.running import RunningCluster, running, until
from tests.tidy.tree import ROOT

EXAMPLES: Final = ROOT / "docs" / "examples"
STEPS: Final = 40
HOSTS: Final = ["10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.7"]

needs_jax = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="needs JAX: pip install -e '.[test]'"
)


def member(rank: int, accelerator: str = "", chips: int = 0, own: str = "A") -> dict[str, str]:
    """What a member of a gang of four finds, beside a variable that its job sets."""
    spec = pb.JobSpec(
        coscheduled=True,
        replicas=4,
        accelerator=accelerator or None,
        resources=pb.Resources(chips=chips),
        environment=[pb.Variable(name=own, value="1")],
    )
    wanted = pb.Wanted(rank=rank, spec=spec, coordinator="10.0.0.4:20017", hosts=HOSTS)
    return gang_variables(wanted)


# ---- variables -------------------------------------------------------------------------------------

WHERE = """
import json, sys, types
from jax._src import config, distributed

class Silent:
    def __getattr__(self, name):
        return lambda *_, **__: self

met = []
def meet(address, rank, **_):
    met.extend([address, rank])
    return Silent()

distributed._jax = types.SimpleNamespace(
    get_distributed_runtime_client=meet,
    get_distributed_runtime_service=lambda *_, **__: Silent(),
    create_preemption_sync_manager=Silent,
)
import jax
jax.distributed.initialize()
devices = config.config.values["jax_cuda_visible_devices"]
print(json.dumps([*met, distributed.global_state.num_processes, devices]))
"""
"""Where JAX would go if it were asked to initialize without an argument; only the connection is left out."""


def met_by(variables: dict[str, str]) -> list[Any]:
    """Address, rank, number of processes, and the GPUs that JAX would use."""
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", **variables}
    done = subprocess.run(
        [sys.executable, "-c", WHERE], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found


@needs_jax
def test_jax_finds_its_gang_without_arguments_and_all_of_its_gpus() -> None:
    found = met_by(member(2, "H100:8", chips=8))
    assert found == ["10.0.0.4:20017", 2, 4, "0,1,2,3,4,5,6,7"]


class OneSlice(http.server.BaseHTTPRequestHandler):
    """What a TPU's metadata server says of a slice that belongs to no larger whole."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ACCELERATOR_TYPE: 'v5litepod-16'\nWORKER_ID: '3'\n")

    def log_message(self, *_: object) -> None:
        """Not to be heard."""


@pytest.fixture
def metadata_server() -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), OneSlice) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.02,))
        serving.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        serving.join()


@needs_jax
def test_on_a_tpu_jax_finds_its_gang_in_its_own_way(metadata_server: str) -> None:
    variables = member(3, "v5litepod-16", chips=4)
    assert not [name for name in variables if name.startswith("OMPI_")]
    host = {"JAX_FORCE_TPU_INIT": "1", "GCE_METADATA_IP": metadata_server}
    assert met_by({**variables, **host}) == ["10.0.0.4:20017", 3, 4, "all"]


def test_torch_finds_its_gang_and_torchrun_takes_its_options_from_it() -> None:
    found = member(1, "H100:8", chips=8)
    address = {"MASTER_ADDR": "10.0.0.4", "MASTER_PORT": "20017"}
    assert found.items() >= {**address, "RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "0"}.items()
    options = {"NNODES": "4", "NODE_RANK": "1", "NPROC_PER_NODE": "8", **address}
    assert found.items() >= {f"PET_{name}": value for name, value in options.items()}.items()


@pytest.mark.parametrize("own", ["JAX_COORDINATOR_ADDRESS", "MEGASCALE_NUM_SLICES", "SLURM_JOB_ID"])
def test_a_job_that_tells_jax_itself_is_not_talked_over(own: str) -> None:
    found = member(1, own=own)
    assert not [name for name in found if name.startswith(("JAX_", "OMPI_"))]
    assert found["RANK"] == "1"


def test_a_task_of_no_gang_is_told_of_none() -> None:
    spec = pb.JobSpec(replicas=4)
    assert gang_variables(pb.Wanted(spec=spec, coordinator="10.0.0.4:20017", hosts=HOSTS)) == {}


def test_i_132_a_port_that_was_chosen_elsewhere_is_held_or_refused(tmp_path: Path) -> None:
    ports = Ports(tmp_path / "ledger", 24_300, 1)
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    ports.claim(24_300, one)
    for taking in (lambda: ports.claim(24_300, two), lambda: ports.take(["a"], two)):
        with pytest.raises(NoPort):
            taking()
    one.rmdir()
    with socket.socket() as listener:
        listener.bind(("", 24_300))
        with pytest.raises(NoPort, match="port 24300 of this host is taken"):
            ports.claim(24_300, two)
    ports.claim(24_300, two)


@pytest.fixture
def crowded(tmp_path: Path) -> Iterator[RunningCluster]:
    """A cluster on a machine on which other gangs have all ports."""
    ledger = tmp_path / f"iris-ports-{os.geteuid()}"
    ledger.mkdir(mode=0o700)
    for port in range(20_000, 30_000):
        (ledger / str(port)).write_text(str(tmp_path))
    yield from running(tmp_path, variables={"TMPDIR": str(tmp_path)})


def test_a_gang_whose_meeting_place_is_taken_ends_by_no_failure_of_its_own(
    crowded: RunningCluster,
) -> None:
    with crowded.client() as client:
        job = client.submit(Entrypoint.from_command("true"), "gang", coscheduled=True)
        assert job.wait(60).state == "failed"
        (task,) = job.status().details
    assert {attempt.cause for attempt in task.attempts} == {"build"}
    assert "the gang cannot meet at 127.0.0.1:2" in task.attempts[-1].detail


# ---- a training --------------------------------------------------------------------------------------

HELD = """
import os, sys, time
from pathlib import Path
import train_jax

here, attempt = Path(os.environ["CHECKPOINTS"]), os.environ["IRIS_ATTEMPT_ID"]
(here / f"met-{attempt}").write_text(os.environ["JAX_COORDINATOR_ADDRESS"])
hold_at = {"0": 14, "1": 23}.get(attempt)

def told(step, loss):
    print("step", step, loss.hex(), flush=True)
    if step == hold_at:
        (here / f"at-{step}").touch()
        while not train_jax.ASKED.is_set():
            time.sleep(0.01)

def told_again(step, loss):
    print("undisturbed", step, loss.hex(), flush=True)

status = train_jax.main(told)
if status == 0:
    train_jax.train(here / "undisturbed.npz", told_again)
sys.exit(status)
"""
"""The example, held in the middle of its first two attempts until it is asked to end; at the end it trains
once more, undisturbed."""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[RunningCluster]:
    """That of the examples, with one slice which is there from the start."""
    groups = yaml.safe_load((EXAMPLES / "gang.yaml").read_text())["scale_groups"]
    (group,) = groups.values()
    group |= {"min_slices": 1, "max_slices": 1}
    yield from running(tmp_path, scale_groups=groups)


def lose_host(cluster: RunningCluster, number: int) -> None:
    """End a machine with all that runs on it, without a word."""
    (pid_file,) = cluster.root.glob(f"vms/*/{number}/worker.pid")
    mark = str(pid_file.parent).encode()
    cluster.end_worker(int(pid_file.read_text()))
    for pid in cluster.task_pids():
        if mark in Path(f"/proc/{pid}/environ").read_bytes():
            os.kill(pid, signal.SIGKILL)


def curves(job: Job) -> dict[str, list[tuple[int, str]]]:
    """What rank 0 wrote in all of its attempts: which step had which loss."""
    found: dict[str, list[tuple[int, str]]] = {"step": [], "undisturbed": []}
    for attempt in range(3):
        for line in job.tasks()[0].logs(attempt=attempt).splitlines():
            words = line.split()
            if words and words[0] in found:
                found[words[0]].append((int(words[1]), words[2]))
    return found


def variables(kept: Path) -> EnvironmentSpec:
    """Where checkpoints are kept; one thread for each process, which compile what they compute once."""
    return EnvironmentSpec(
        {
            "CHECKPOINTS": str(kept),
            "JAX_PLATFORMS": "cpu",
            "JAX_COMPILATION_CACHE_DIR": str(kept / "compiled"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
            "OMP_NUM_THREADS": "1",
        }
    )


def submit(
    client: IrisClient, name: str, band: str, *command: str, variables: EnvironmentSpec
) -> Job:
    """A gang of four."""
    return client.submit(
        Entrypoint.from_command(*command),
        name,
        band=band,
        environment=variables,
        replicas=4,
        coscheduled=True,
        resources=ResourceSpec(cpu=1, memory="1GB"),
        max_retries_failure=0,
    )


@needs_jax
def test_a_training_that_is_preempted_and_evicted_loses_nothing_but_time(
    cluster: RunningCluster, tmp_path: Path
) -> None:
    workspace, kept = tmp_path / "workspace", tmp_path / "kept"
    workspace.mkdir()
    kept.mkdir()
    shutil.copy(EXAMPLES / "train_jax.py", workspace)
    (workspace / "held.py").write_text(HELD)
    with IrisClient.remote(cluster.url, workspace=workspace, user="alice") as client:
        job = submit(client, "train", "batch", "python", "held.py", variables=variables(kept))
        # A machine is gone without a word, though not before it has told its lines: ten steps are
        # saved, five are not.
        until((kept / "at-14").exists, 120)
        until(lambda: "step 14 " in job.tasks()[0].logs(attempt=0))
        lose_host(cluster, 0)
        # Somebody more urgent comes: now all are asked to end, and save what they have.
        until((kept / "at-23").exists, 120)
        urgent = submit(client, "urgent", "production", "true", variables=EnvironmentSpec())
        assert job.wait(120).state == "succeeded"
        assert urgent.wait(120).state == "succeeded"
        told = curves(job)
        tasks = job.status().details
    # No budget of failures was there to be spent.
    causes = {tuple(attempt.cause for attempt in task.attempts) for task in tasks}
    assert causes == {("host_lost", "eviction", "exit_zero")}
    met = {(kept / f"met-{attempt}").read_text() for attempt in range(3)}
    assert len(met) == 3, "an attempt might have met the one before it"
    # The first attempt was undone to the tenth step, the second to none: it saved when it was asked to end.
    assert [step for step, _ in told["step"]][-STEPS + 10 :] == list(range(10, STEPS))
    assert told["step"][-STEPS + 10 :] == told["undisturbed"][10:]
    assert set(told["step"]) == set(told["undisturbed"])
    assert [step for step, _ in told["undisturbed"]] == list(range(STEPS))
