"""A campaign against the cloud: a cluster on the fake Google, under load, while everything there goes wrong.

`python -m tests.cluster.chaos` runs half an hour of it, at ten times the speed of time: preemptions, zones
without capacity, quotas, 429s, calls that hang, connections that break, listings that lie, and kills of the
controller, whose journal is all that it has. Afterwards every job must have ended well, no slice may have
been made twice, and once nothing is wanted nothing may be left, by the fake's own books. What each minute
asked of the API is counted on the wire, and each turn of the controller is timed where it is taken.
"""

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from iris.client import IrisClient, RemoteError
from iris.cluster.controller.journal import SqliteJournal
from iris.cluster.controller.recovery import JOURNAL_FILE
from iris.cluster.types import Entrypoint, ResourceSpec, tpu_device
from iris.core.ids import Zone
from iris.core.instant import Instant, Millis
from iris.core.replay import verify
from sim.cloud import FakeCloud
from sim.dice import Exponential, Lognormal, Uniform
from sim.model import Bulk, CloudModel, CreateFailures, Deletes, Lists, Vanishing, Weather
from tests.cluster.kills import by_the_book
from tests.cluster.running import free_port, until
from tests.gcp.fake_google import FakeGoogle, serve
from tests.gcp.fake_time import ScaledClock
from tests.gcp.vm_workers import VmWorkers

SPEED: Final = 10
"""Seconds of the cloud in one of ours; the controller's own spans are as much shorter in its config."""
CREATES: Final = 91
"""A minute, of the whole project: Google's quota."""
_MINUTE: Final = 60_000
_ZONES: Final = ("us-central1-a", "us-central1-b")
_TOKEN: Final = "a-token-for-chaos-only"
_SAY: Final = 'echo "{word} $IRIS_TASK_ID $IRIS_ATTEMPT_ID $(date +%s%N)" >> {book}'
_TASK: Final = f"{_SAY.replace('{word}', 'begin')}; sleep {{span}}; {_SAY.replace('{word}', 'end')}"
_FAULTS: Final = (
    "preempt",
    "preempt",
    "stockout",
    "quota",
    "rate",
    "hang",
    "hang",
    "slow",
    "unavailable",
    "unreachable",
    "reset",
    "internal",
    "delete fails",
    "stale",
    "late",
)
_HANGING: Final = (
    frozenset({"CreateNode", "instances.insert", "CreateQueuedResource"}),
    frozenset({"ListNodes", "ListQueuedResources", "instances.aggregatedList"}),
    frozenset({"DeleteNode", "DeleteQueuedResource", "instances.delete"}),
    frozenset({"GetOperation", "GetNode", "zoneOperations.get"}),
)


@dataclass
class Campaign:
    """What was asked for, and what came of it."""

    jobs: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    """What was done to the cloud and the controller, by kind."""
    machines: Counter[str] = field(default_factory=Counter)
    """How often a machine was really made under each name."""
    preempted: int = 0
    calls: list[tuple[int, str]] = field(default_factory=list)
    """When each call came, in milliseconds of the cloud, and its method."""
    turns: list[float] = field(default_factory=list)
    """Milliseconds of each turn of the controller."""
    attempts: Counter[str] = field(default_factory=Counter)
    """Of all tasks, by how they ended."""


