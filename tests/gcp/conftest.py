"""Fixtures of the fake cloud."""

from collections.abc import Iterator

import pytest

from iris.core.instant import Millis
from sim.dice import Constant
from sim.model import CloudModel
from tests.gcp.fake_google import FakeGoogle, serve
from tests.gcp.fake_time import HandClock

BOOT_S = 100


@pytest.fixture
def fake_google() -> Iterator[FakeGoogle]:
    """A cloud whose slices boot in 100 s, whose clock stands still, and which is kind."""
    model = CloudModel(boot=Constant(Millis(BOOT_S * 1000)), delete=Constant(Millis(30_000)))
    with serve(model=model, clock=HandClock()) as google:
        yield google
