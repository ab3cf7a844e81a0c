"""Dask's figures for an actor; run by an interpreter that has `dask[distributed]`. Prints one line of JSON."""

import json
import sys

from distributed import Client, LocalCluster

from tests.benchmarks.actor_work import Echo, figures


def main() -> None:
    """Start a cluster, measure, stop it."""
    cluster = LocalCluster(n_workers=1, threads_per_worker=8, dashboard_address=None)
    client = Client(cluster)
    actor = client.submit(Echo, actor=True).result()
    found = figures(
        lambda value: actor.echo(value).result(),
        actor.echo,
        lambda handles: [handle.result() for handle in handles],
    )
    client.close()
    cluster.close()
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
