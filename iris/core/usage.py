"""What a user has used, older use counting less: the memory of the fair order.

Time is cut into half-lives, counted from 0. At the end of each, everything that was used before
counts half. Integers only, so that every machine forgets alike.
"""

from typing import Final

from iris.core.instant import Instant, Millis
from iris.core.records import Usage

_FORGOTTEN_AFTER: Final = 64
"""Half-lives after which nothing of an amount below 2**64 is left."""


def accrued(usage: Usage, now: Instant, half_life: Millis) -> int:
    """A user's use of a band up to now, in milli-core-milliseconds."""
    amount, at = usage.accrued, usage.since
    epoch, last = at // half_life, now // half_life
    if last - epoch > _FORGOTTEN_AFTER:
        # Of a constant rate, what is older than the present half-life counts as one half-life.
        return usage.rate * half_life + usage.rate * (now % half_life)
    while epoch < last:
        epoch += 1
        boundary = Instant(epoch * half_life)
        amount = (amount + usage.rate * (boundary - at)) >> 1
        at = boundary
    return amount + usage.rate * (now - at)
