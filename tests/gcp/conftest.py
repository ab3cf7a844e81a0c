"""Fixtures of the fake cloud."""

from collections.abc import Iterator

import pytest

from iris.core.instant import Millis
from sim.dice import Constant
from sim.model import CloudModel
from tests.gcp.fake_google import FakeGoogle, serve
from tests.gcp.fake_time import HandClock

BOOT_S = 100
DELETE_S = 30
MODEL = CloudModel(boot=Constant(Millis(BOOT_S * 1000)), delete=Constant(Millis(DELETE_S * 1000)))


@pytest.fixture
def fake_google() -> Iterator[FakeGoogle]:
    """A cloud whose machines boot in 100 s and go in 30 s, whose clock stands still, and which is kind."""
    with serve(model=MODEL, compute_model=MODEL, clock=HandClock()) as google:
        yield google
