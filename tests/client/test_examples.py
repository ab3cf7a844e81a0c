"""The example of a search over a pool runs as its first lines say; that of a training is in test_gangs."""

import re
import subprocess
import sys

from tests.tidy.tree import ROOT


def test_the_search_over_a_pool_finds_a_better_point_from_round_to_round() -> None:
    done = subprocess.run(
        [sys.executable, "docs/examples/search.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    losses = [float(loss) for loss in re.findall(r"^round \d: .*, loss (\S+)$", done.stdout, re.M)]
    assert len(losses) == 4
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]
