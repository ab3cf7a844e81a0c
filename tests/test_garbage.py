"""The rule for looking for garbage: for a while, and then as before."""

import gc
import subprocess
import sys

from iris.garbage import rare_collections


def test_collections_are_rare_meanwhile_and_afterwards_as_before() -> None:
    before = gc.get_threshold()
    with rare_collections():
        assert gc.get_threshold()[0] > 1_000 * before[0]
        assert gc.isenabled()
    assert gc.get_threshold() == before


def test_a_process_that_ends_looks_for_none() -> None:
    program = """
from iris.garbage import rare_collections
class Ring:
    def __init__(self):
        self.own = self
    def __del__(self):
        print("collected")
with rare_collections():
    Ring()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b""
