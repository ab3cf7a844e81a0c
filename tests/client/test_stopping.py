"""The notice that a task is given before it is stopped."""

import signal
from collections.abc import Iterator

import pytest

from iris.client import stop_notice


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """What a handler of SIGTERM that was there before has heard, in a process that seems to be a task."""
    monkeypatch.setenv("IRIS_STOP_GRACE_SECONDS", "25")
    found: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: found.append(number))
    yield found
    signal.signal(signal.SIGTERM, before)


def test_a_notice_is_given_by_the_first_sigterm_and_runs_out(
    heard: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    notice = stop_notice()
    assert (notice.is_given, notice.remaining_s) == (False, None)
    clock = iter([100.0, 110.0, 126.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)  # As a worker does whose first one may have been missed.
    assert notice.is_given
    assert [notice.remaining_s, notice.remaining_s] == [15.0, 0.0]
    monkeypatch.undo()
    assert heard == [signal.SIGTERM, signal.SIGTERM]


def test_whoever_is_no_task_is_given_no_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IRIS_STOP_GRACE_SECONDS", raising=False)
    with pytest.raises(RuntimeError, match="this process is no task of Iris"):
        stop_notice()
