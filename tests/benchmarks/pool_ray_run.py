"""Ray's figures for tasks on two workers; run by an interpreter that has `ray[default]`. Prints one line of JSON."""

import json
import sys

import ray  # type: ignore[import-not-found]  # another interpreter has it

from tests.benchmarks.actor_work import echo, figures


def main() -> None:
    """Start a cluster, measure, stop it."""
    ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False)
    task = ray.remote(echo)
    found = figures(lambda value: ray.get(task.remote(value)), task.remote, ray.get)
    ray.shutdown()
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
