"""The world of a campaign of chaos: an unkind fake Google, a controller in a process, and what befalls both."""

import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from iris.client import IrisClient
from iris.core.ids import Zone
from iris.core.instant import Instant, Millis
from sim.cloud import FakeCloud
from sim.dice import Exponential, Lognormal, Uniform
from sim.model import Bulk, CloudModel, CreateFailures, Deletes, Lists, Vanishing, Weather
from tests.cluster.running import free_port, until
from tests.gcp.fake_google import FakeGoogle

SPEED: Final = 10
"""Seconds of the cloud in one of ours; the controller's own spans are as much shorter in its config."""
CREATES: Final = 91
"""A minute, of the whole project: Google's quota."""
MINUTE: Final = 60_000
_ZONES: Final = ("us-central1-a", "us-central1-b")
_TOKEN: Final = "a-token-for-chaos-only"
_FAULTS: Final = (
    *("preempt",) * 8,
    *("hang",) * 4,
    *("slow", "unavailable", "unreachable", "reset", "internal", "delete fails", "stale", "late"),
    *("stockout", "quota", "rate"),
)
_RATES: Final = 1
"""So often 429s come: after each the controller asks for nothing for a minute of ours, which is ten here."""
_HANGING: Final = (
    frozenset({"CreateNode", "instances.insert", "CreateQueuedResource"}),
    frozenset({"ListNodes", "ListQueuedResources", "instances.aggregatedList"}),
    frozenset({"DeleteNode", "DeleteQueuedResource", "instances.delete"}),
    frozenset({"GetOperation", "GetNode", "zoneOperations.get"}),
)
_TIMEOUTS: Final = {
    "worker_timeout": "6s",
    "retry_backoff": "500ms",
    "max_retry_backoff": "5s",
    "notice_timeout": "10s",
    "orphan_timeout": "60s",
    "stop_grace": "1s",
    "stop_timeout": "6s",
}
_AUTOSCALER: Final = {
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
}
"""As in production, but for spans, which are as much shorter as time is faster."""
_GROUPS: Final = {
    "tpu": {"accelerator_type": "v5litepod-16", "max_slices": 5, "preemptible": True},
    "held": {"accelerator_type": "v5litepod-8", "max_slices": 3, "reservation": "pool"},
    "cpu": {
        "accelerator_type": "cpu",
        "vm": {"cpu": 4, "memory": "16GiB"},
        "max_slices": 5,
        "preemptible": True,
    },
}


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
        if kind == "rate" and self.found.done[kind] == _RATES:
            return
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
                self.found.done["slices taken by hand"] += 1
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


def model_of(*, tpu: bool) -> CloudModel:
    """An unkind cloud, in its own time."""
    stock = ((Instant(0), 6), (Instant(8 * MINUTE), 2), (Instant(14 * MINUTE), 6))
    return CloudModel(
        boot=Lognormal(median=70_000.0 if tpu else 40_000.0, sigma=0.5),
        lifetime=Exponential(Millis(6 * MINUTE)),
        bulk=Bulk(mean=1.5, max=3),
        notice=Millis(30_000),
        notice_lost=0.5,
        capacity={Zone(zone): stock for zone in _ZONES},
        weather=Weather(Exponential(Millis(10 * MINUTE)), Exponential(Millis(2 * MINUTE))),
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
    return {
        "provider": {"type": "gcp", "project_id": "iris-test", "zone": _ZONES[0]},
        "storage": {"root": str(root / "iris")},
        "docker": {"image": "iris-worker:test"},
        "controller": {"vm": {"port": port}},
        "auth": {"tokens": {"alice": _TOKEN}, "admins": ["alice"]},
        "reservations": {"pool": {"chips": 24}},
        "timeouts": _TIMEOUTS,
        "autoscaler": _AUTOSCALER,
        "scale_groups": {name: {**group, "zones": [*_ZONES]} for name, group in _GROUPS.items()},
    }
