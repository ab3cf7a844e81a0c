"""A cloud model as unkind as the reports of real ones: the defaults that gcp.md proposes in section 5.

No public distribution is known for most of them; what is a guess there is a guess here. Spans are in
milliseconds.
"""

from typing import Final

from iris.core.instant import HOUR, MINUTE, SECOND, Millis
from sim.dice import Constant, Exponential, Lognormal, Uniform
from sim.model import (
    Bulk,
    CloudModel,
    CreateFailures,
    Delayed,
    Lists,
    Vanishing,
    Weather,
)

TYPICAL: Final = CloudModel(
    boot=Lognormal(100 * SECOND, 0.5),
    straggler=Delayed(0.01, Uniform(Millis(10 * MINUTE), Millis(60 * MINUTE))),
    delete=Uniform(Millis(30 * SECOND), Millis(120 * SECOND)),
    verdict=Uniform(Millis(20 * SECOND), Millis(70 * SECOND)),
    weather=Weather(Exponential(Millis(8 * HOUR)), Exponential(Millis(3 * HOUR))),
    lifetime=Exponential(Millis(16 * HOUR)),
    lifetime_max=Millis(24 * HOUR),
    bulk=Bulk(2.1, 6),
    notice=Millis(30 * SECOND),
    notice_lost=0.1,
    vanishing=Vanishing(other_state=0.10, not_found=0.05),
    create_failures=CreateFailures(internal=0.01),
    lists=Lists(without_newest=0.01, zone_missing=0.01, error=0.01),
    recycle_addresses=True,
)
"""Spot TPU slices: stock comes and goes, so do they."""

KIND: Final = CloudModel(boot=Constant(Millis(30 * SECOND)), delete=Constant(Millis(20 * SECOND)))
"""Machines of Compute Engine that are always to be had, and stay."""
