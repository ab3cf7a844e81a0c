"""Ray's figures for an actor; run by an interpreter that has `ray[default]`. Prints one line of JSON."""

import json
import sys

import ray  # type: ignore[import-not-found]  # another interpreter has it

from tests.benchmarks.actor_work import Echo, figures


def main() -> None:
    """Start a cluster, measure, stop it."""
    ray.init(num_cpus=4, log_to_driver=False, include_dashboard=False)
    actor = ray.remote(Echo).remote()
    found = figures(lambda value: ray.get(actor.echo.remote(value)), actor.echo.remote, ray.get)
    ray.shutdown()
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
