"""Whether this task is asked to stop, as a question that a loop can ask between two steps."""

import os
import signal
import time
from types import FrameType


class StopNotice:
    """What SIGTERM has said so far: that the task shall end, and is killed when its grace is over."""

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self._given_at: float | None = None
        before = signal.getsignal(signal.SIGTERM)
        self._before = before if callable(before) else None
        signal.signal(signal.SIGTERM, self._hear)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self._given_at is None:
            self._given_at = time.monotonic()
        if self._before is not None:
            self._before(number, frame)

    @property
    def is_given(self) -> bool:
        """Whether the task shall save what it has, and end."""
        return self._given_at is not None

    @property
    def remaining_s(self) -> float | None:
        """Seconds that are left before SIGKILL, 0 at least; nothing before the notice is given."""
        if self._given_at is None:
            return None
        return max(0.0, self._given_at + self._grace_s - time.monotonic())


def stop_notice() -> StopNotice:
    """The notice that this task will be given, if it is evicted or preempted; until then it stops at nothing.

    SIGTERM ends this process no more; what was to be called at it, still is.

    Raises:
        RuntimeError: this process is no task of Iris.
        ValueError: this is not the main thread, which alone is told of signals.
    """
    if "IRIS_STOP_GRACE_SECONDS" not in os.environ:
        raise RuntimeError("this process is no task of Iris: IRIS_STOP_GRACE_SECONDS is not set")
    return StopNotice(float(os.environ["IRIS_STOP_GRACE_SECONDS"]))
