"""How often worker and controller speak, as the real ones and the simulated ones do it."""

from typing import Final

from iris.core.instant import MINUTE, SECOND, Millis

LONG_POLL: Final = Millis(10 * SECOND)
"""The longest that an answer is put off, waiting for something to happen."""
CALL_DEADLINE: Final = Millis(2 * LONG_POLL)
"""Of a worker's call: a poll that is not answered by then is given up, for its line may be dead on one
side only."""
SILENT_AFTER: Final = Millis(LONG_POLL + 5 * SECOND)
"""A worker that polls speaks at least every `LONG_POLL`; so long without a word is a silence."""
LOOK_EVERY: Final = Millis(2 * SECOND)
"""Between two looks of the controller for silences."""
DEAF_AFTER: Final = Millis(5 * SECOND)
"""Between two looks: whoever was away for so long has heard nobody, and cannot call anybody silent."""
HEARD_BY: Final = Millis(5 * SECOND)
"""After it stood still, a controller has heard by then what was said meanwhile."""
FIRST_PAUSE: Final = Millis(100)
LONGEST_PAUSE: Final = Millis(2 * SECOND)
"""Of a worker between calls to a controller that is away, doubling from the first: much less than any
`worker_timeout`, so that one that comes back is found in time."""
ENDPOINT_LEASE: Final = Millis(MINUTE)
"""So long without a renewal an endpoint stays listed: a server that died without a word is looked for in
vain for no longer."""
RENEW_EVERY: Final = Millis(15 * SECOND)
"""Between two renewals by a server: three may be lost."""
FIRST_ORPHAN_TIMEOUT: Final = Millis(10 * MINUTE)
"""What a worker goes by until the controller tells it the cluster's."""
