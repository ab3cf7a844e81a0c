"""A campaign of bad weather: workers reach their controller through a network that fails again and again.

`python -m tests.cluster.network --faults 100` runs it whole. No fault lasts as long as a worker may be
silent, so that every task must run exactly once, to its end, with every line of its log.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from iris.client import IrisClient
from iris.cluster.types import Entrypoint, ResourceSpec
from tests.cluster.proxy import Proxy
from tests.cluster.running import RunningCluster

SILENCE_S = 12.0
"""Of a worker, before it is lost; the longest fault is a third of it."""
LINES = 200


@dataclass
class Weather:
    """What was done, and what came of it."""

    jobs: list[str] = field(default_factory=list)
    faults: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def run(root: Path, *, faults: int, seed: int) -> Weather:
    """Run a campaign below a folder."""
    dice = random.Random(seed)
    found = Weather()
    book = root / "book"
    book.touch()
    cluster = RunningCluster(root, timeouts={"worker_timeout": f"{SILENCE_S:.0f}s"})
    proxy = Proxy(cluster.port)
    cluster.advertise = proxy.url
    cluster.start()
    try:
        with cluster.client() as client:
            for number in range(faults):
                found.jobs.append(_submit(client, dice, book, number))
                _fault(proxy, dice, found)
            proxy.well()
            for job in found.jobs:
                found.wrong += _judge(client, job, book)
    finally:
        cluster.end()
        proxy.close()
    return found


def _submit(client: IrisClient, dice: random.Random, book: Path, number: int) -> str:
    say = f'echo "begin $IRIS_TASK_ID $IRIS_ATTEMPT_ID" >> {book}'
    lines = f"i=0; while [ $i -lt {LINES} ]; do echo line $i; i=$((i+1)); done"
    pause = f"sleep {dice.uniform(0, 1):.2f}"
    script = f"{say}; {lines}; {pause}; echo end; {say.replace('begin', 'end')}"
    return client.submit(
        Entrypoint.from_command("sh", "-c", script),
        f"job-{number}",
        resources=ResourceSpec(cpu="0.5", memory="10MB"),
    ).id


def _fault(proxy: Proxy, dice: random.Random, found: Weather) -> None:
    kinds = ("slow", "cut", "away", "deaf both", "deaf there", "deaf back")
    kind = dice.choice(kinds)
    found.faults[kind] = found.faults.get(kind, 0) + 1
    span = dice.uniform(0.05, 0.6) if dice.random() < 0.9 else SILENCE_S / 3
    match kind:
        case "slow":
            proxy.slow(dice.uniform(0.01, 0.2))
        case "cut":
            proxy.cut()
        case "away":
            proxy.away()
        case _:
            proxy.deaf(there=kind == "deaf back", back=kind == "deaf there")
    time.sleep(span)
    proxy.well()
    time.sleep(dice.uniform(0, 0.3))


def _judge(client: IrisClient, name: str, book: Path) -> list[str]:
    job = client.job(name)
    ended = job.wait(180)
    wrong = []
    if ended.state != "succeeded":
        wrong.append(f"{name} is {ended.state}: {ended.why}")
    attempts = ended.details[0].attempts
    if len(attempts) != 1:
        wrong.append(f"{name} had {[(a.state, a.cause) for a in attempts]}")
    begun = book.read_text().splitlines().count(f"begin {name}:0 0")
    if begun != 1:
        wrong.append(f"{name} began {begun} times")
    expected = "".join(f"line {n}\n" for n in range(LINES)) + "end\n"
    if job.tasks()[0].logs() != expected:
        wrong.append(f"the log of {name} is not whole, or not as it was written")
    return wrong


def main() -> int:
    """Run a campaign and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="iris-network-") as folder:
        found = run(Path(folder), faults=chosen.faults, seed=chosen.seed)
    report = {
        "jobs": len(found.jobs),
        "faults": dict(sorted(found.faults.items())),
        "seconds": round(time.monotonic() - began, 1),
        "wrong": found.wrong,
    }
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
