"""The log of a million lines, as the dashboard reads it: its end, a search, a filter, and what memory that takes.

The line that is looked for is near the end, so that a search has to go on behind what one request looks through, as
somebody does who asks again. It must be found at the byte that `grep` names, and there again when the log has grown.
"""

import subprocess
import tracemalloc
from pathlib import Path
from tempfile import TemporaryDirectory

from iris.dashboard import logs
from tests.benchmarks.figures import Figure, milliseconds, timed

NEEDLE = "The needle"


def measure_log(lines: int = 1_000_000) -> list[Figure]:
    """Times of a log's windows, and the most memory that any of them took."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "0.log"
        with path.open("w") as file:
            for number in range(lines):
                file.write(
                    f"2026-11-28T12:00:00Z step {number}, loss {1 / (number + 1):.9f}, and more words of a trainer\n"
                )
                if number == lines - 10:
                    file.write(f"{NEEDLE} is here\n")
        size = path.stat().st_size
        end_s, _ = timed(lambda: logs.at_end(path))
        search_s, (at, requests) = timed(lambda: search(path))
        grep_s, said = timed(
            lambda: subprocess.run(
                ["grep", "-bi", NEEDLE, path], check=True, capture_output=True, text=True
            )
        )
        assert int(said.stdout.partition(":")[0]) == at
        tracemalloc.start()
        search(path)
        logs.holding(path, NEEDLE, 0)
        logs.at_end(path)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        with path.open("a") as file:
            file.write("one more line\n" * 1_000)
        assert logs.after(path, at).lines[0].text == f"{NEEDLE} is here"
    what = f"a log of {lines:,} lines, {size >> 20} MiB"
    return [
        Figure(f"{what}: its end", "under 50 ms", milliseconds(end_s), ""),
        Figure(
            f"{what}: a search to its end",
            "",
            f"{milliseconds(search_s)} in {requests} requests, {peak / (1 << 20):.1f} MiB",
            f"`grep`: {milliseconds(grep_s)}",
        ),
    ]


def search(path: Path) -> tuple[int, int]:
    """Where the needle is, and how many requests it took to find it."""
    hit, requests = logs.next_place(path, NEEDLE.upper(), 0), 1
    while hit.at is None:
        assert hit.go_on, "it is not there"
        hit, requests = logs.next_place(path, NEEDLE.upper(), hit.go_on), requests + 1
    return hit.at, requests
