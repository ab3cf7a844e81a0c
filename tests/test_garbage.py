"""The rule for looking for garbage: for a while, and then as before."""

import gc

from iris.garbage import rare_collections


def test_collections_are_rare_meanwhile_and_afterwards_as_before() -> None:
    before = gc.get_threshold()
    with rare_collections():
        assert gc.get_threshold()[0] > 1_000 * before[0]
        assert gc.isenabled()
    assert gc.get_threshold() == before