class Chaos:
    """One campaign under way."""

    def __init__(self, root: Path, google: FakeGoogle, seed: int) -> None:
        self.root = root
        self.google = google
        self.found = Campaign()
        self.dice = random.Random(seed)
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._heals: list[tuple[float, Callable[[], None]]] = []
        self._watching = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        for cloud in (google.slices, google.machines):
            self._count(cloud)
        self._watcher.start()
        (root / "cluster.yaml").write_text(json.dumps(_config(self.port, root)))

    # ---- the controller ------------------------------------------------------------------------

    def start(self) -> None:
        words = [str(self.root), self.google.grpc_address, f"http://{self.google.compute_address}"]
        with (self.root / "controller.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "tests.cluster.chaos_controller", *words],
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.root / "controller.log").read_text()
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.2):
            return True
        return False

    def client(self) -> IrisClient:
        until(self.answers)  # One that has never answered is not waited for by a client.
        return IrisClient.remote(f"http://127.0.0.1:{self.port}", token=_TOKEN, user="alice")

    # ---- what goes wrong -----------------------------------------------------------------------

    def disturb(self) -> None:
        """One fault, and the time at which it is over."""
        kind, knobs, dice = self.dice.choice(_FAULTS), self.google.knobs, self.dice
        self.found.done[kind] += 1
        zone = dice.choice(_ZONES)
        lasting: dict[str, tuple[str, object, object]] = {
            "stockout": ("stockout_zones", frozenset({zone}), frozenset()),
            "quota": ("quota_zone", {zone: 16}, {}),
            "rate": ("creates_per_minute", 1, CREATES),
            "hang": ("hanging_methods", dice.choice(_HANGING), frozenset()),
            "slow": ("slow_calls_s", 0.3, 0.0),
            "unreachable": ("unreachable", frozenset({zone}), frozenset()),
            "late": ("lro_never_done", True, False),
        }
        counted = {
            "unavailable": ("unavailable_reads", dice.randint(1, 20)),
            "reset": ("reset_after_create", 1),
            "internal": ("internal_creates", 2),
            "delete fails": ("delete_failures", 1),
            "stale": ("stale_lists", 1),
        }
        if kind in lasting:
            self._for(dice.uniform(2, 6), *lasting[kind])
        elif kind in counted:
            setattr(knobs, *counted[kind])
        else:
            self._preempt()

    def _for(self, seconds: float, knob: str, value: object, usual: object) -> None:
        setattr(self.google.knobs, knob, value)
        heal = lambda: setattr(self.google.knobs, knob, usual)  # noqa: E731
        self._heals.append((time.monotonic() + seconds, heal))

    def heal(self, *, all_: bool = False) -> None:
        due = [it for it in self._heals if all_ or it[0] <= time.monotonic()]
        self._heals = [it for it in self._heals if it not in due]
        for _, heal in due:
            heal()

    def _preempt(self) -> None:
        cloud = self.dice.choice((self.google.slices, self.google.slices, self.google.machines))
        with self.google.world.turn():
            there = [it for zone in _ZONES for it in cloud.takeable(Zone(zone))]
            if there:
                cloud.take([self.dice.choice(there)], Millis(self.dice.choice((0, 30_000))))

    # ---- what is seen --------------------------------------------------------------------------

    def _count(self, cloud: FakeCloud) -> None:
        add, take = cloud.add_machine, cloud.take

        def counted(name: Any, group: Any, zone: Any) -> Any:
            self.found.machines[name] += 1
            return add(name, group, zone)

        def taken(machines: Any, notice: Any = None) -> None:
            self.found.preempted += len(machines)
            take(machines, notice)

        cloud.add_machine, cloud.take = counted, taken  # type: ignore[method-assign]

    def _watch(self) -> None:
        """Date every call that comes."""
        log, calls = self.google.gate.log, self.found.calls
        while not self._watching.wait(0.05):
            now = self.google.clock.now()
            calls += [(now, call.method) for call in log[len(calls) :]]

    def left(self) -> list[str]:
        """What exists in the cloud, by its own books."""
        with self.google.world.turn():
            waiting = [*self.google.queue.all]
            clouds = (self.google.slices, self.google.machines)
            return waiting + [str(name) for cloud in clouds for name in cloud.machines]

    def close(self) -> None:
        self._watching.set()
        self._watcher.join()
        if self.process is not None and self.process.poll() is None:
            self.kill()


def run(root: Path, *, seconds: float, kills: int, seed: int) -> Campaign:
    """Run a campaign below a folder, for so many of our seconds and until all is over."""
    book = root / "book"
    book.touch()
    workers = VmWorkers(root / "vms")
    with serve(
        model=_model(tpu=True),
        compute_model=_model(tpu=False),
        clock=ScaledClock(SPEED),
        seed=seed,
        hook=workers,
    ) as google:
        google.knobs.creates_per_minute = CREATES
        chaos = Chaos(root, google, seed)
        try:
            chaos.start()
            _storm(chaos, book, seconds, kills)
            chaos.heal(all_=True)
            google.slices.calm = google.machines.calm = True
            with chaos.client() as client:
                _settle(chaos.found, client)
            _empty(chaos)
        finally:
            chaos.close()
    workers.close()
    _judge(chaos, book)
    return chaos.found


