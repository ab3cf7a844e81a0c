"""A campaign of kills: a cluster under load, whose controller and workers die at random moments.

`python -m tests.cluster.kills --controllers 200 --workers 100` runs it whole. Afterwards every job
that was acknowledged must have ended as it should, no task may have run again after its success, no
two attempts of a task may have lived at once, nothing may be left running, and the journal must
verify. Each task writes when it begins and when it ends, so that the world's own record is judged.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from iris.client import IrisClient, RemoteError
from iris.cluster.controller.journal import SqliteJournal
from iris.cluster.controller.recovery import JOURNAL_FILE
from iris.cluster.types import Entrypoint, ResourceSpec
from iris.core.replay import verify
from tests.cluster.running import RunningCluster

GROUP = {
    "accelerator_type": "cpu",
    "vm": {"cpu": 8, "memory": "8GB"},
    "min_slices": 2,
    "max_slices": 3,
}
_SAY = 'echo "{word} $IRIS_TASK_ID $IRIS_ATTEMPT_ID $(date +%s%N)" >> {book}'
_TASK = f"{_SAY.replace('{word}', 'begin')}; sleep {{span}}; {_SAY.replace('{word}', 'end')}; exit {{code}}"
"""Appends of one short line are whole, whoever else appends."""


@dataclass
class Campaign:
    """What was asked for, and what came of it."""

    expected: dict[str, str] = field(default_factory=dict)
    """By acknowledged job, how it must end."""
    recoveries: list[float] = field(default_factory=list)
    """Seconds from each start of the controller to its first answer."""
    recovered_turns: list[int] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def run(root: Path, *, controllers: int, workers: int, seed: int) -> Campaign:
    """Run a campaign below a folder."""
    dice = random.Random(seed)
    kills = ["controller"] * controllers + ["worker"] * workers
    dice.shuffle(kills)
    # So many machines that die young would be waited for longer and longer.
    pauses = dict.fromkeys(("stockout_backoff", "quota_backoff", "internal_backoff"), "500ms")
    autoscaler = {**pauses, "max_backoff": "2s"}
    cluster = RunningCluster(root, scale_groups={"cpu": GROUP}, autoscaler=autoscaler)
    campaign = Campaign()
    book = root / "book"
    book.touch()
    cluster.start()
    try:
        with cluster.client() as client:
            for number, kind in enumerate(kills):
                _load(client, campaign, dice, book, number)
                time.sleep(dice.uniform(0, 0.25))
                _kill(cluster, campaign, dice, kind)
            _settle(client, campaign)
        if not _quiet(cluster):
            campaign.faults.append(f"tasks are left running: {cluster.task_pids()}")
        cluster.stop()
    finally:
        cluster.end()
    _judge(cluster, campaign, book)
    return campaign


def _load(
    client: IrisClient, campaign: Campaign, dice: random.Random, book: Path, number: int
) -> None:
    """Submit a job or two, and stop one now and then; what is not acknowledged is not expected."""
    for twin in range(dice.choice((1, 1, 2))):
        code = dice.choice((0, 0, 0, 1))
        script = _TASK.format(book=book, span=f"{dice.uniform(0, 1.5):.3f}", code=code)
        replicas = dice.choice((1, 1, 2))
        job = client.submit(
            Entrypoint.from_command("sh", "-c", script),
            f"job-{number}-{twin}",
            replicas=replicas,
            resources=ResourceSpec(cpu="0.5", memory="10MB"),
            max_retries_preemption=1_000,
        )
        campaign.expected[job.id] = "succeeded" if code == 0 else "failed"
        if dice.random() < 0.1:
            job.terminate()
            campaign.expected[job.id] = "any"  # It may have ended before.


def _kill(cluster: RunningCluster, campaign: Campaign, dice: random.Random, kind: str) -> None:
    if kind == "worker":
        pids = cluster.worker_pids()
        if pids:
            os.kill(dice.choice(pids), signal.SIGKILL)
        return
    cluster.kill()
    time.sleep(dice.choice((0, 0, 0.1)))
    began = time.monotonic()
    cluster.start()
    campaign.recoveries.append(time.monotonic() - began)
    campaign.recovered_turns.append(cluster.status().recovered_turns)


def _settle(client: IrisClient, campaign: Campaign) -> None:
    for name, expected in campaign.expected.items():
        job = client.job(name)
        try:
            ended = job.wait(120)
        except (RemoteError, TimeoutError) as error:
            campaign.faults.append(f"{name}: {error}; {job.why()}")
            continue
        for task in ended.details:
            states = [attempt.state for attempt in task.attempts]
            if "succeeded" in states[:-1]:
                campaign.faults.append(f"{task.id} ran again after its success: {states}")
        if expected not in ("any", ended.state):
            campaign.faults.append(f"{name} is {ended.state}, not {expected}: {ended.why}")


def _quiet(cluster: RunningCluster) -> bool:
    end = time.monotonic() + 30
    while cluster.task_pids():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def _judge(cluster: RunningCluster, campaign: Campaign, book: Path) -> None:
    campaign.faults += by_the_book(book)
    journal = SqliteJournal(cluster.root / JOURNAL_FILE, readonly=True)
    image, turns = journal.whole()
    difference = verify(turns, image)
    if difference is not None:
        campaign.faults.append(f"the journal does not verify: {difference}")
    journal.close()


def by_the_book(book: Path) -> Iterator[str]:
    """What the tasks' own record says against the cluster."""
    begun: dict[tuple[str, str], int] = {}
    tasks: dict[str, list[tuple[int, str, str]]] = {}
    for line in book.read_text().splitlines():
        word, task, attempt, at = line.split()
        if word == "begin":
            if (task, attempt) in begun:
                yield f"{task}@{attempt} began twice"
            begun[task, attempt] = int(at)
        tasks.setdefault(task, []).append((int(at), word, attempt))
    for task, entries in tasks.items():
        entries.sort()
        for (_, word, attempt), (_, after, other) in pairwise(entries):
            if word == "begin" and after == "end" and other != attempt:
                yield f"{task}@{attempt} began while {task}@{other} lived"


def _quantiles(times: list[float]) -> dict[str, float]:
    last = len(times) - 1
    places = {"median": last // 2, "p95": round(0.95 * last), "max": last}
    return {name: round(times[place], 3) for name, place in places.items()}


def main() -> int:
    """Run a campaign and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--controllers", type=int, default=200)
    parser.add_argument("--workers", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="iris-kills-") as folder:
        began = time.monotonic()
        found = run(
            Path(folder), controllers=chosen.controllers, workers=chosen.workers, seed=chosen.seed
        )
    times = sorted(found.recoveries)
    report = {
        "jobs": len(found.expected),
        "controllers_killed": len(times),
        "workers_killed": chosen.workers,
        "recovery_s": _quantiles(times) if times else {},
        "recovered_turns_max": max(found.recovered_turns, default=0),
        "seconds": round(time.monotonic() - began, 1),
        "faults": found.faults,
    }
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
