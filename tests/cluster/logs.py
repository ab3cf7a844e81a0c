"""Much output at once: jobs that write megabytes, and readers that do not read.

`python -m tests.cluster.logs --jobs 200 --megabytes 10` runs it whole. Every line must be there, also
after the machines are gone, and the controller must not grow with what passes through it.
"""

import argparse
import hashlib
import json
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from iris.cluster.types import Entrypoint, ResourceSpec
from tests.cluster.running import RunningCluster, until

LINE = 100
_WRITE = "import sys\nfor n in range({lines}): sys.stdout.write(f'{{n:09}} {filler}\\n')\n"


@dataclass
class Found:
    """What came of it."""

    lost: list[str] = field(default_factory=list)
    before_mib: float = 0.0
    """Proportional set size of the controller before."""
    peak_mib: float = 0.0
    after_mib: float = 0.0
    seconds: float = 0.0


def written(megabytes: int) -> tuple[str, str]:
    """A program that writes so much, and the digest of what it writes."""
    lines = megabytes * 1_000_000 // LINE
    filler = "x" * (LINE - 11)
    digest = hashlib.sha256()
    for number in range(lines):
        digest.update(f"{number:09} {filler}\n".encode())
    return _WRITE.format(lines=lines, filler=filler), digest.hexdigest()


def proportional_mib(pid: int) -> float:
    """The proportional set size of a process."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1_024
    raise AssertionError(pid)


def run(root: Path, *, jobs: int, megabytes: int) -> Found:
    """Run the jobs, end all machines, and read every log."""
    found = Found()
    program, digest = written(megabytes)
    cluster = RunningCluster(root)
    cluster.start()
    try:
        assert cluster.process is not None
        pid = cluster.process.pid
        found.before_mib = found.peak_mib = proportional_mib(pid)
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.1):
                found.peak_mib = max(found.peak_mib, proportional_mib(pid))

        watching = threading.Thread(target=watch)
        watching.start()
        began = time.monotonic()
        with cluster.client() as client:
            entry = Entrypoint.from_command(sys.executable, "-c", program)
            need = ResourceSpec(cpu="0.5", memory="50MB")
            submitted = [client.submit(entry, f"log-{n}", resources=need) for n in range(jobs)]
            ended = [job.wait(1_200) for job in submitted]
            found.lost += [f"{job.id} is {job.state}" for job in ended if job.state != "succeeded"]
            found.seconds = time.monotonic() - began
            for pid_of_worker in cluster.worker_pids():
                cluster.end_worker(pid_of_worker)
            until(lambda: not list((cluster.root / "vms").glob("iris-cpu-1/*/attempts/*")))
            for job in submitted:
                told = hashlib.sha256(job.tasks()[0].logs().encode()).hexdigest()
                if told != digest:
                    found.lost.append(f"the log of {job.id} is not what it wrote")
        over.set()
        watching.join()
        found.after_mib = proportional_mib(pid)
    finally:
        cluster.end()
    return found


def main() -> int:
    """Run it and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--megabytes", type=int, default=10)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="iris-logs-") as folder:
        found = run(Path(folder), jobs=chosen.jobs, megabytes=chosen.megabytes)
    report = {
        "jobs": chosen.jobs,
        "megabytes_each": chosen.megabytes,
        "seconds": round(found.seconds, 1),
        "controller_mib": {
            "before": round(found.before_mib, 1),
            "peak": round(found.peak_mib, 1),
            "after": round(found.after_mib, 1),
        },
        "lost": found.lost,
    }
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return 1 if found.lost else 0


if __name__ == "__main__":
    sys.exit(main())