def _storm(chaos: Chaos, book: Path, seconds: float, kills: int) -> None:
    """Disturb the cloud and kill the controller at random moments, while somebody submits jobs."""
    began = time.monotonic()
    over = threading.Event()
    user = threading.Thread(target=_use, args=(chaos, book, over), daemon=True)
    user.start()
    at = sorted(chaos.dice.uniform(0.1, 0.95) * seconds for _ in range(kills))
    up_at: float | None = None
    next_fault = 3.0
    while (now := time.monotonic() - began) < seconds:
        chaos.heal()
        if up_at is not None and now >= up_at:
            chaos.start()
            up_at = None
        elif up_at is None and at and now >= at[0]:
            at.pop(0)
            chaos.kill()
            chaos.found.done["controller killed"] += 1
            up_at = now + chaos.dice.choice((0.0, 0.0, 2.0))
        if now >= next_fault:
            chaos.disturb()
            next_fault = now + chaos.dice.uniform(0.3, 1.5)
        time.sleep(0.05)
    if up_at is not None:
        chaos.start()
    over.set()
    user.join()


def _use(chaos: Chaos, book: Path, over: threading.Event) -> None:
    """Submit job after job; while there is no controller, the client waits for it."""
    dice = random.Random(chaos.dice.random())
    with chaos.client() as client:
        while not over.wait(dice.uniform(0.5, 2.0)):
            _submit(chaos, client, book, dice)


def _submit(chaos: Chaos, client: IrisClient, book: Path, dice: random.Random) -> None:
    """One job of one of three kinds; what is not acknowledged is not expected."""
    number = len(chaos.found.jobs)
    script = _TASK.format(book=book, span=f"{dice.uniform(0.5, 4.0):.2f}")
    kind = dice.choice(("gang", "gang", "held", "cpu"))
    tpu = {"gang": "v5litepod-16", "held": "v5litepod-8"}.get(kind)
    job = client.submit(
        Entrypoint.from_command("sh", "-c", script),
        f"{kind}-{number}",
        replicas=4 if kind == "gang" else 1,
        coscheduled=kind == "gang",
        resources=ResourceSpec(
            cpu="0.5", memory="10MB", device=None if tpu is None else tpu_device(tpu)
        ),
        max_retries_preemption=1_000,
    )
    chaos.found.jobs.append(job.id)


def _settle(found: Campaign, client: IrisClient) -> None:
    for name in found.jobs:
        job = client.job(name)
        try:
            ended = job.wait(300)
        except (RemoteError, TimeoutError) as error:
            found.faults.append(f"{name}: {error}; {job.why()}")
            continue
        if ended.state != "succeeded":
            found.faults.append(f"{name} is {ended.state}: {ended.why}")
        for task in ended.details:
            states = [attempt.state for attempt in task.attempts]
            found.attempts.update(states)


def _empty(chaos: Chaos) -> None:
    """Nothing is wanted any more: nothing may be left."""
    with suppress(AssertionError):
        until(lambda: not chaos.left(), 120)
    for name in chaos.left():
        chaos.found.faults.append(f"{name} is left in the cloud")


def _judge(chaos: Chaos, book: Path) -> None:
    found = chaos.found
    found.faults += by_the_book(book)
    found.faults += [f"{name} was made {n} times" for name, n in found.machines.items() if n > 1]
    found.turns += map(float, (chaos.root / "turns").read_text().split())
    if most_in_a_minute(found.calls, creating=True) > CREATES:
        found.faults.append("more creates in a minute than Google allows")
    journal = SqliteJournal(chaos.root / "iris" / JOURNAL_FILE, readonly=True)
    image, turns = journal.whole()
    difference = verify(turns, image)
    if difference is not None:
        found.faults.append(f"the journal does not verify: {difference}")
    journal.close()


def most_in_a_minute(calls: list[tuple[int, str]], *, creating: bool = False) -> int:
    """The most calls of any minute of the cloud's."""
    names = ("CreateNode", "CreateQueuedResource", "instances.insert")
    times = [at for at, method in calls if not creating or method in names]
    most = first = 0
    for last, at in enumerate(times):
        while times[first] <= at - _MINUTE:
            first += 1
        most = max(most, last - first + 1)
    return most


