"""A pool of two workers of a cluster: no-op calls, one and many, large ones; beside tasks of Ray and Dask."""

from pathlib import Path
from typing import Final

from iris.client import WorkerPool
from iris.cluster.types import ResourceSpec
from tests.benchmarks.actor_work import CALLS, LARGE_BYTES, OPEN, echo, figures
from tests.benchmarks.actors import beside_peers
from tests.benchmarks.figures import Figure
from tests.benchmarks.live import cluster, start

WORKERS: Final = 2
_LINES: Final = (
    ("a no-op call through a pool, there and back", "under 10.7 ms, aim 1.6 ms", "trip_s"),
    ("no-op calls, 2,000 submitted together", "600 a second, aim 2,100", "calls_per_s"),
    ("5,000 calls of a pool open at once", "all answered", "open_per_s"),
    ("a call with 10 MB there and 10 MB back", "ahead of Ray and Dask", "large_s"),
)
"""What, its target, and the key of the figure."""


def ours(*, calls: int, many: int, large: int) -> dict[str, float]:
    """The figures of Iris."""
    with cluster() as found:
        start(found)
        worker = ResourceSpec(cpu=1, memory="1GB")
        with found.client() as client, WorkerPool(client, WORKERS, resources=worker) as pool:
            return figures(
                lambda value: pool.submit(echo, value).result(),
                lambda value: pool.submit(echo, value),
                lambda futures: [future.result() for future in futures],
                calls=calls,
                many=many,
                large=large,
            )


def measure(
    *,
    ray: Path | None = None,
    dask: Path | None = None,
    calls: int = CALLS,
    many: int = OPEN,
    large: int = LARGE_BYTES,
) -> list[Figure]:
    """A line for each size, with what the peers took for theirs."""
    scripts = {"Ray": (ray, "pool_ray_run.py"), "Dask": (dask, "pool_dask_run.py")}
    return beside_peers(_LINES, ours(calls=calls, many=many, large=large), scripts)
