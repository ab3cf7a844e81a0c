"""Clusters whose tasks run in containers, for tests: the engine, the image, what is left of them."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from iris.cluster.types import Entrypoint, ResourceSpec
from tests.cluster.running import RunningCluster, running, until

IMAGE = "iris-worker:test"
PATIENCE_S = 120.0
QUICK = {"worker_timeout": "5s", "retry_backoff": "100ms"}


def docker(*words: str) -> str:
    """What the engine's own client says."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def lacking() -> str:
    """Why these tests cannot run here; empty when they can."""
    if shutil.which("docker") is None:
        return "needs a Docker engine: apt-get install docker.io"
    probe = subprocess.run(["docker", "info"], capture_output=True, text=True, check=False)
    if probe.returncode:
        return "needs a Docker engine that answers"
    known = subprocess.run(["docker", "image", "inspect", IMAGE], capture_output=True, check=False)
    return f"needs the image {IMAGE}: run .ci/images" if known.returncode else ""


def containers(cluster: RunningCluster) -> list[str]:
    """Names of all containers of a cluster's workers."""
    listed = docker("ps", "-a", "--format", '{{.Names}} {{.Label "iris.host"}}').splitlines()
    pairs = [line.split(" ", 1) for line in listed if " " in line]
    return [name for name, host in pairs if host.startswith(str(cluster.root))]


def docked(
    root: Path,
    variables: Mapping[str, str] | None = None,
    image: str = IMAGE,
    timeouts: Mapping[str, str] = QUICK,
) -> Iterator[RunningCluster]:
    found = running(
        root,
        variables=variables,
        provider={"type": "local", "runtime": "docker"},
        docker={"image": image},
        timeouts=timeouts,
    )
    for cluster in found:
        try:
            yield cluster
        finally:
            _clear(cluster)


def _clear(cluster: RunningCluster) -> None:
    for name in containers(cluster):
        # Its worker may be removing it, too, so that it is the end that counts.
        subprocess.run(["docker", "rm", "-f", name], capture_output=True, check=False)
    until(lambda: not containers(cluster))


def shell(script: str) -> Entrypoint:
    return Entrypoint.from_command("sh", "-c", script)


SMALL = ResourceSpec(cpu="0.5", memory="64MB")