def _model(*, tpu: bool) -> CloudModel:
    """An unkind cloud, in its own time."""
    stock = ((Instant(0), 6), (Instant(8 * _MINUTE), 2), (Instant(14 * _MINUTE), 6))
    return CloudModel(
        boot=Lognormal(median=70_000.0 if tpu else 40_000.0, sigma=0.5),
        lifetime=Exponential(Millis(6 * _MINUTE)),
        bulk=Bulk(mean=1.5, max=3),
        notice=Millis(30_000),
        notice_lost=0.5,
        capacity={Zone(zone): stock for zone in _ZONES},
        weather=Weather(Exponential(Millis(10 * _MINUTE)), Exponential(Millis(2 * _MINUTE))),
        verdict=Uniform(Millis(20_000), Millis(70_000)),
        create_failures=CreateFailures(internal=0.03),
        call=Uniform(Millis(50), Millis(2_000)),
        delete=Uniform(Millis(20_000), Millis(60_000)),
        deletes=Deletes(refused=0.03, lies=0.03),
        vanishing=Vanishing(other_state=0.1, not_found=0.2),
        partial=0.03,
        lists=Lists(error=0.03, without_newest=0.03),
        silence=Millis(1),
    )


def _config(port: int, root: Path) -> dict[str, object]:
    """The production config, its spans as much shorter as time is faster."""
    zones = [*_ZONES]
    return {
        "provider": {"type": "gcp", "project_id": "iris-test", "zone": _ZONES[0]},
        "storage": {"root": str(root / "iris")},
        "docker": {"image": "iris-worker:test"},
        "controller": {"vm": {"port": port}},
        "auth": {"tokens": {"alice": _TOKEN}, "admins": ["alice"]},
        "reservations": {"pool": {"chips": 24}},
        "timeouts": {
            "worker_timeout": "6s",
            "retry_backoff": "500ms",
            "max_retry_backoff": "5s",
            "notice_timeout": "10s",
            "orphan_timeout": "60s",
            "stop_grace": "1s",
            "stop_timeout": "6s",
        },
        "autoscaler": {
            "idle_timeout": "6s",
            "creates_per_minute": 60 * SPEED,
            "create_burst": 20,
            "stockout_backoff": "3s",
            "quota_backoff": "3s",
            "internal_backoff": "1500ms",
            "max_backoff": "20s",
            "settle_time": "10s",
            "boot_timeout": "40s",
            "adoption_grace": "20s",
            "delete_retry": "6s",
            "observe_interval": "3s",
            "absence_grace": "3s",
            "observe_timeout": "6s",
            "create_answer_timeout": "6s",
        },
        "scale_groups": {
            "tpu": {
                "accelerator_type": "v5litepod-16",
                "max_slices": 5,
                "preemptible": True,
                "zones": zones,
            },
            "held": {
                "accelerator_type": "v5litepod-8",
                "max_slices": 3,
                "reservation": "pool",
                "zones": zones,
            },
            "cpu": {
                "accelerator_type": "cpu",
                "vm": {"cpu": 4, "memory": "16GiB"},
                "max_slices": 5,
                "preemptible": True,
                "zones": zones,
            },
        },
    }


def _report(found: Campaign, seconds: float, wall_s: float) -> dict[str, object]:
    turns = sorted(found.turns)
    minutes = max(1.0, found.calls[-1][0] / _MINUTE) if found.calls else 1.0
    return {
        "cloud_minutes_of_storm": round(seconds * SPEED / 60, 1),
        "jobs": len(found.jobs),
        "attempts": dict(sorted(found.attempts.items())),
        "faults_done": dict(sorted(found.done.items())),
        "slices_made": len(found.machines),
        "slices_preempted": found.preempted,
        "api_calls": len(found.calls),
        "api_calls_per_minute": {
            "mean": round(len(found.calls) / minutes, 1),
            "most": most_in_a_minute(found.calls),
        },
        "creates_in_a_minute_most": most_in_a_minute(found.calls, creating=True),
        "api_methods": dict(Counter(method for _, method in found.calls).most_common()),
        "turns": len(turns),
        "turn_ms": {
            "p50": turns[len(turns) // 2],
            "p99": turns[int(len(turns) * 0.99)],
            "max": turns[-1],
        },
        "seconds": round(wall_s, 1),
        "faults": found.faults,
    }


def main() -> int:
    """Run a campaign and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="of the cloud's time")
    parser.add_argument("--kills", type=int, default=6, help="of the controller")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--root", type=Path, help="keep what there is to see here")
    chosen = parser.parse_args()
    seconds = chosen.minutes * 60 / SPEED
    with tempfile.TemporaryDirectory(prefix="iris-chaos-") as folder:
        root = chosen.root or Path(folder)
        root.mkdir(exist_ok=True)
        began = time.monotonic()
        found = run(root, seconds=seconds, kills=chosen.kills, seed=chosen.seed)
        report = _report(found, seconds, time.monotonic() - began)
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return 1 if found.faults else 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    sys.exit(main())
