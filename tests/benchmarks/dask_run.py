"""Dask's figures on this machine; run by an interpreter that has `dask[distributed]`. Prints one line of JSON."""

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from distributed import Client, LocalCluster


def timed(work: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def pss_mib(pids: list[int]) -> float:
    """The proportional set size of some processes."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            total += int(line.split()[1]) if line.startswith("Pss:") else 0
    return total / 1_024


def main() -> None:
    """Start a cluster, measure, stop it."""
    began = time.perf_counter()
    cluster = LocalCluster(n_workers=1, threads_per_worker=8, dashboard_address=None)
    client = Client(cluster)
    client.wait_for_workers(1)
    up = time.perf_counter() - began

    def call() -> object:
        return client.submit(int, pure=False).result()

    call()
    task = statistics.median(timed(call) for _ in range(50))
    many = timed(lambda: client.gather([client.submit(int, pure=False) for _ in range(1_000)]))
    time.sleep(5)
    import os

    # The scheduler lives in the client's own process, as Dask's local clusters do.
    worker = list(client.run(os.getpid).values())
    found = {
        "up_s": up,
        "task_s": task,
        "tasks_per_s": 1_000 / many,
        "idle_mib": pss_mib([os.getpid(), *worker]),
    }
    client.close()
    cluster.close()
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
