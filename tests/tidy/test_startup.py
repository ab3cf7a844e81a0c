"""`iris --help` is quick because it imports nothing that it does not need."""

from typing import Final

from tests.tidy.tree import run_python

HEAVY: Final = (
    "altair", "asyncio", "docker", "google", "grpc", "numpy", "pydantic", "rich", "sim", "simpy",
    "sqlite3", "yaml",
)  # fmt: skip

HELP: Final = """
import sys
sys.argv = ["iris", "--help"]
from iris.cli.main import main
status = main()
print(" ".join(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr)
sys.exit(status)
"""


def test_help_imports_nothing_heavy() -> None:
    done = run_python("-c", HELP)
    assert done.returncode == 0, done.stderr
    loaded = done.stderr.split()
    assert "click" in loaded
    assert [name for name in HEAVY if name in loaded] == []
