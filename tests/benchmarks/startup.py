"""How long `iris --help` takes as a whole process."""

import statistics
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.benchmarks.figures import Figure, milliseconds, timed

ROOT: Final = Path(__file__).parents[2]
HELP: Final = "import sys; sys.argv = ['iris', '--help']; from iris.cli.main import main; main()"


def measure(*, repeats: int = 7) -> list[Figure]:
    """The median of some starts, beside those of a bare interpreter and of the library it needs."""
    ours = _median(HELP, repeats)
    click = _median("import click", repeats)
    bare = _median("pass", repeats)
    beside = f"python alone {milliseconds(bare)}, with click {milliseconds(click)}"
    return [Figure("`iris --help`, as a whole process", "under 0.2 s", milliseconds(ours), beside)]


def _median(program: str, repeats: int) -> float:
    return statistics.median(timed(lambda: _run(program))[0] for _ in range(repeats))


def _run(program: str) -> None:
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True)
