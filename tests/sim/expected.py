"""Runs a shipped scenario as a user does, and knows the file with what it must print.

`python -m tests.sim.expected` writes these files anew. A change of theirs needs a sentence in its
commit that says why the new story is right.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
SCENARIOS: Final = ROOT / "scenarios"
NEED_A_LOG: Final = frozenset({"nasa", "philly", "philly_slots"})
"""These read a log that is not part of the project."""

NAMES: Final = sorted(path.stem for path in SCENARIOS.glob("*.yaml"))
OWN: Final = [name for name in NAMES if name not in NEED_A_LOG]
_MAIN: Final = "import sys; from iris.cli.main import main; sys.exit(main())"
_WALL: Final = re.compile(r'("wall_s": )[0-9.e+-]+')


def printed(name: str, hash_seed: str) -> tuple[int, str]:
    """The exit status and the JSON of a scenario, without the one value that may differ."""
    command = [sys.executable, "-c", _MAIN, "sim", f"scenarios/{name}.yaml", "--json"]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    return run.returncode, _WALL.sub(r"\g<1>0", run.stdout) or run.stderr


def golden(name: str) -> Path:
    """The file with what a scenario must print."""
    return SCENARIOS / "expected" / f"{name}.json"


def main() -> None:
    """Write all files anew."""
    golden("any").parent.mkdir(exist_ok=True)
    for name in sys.argv[1:] or OWN:
        status, text = printed(name, "0")
        assert status == 0, (name, status, text)
        golden(name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
