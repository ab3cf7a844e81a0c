"""A campaign against the cloud: a cluster on the fake Google, under load, while everything there goes wrong.

`python -m tests.cluster.chaos` runs half an hour of it, at ten times the speed of time: preemptions, zones
without capacity, quotas, 429s, calls that hang, connections that break, listings that lie, and kills of the
controller, whose journal is all that it has. Afterwards every job must have ended well, no slice may have
been made twice, and once nothing is wanted nothing may be left, by the fake's own books. What each minute
asked of the API is counted on the wire, and each turn of the controller is timed where it is taken.
"""

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Final

from iris.client import IrisClient, RemoteError
from iris.cluster.controller.journal import SqliteJournal
from iris.cluster.controller.recovery import JOURNAL_FILE
from iris.cluster.types import Entrypoint, ResourceSpec, tpu_device
from iris.core.replay import verify
from tests.cluster.chaos_world import CREATES, MINUTE, SPEED, Campaign, Chaos, model_of
from tests.cluster.kills import by_the_book
from tests.cluster.running import until
from tests.gcp.fake_google import serve
from tests.gcp.fake_time import ScaledClock
from tests.gcp.vm_workers import VmWorkers

_SAY: Final = 'echo "{word} $IRIS_TASK_ID $IRIS_ATTEMPT_ID $(date +%s%N)" >> {book}'
_TASK: Final = f"{_SAY.replace('{word}', 'begin')}; sleep {{span}}; {_SAY.replace('{word}', 'end')}"


def run(root: Path, *, seconds: float, kills: int, seed: int) -> Campaign:
    """Run a campaign below a folder, for so many of our seconds and until all is over."""
    book = root / "book"
    book.touch()
    workers = VmWorkers(root / "vms")
    with serve(
        model=model_of(tpu=True),
        compute_model=model_of(tpu=False),
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
        while times[first] <= at - MINUTE:
            first += 1
        most = max(most, last - first + 1)
    return most


def _report(found: Campaign, seconds: float, wall_s: float) -> dict[str, object]:
    turns = sorted(found.turns)
    minutes = max(1.0, found.calls[-1][0] / MINUTE) if found.calls else 1.0
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
        root = (chosen.root or Path(folder)).resolve()
        root.mkdir(exist_ok=True)
        began = time.monotonic()
        found = run(root, seconds=seconds, kills=chosen.kills, seed=chosen.seed)
        report = _report(found, seconds, time.monotonic() - began)
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
