"""When a slice costs: the one rule behind pages, metrics and the results that a journal is retold to."""

from iris.core.instant import Instant
from iris.core.records import Slice


def paid_from(slice_: Slice) -> Instant | None:
    """Since when a slice costs: since the cloud took the request for it; nothing if it never did.

    A create that was refused after all costs nothing, however long the refusal took.
    """
    return None if slice_.failure else slice_.accepted_at


def paid_until(slice_: Slice, lost_at: Instant | None) -> Instant | None:
    """Until when a slice costs: until it was lost as a whole, or is gone; nothing while it still costs.

    Args:
        slice_: as it is on record.
        lost_at: when it was found to be lost, if it was: what is lost costs no more, however long its
            delete takes.
    """
    return slice_.gone_at if lost_at is None else lost_at
