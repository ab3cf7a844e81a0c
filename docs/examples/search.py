"""A search over two parameters by a pool of warm workers: coarse points first, then finer ones around the best.

    python docs/examples/search.py

Runs on a cluster of its own, on this machine. With `--cluster http://controller:10000` it runs on that one.
"""

import argparse
import itertools
import math
import random
from collections.abc import Iterator

from iris.client import IrisClient, WorkerPool
from iris.cluster.types import ResourceSpec

WORKERS = 2
ROUNDS = 4
Point = tuple[float, float]
"""A rate, and how much of the speed is kept from step to step."""


def loss_after(rate: float, kept: float) -> float:
    """What is left of a noisy valley's height after 200 steps down: the same for the same point."""
    dice = random.Random(7)
    x, y, fast, steep = 3.0, -2.0, 0.0, 0.0
    for _ in range(200):
        fast = kept * fast - rate * (2 * x + dice.gauss(0, 0.1))
        steep = kept * steep - rate * (20 * y + dice.gauss(0, 0.1))
        x, y = x + fast, y + steep
        if not math.isfinite(x * x + y * y):
            return math.inf
    return x * x + 10 * y * y


def around(best: Point, width: float) -> Iterator[Point]:
    """Nine points about one: rates by factors, what is kept by differences, neither out of its range."""
    for up, more in itertools.product((-1, 0, 1), repeat=2):
        yield best[0] * math.exp(up * width), min(0.99, max(0.0, best[1] + more * width / 4))


def search(pool: WorkerPool) -> tuple[Point, float]:
    """The best point that was met, and its loss."""
    best, least, width = (0.01, 0.5), math.inf, 1.6
    for number in range(ROUNDS):
        points = list(around(best, width))
        losses = list(pool.map(loss_after, *zip(*points, strict=True)))
        found = min(losses)
        if found < least:
            best, least = points[losses.index(found)], found
        width /= 2
        print(f"round {number}: rate {best[0]:.4f}, kept {best[1]:.3f}, loss {least:.6f}")
    return best, least


def main() -> None:
    """Search, on the cluster that was named or on one of its own."""
    parser = argparse.ArgumentParser(description="A search over a pool of warm workers.")
    parser.add_argument("--cluster", help="the controller's address; one of its own without")
    address = parser.parse_args().cluster
    with IrisClient.remote(address) if address else IrisClient.local() as client:
        need = ResourceSpec(cpu="0.5", memory="200MB")
        with WorkerPool(client, WORKERS, "search", resources=need) as pool:
            search(pool)


if __name__ == "__main__":
    main()
