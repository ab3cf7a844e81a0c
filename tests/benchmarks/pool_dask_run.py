"""Dask's figures for tasks on two workers; run by an interpreter that has it. Prints one line of JSON."""

import json
import sys

from distributed import Client, LocalCluster

from tests.benchmarks.actor_work import echo, figures


def main() -> None:
    """Start a cluster, measure, stop it."""
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    client = Client(cluster)
    client.wait_for_workers(2)
    found = figures(
        lambda value: client.submit(echo, value, pure=False).result(),
        lambda value: client.submit(echo, value, pure=False),
        client.gather,
    )
    client.close()
    cluster.close()
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
