"""An actor in a process of its own: a call there and back, many calls, large ones; beside Ray's and Dask's actors."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from iris.actor import ActorClient, FixedResolver
from tests.benchmarks.actor_work import CALLS, LARGE_BYTES, OPEN, figures
from tests.benchmarks.figures import Figure, milliseconds

_ROOT: Final = Path(__file__).parents[2]
_SERVER: Final = """
from iris.actor import ActorServer
from tests.benchmarks.actor_work import Echo
server = ActorServer()
server.register("echo", Echo())
print(server.serve().address, flush=True)
server.run()
"""
_LINES: Final = (
    ("a call of an actor, there and back", "under 1 ms", "trip_s"),
    ("calls of an actor, 2,000 submitted together", "3,000 a second", "calls_per_s"),
    ("5,000 calls of an actor open at once", "all answered", "open_per_s"),
    ("a call with 10 MB there and 10 MB back", "ahead of Ray and Dask", "large_s"),
)
"""What, its target, and the key of the figure."""


def ours(*, calls: int, many: int, large: int) -> dict[str, float]:
    """The figures of Iris."""
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVER], stdout=subprocess.PIPE, text=True, env=_environment()
    )
    assert server.stdout is not None
    try:
        resolver = FixedResolver(server.stdout.readline().strip())
        with ActorClient("echo", resolver) as client:
            return figures(
                client.echo,
                client.echo.submit,
                lambda futures: [future.result() for future in futures],
                calls=calls,
                many=many,
                large=large,
            )
    finally:
        server.terminate()
        server.communicate()


def peer(python: Path, script: str) -> dict[str, float]:
    """The figures of another system, by an interpreter that has it."""
    words = [str(python), str(Path(__file__).with_name(script))]
    done = subprocess.run(words, check=True, capture_output=True, text=True, env=_environment())
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(_ROOT)}


def measure(
    *,
    ray: Path | None = None,
    dask: Path | None = None,
    calls: int = CALLS,
    many: int = OPEN,
    large: int = LARGE_BYTES,
) -> list[Figure]:
    """A line for each size, with what the peers took for theirs."""
    scripts = {"Ray": (ray, "actor_ray_run.py"), "Dask": (dask, "actor_dask_run.py")}
    return beside_peers(_LINES, ours(calls=calls, many=many, large=large), scripts)


def beside_peers(
    lines: Sequence[tuple[str, str, str]],
    found: Mapping[str, float],
    scripts: Mapping[str, tuple[Path | None, str]],
) -> list[Figure]:
    """Figures of ours, each beside those of the peers of which an interpreter is named.

    Args:
        lines: what each figure is, its target, and its key.
        found: our figures by their keys.
        scripts: by the peer's name, an interpreter that has it, and the script that it runs.
    """
    peers = {
        name: peer(python, script)
        for name, (python, script) in scripts.items()
        if python is not None
    }
    return [
        Figure(
            what,
            target,
            shown(key, found[key]),
            "; ".join(f"{name}: {shown(key, theirs[key])}" for name, theirs in peers.items())
            or "no peer was named",
        )
        for what, target, key in lines
    ]


def shown(key: str, number: float) -> str:
    """A figure in the unit that its key ends with."""
    if key.endswith("_per_s"):
        return f"{number:,.0f}/s"
    return milliseconds(number)
