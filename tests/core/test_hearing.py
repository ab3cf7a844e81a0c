"""Who has fallen silent: those who were heard, wait for nothing, and have said nothing for long."""

from iris.core.hearing import Hearing
from iris.core.ids import WorkerId
from iris.core.instant import SECOND, Instant, Millis
from iris.core.lifecycle import WorkerState
from iris.core.records import Worker
from tests.harness import Script, cpu_group, fleet

SILENT, DEAF = Millis(15 * SECOND), Millis(10 * SECOND)
W0 = WorkerId("iris-cpu-1-w0")


def listening() -> tuple[Hearing, dict[WorkerId, Worker]]:
    script: Script = fleet(cpu_group(min_slices=1))
    hearing = Hearing(Instant(0), silent_after=SILENT, deaf_after=DEAF)
    hearing.heard(W0, "first", Instant(0))
    return hearing, script.controller.state.workers


def looked(hearing: Hearing, workers: dict[WorkerId, Worker], until: int) -> list[int]:
    """When silences were told, looking every five seconds."""
    return [at for at in range(0, until, 5 * SECOND) for _ in hearing.look(Instant(at), workers)]


def test_a_silence_is_told_once_with_when_it_began() -> None:
    hearing, workers = listening()
    assert looked(hearing, workers, 60 * SECOND) == [20 * SECOND]
    hearing.heard(W0, "first", Instant(60 * SECOND))
    (silence,) = (s for at in range(60, 90, 5) for s in hearing.look(Instant(at * SECOND), workers))
    assert (silence.worker, silence.since) == (W0, 60 * SECOND)


def test_who_waits_for_an_answer_is_not_silent() -> None:
    hearing, workers = listening()
    assert hearing.knows(W0, "first")
    hearing.waits(W0, "first", 1)
    assert looked(hearing, workers, 60 * SECOND) == []
    hearing.waits(W0, "first", -1)
    hearing.waits(W0, "another", 1)
    assert [s.worker for s in hearing.look(Instant(61 * SECOND), workers)] == [W0]


def test_another_run_of_an_agent_begins_anew() -> None:
    hearing, workers = listening()
    hearing.waits(W0, "first", 1)
    hearing.heard(W0, "second", Instant(5 * SECOND))
    assert not hearing.knows(W0, "first")
    assert looked(hearing, workers, 60 * SECOND) == [25 * SECOND]


def test_i_69_whoever_did_not_look_calls_nobody_silent() -> None:
    hearing, workers = listening()
    assert not hearing.look(Instant(600 * SECOND), workers)
    assert not hearing.look(Instant(610 * SECOND), workers)
    assert hearing.look(Instant(616 * SECOND), workers)


def test_only_healthy_workers_that_are_there_fall_silent() -> None:
    hearing, workers = listening()
    workers[W0].state = WorkerState.SILENT
    assert looked(hearing, workers, 60 * SECOND) == []
    hearing.look(Instant(60 * SECOND), {})
    assert not hearing.knows(W0, "first")


def test_a_worker_was_last_heard_when_it_spoke_and_is_heard_while_its_poll_waits() -> None:
    hearing, _ = listening()
    later = Instant(7 * SECOND)
    assert hearing.heard_at(W0, later) == 0
    hearing.waits(W0, "first", 1)
    assert hearing.heard_at(W0, later) == later
    assert hearing.heard_at(WorkerId("nobody"), later) is None
