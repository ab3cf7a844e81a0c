"""The worker's machine: starts what it is told, stops what it is not, forgets only what is on record."""

from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from iris.core.agent import (
    Agent,
    Discard,
    Ended,
    Fact,
    Found,
    Kill,
    Launch,
    Phase,
    Request,
    ShutdownNoticed,
    Started,
    Terminate,
    Told,
)
from iris.core.desired import DesiredSet, WantedAttempt
from iris.core.events import AttemptReport
from iris.core.ids import TaskId
from iris.core.instant import Instant, Millis
from iris.core.lifecycle import AttemptState
from iris.core.retry import EndCause

TASK: Final = TaskId("/alice/train:0")
GRACE: Final = Millis(1_000)
ORPHAN: Final = Millis(600_000)


class Story:
    """An agent, the time, and what it asked for last."""

    def __init__(self) -> None:
        self.agent = Agent(now=Instant(0), orphan_timeout=ORPHAN)
        self.now = Instant(0)
        self.version = 0

    def step(self, *facts: Fact) -> list[Request]:
        return self.agent.step(self.now, facts)

    def told(self, *wanted: WantedAttempt, version: int | None = None) -> list[Request]:
        self.version = self.version + 1 if version is None else version
        return self.step(Told(DesiredSet(self.version, wanted)))

    def advance(self, millis: int) -> list[Request]:
        self.now = Instant(self.now + millis)
        return self.step()

    def report(self) -> AttemptReport:
        (report,) = self.agent.reports()
        return report


def want(attempt: int = 0, *, stop: bool = False, seen: bool = False) -> WantedAttempt:
    return WantedAttempt(TASK, attempt, 0, stop=stop, grace=GRACE if stop else Millis(0), seen=seen)


def running() -> Story:
    story = Story()
    story.told(want())
    story.step(Started(TASK, 0))
    return story


def test_what_it_is_told_to_have_it_launches_once() -> None:
    story = Story()
    assert story.told(want()) == [Launch(want())]
    assert story.told(want()) == []
    assert story.report() == AttemptReport(TASK, 0, AttemptState.BUILDING)
    assert story.agent.version == 2
    story.step(Started(TASK, 0))
    assert story.report() == AttemptReport(TASK, 0, AttemptState.RUNNING)
    assert story.agent.live() == 1


def test_an_end_is_kept_until_the_controller_no_longer_wants_the_attempt() -> None:
    story = running()
    story.step(Ended(TASK, 0, EndCause.EXIT_ZERO))
    ended = AttemptReport(TASK, 0, AttemptState.SUCCEEDED, EndCause.EXIT_ZERO)
    assert story.report() == ended
    assert story.told(want()) == []
    assert story.report() == ended
    assert story.told() == [Discard(TASK, 0)]
    assert story.agent.reports() == ()
    assert story.agent.live() == 0


def test_each_cause_ends_in_its_state() -> None:
    for cause, state in (
        (EndCause.EXIT_ZERO, AttemptState.SUCCEEDED),
        (EndCause.EXIT_NONZERO, AttemptState.FAILED),
        (EndCause.OUT_OF_MEMORY, AttemptState.FAILED),
        (EndCause.LAUNCH, AttemptState.WORKER_FAILED),
        (EndCause.BUILD, AttemptState.FAILED),
        (EndCause.REQUESTED, AttemptState.KILLED),
    ):
        story = running()
        story.step(Ended(TASK, 0, cause, "so"))
        assert story.report() == AttemptReport(TASK, 0, state, cause, "so")


def test_i_20_a_stop_is_sigterm_then_a_grace_then_sigkill_and_no_end_before_it_is_seen() -> None:
    story = running()
    assert story.told(want(stop=True)) == [Terminate(TASK, 0)]
    assert story.told(want(stop=True)) == []
    assert story.agent.next_deadline() == Instant(GRACE)
    assert story.advance(GRACE - 1) == []
    assert story.advance(1) == [Kill(TASK, 0)]
    assert story.advance(1) == []
    assert story.report().state is AttemptState.RUNNING  # It is, until it is seen to be gone.


def test_what_was_stopped_names_no_cause_of_its_own_though_it_ends_well() -> None:
    story = running()
    story.told(want(stop=True))
    story.step(Ended(TASK, 0, EndCause.EXIT_ZERO))
    assert story.report() == AttemptReport(TASK, 0, AttemptState.KILLED)
    assert story.agent.next_deadline() == Instant(ORPHAN)


def test_a_stop_is_never_taken_back_by_an_older_word() -> None:
    story = running()
    story.told(want(stop=True), version=5)
    assert story.told(want(), version=4) == []
    assert story.agent.version == 5
    assert story.agent.held[TASK, 0].phase is Phase.STOPPING
    assert story.told(want(), version=6) == []
    assert story.agent.held[TASK, 0].phase is Phase.STOPPING


def test_an_older_desired_set_stops_nothing_that_came_later() -> None:
    story = Story()
    story.told(want(), version=7)
    assert story.told(version=6) == []
    assert story.agent.held[TASK, 0].phase is Phase.LAUNCHING


def test_what_nobody_wants_is_stopped_at_once_and_then_forgotten() -> None:
    story = running()
    assert story.told() == [Terminate(TASK, 0), Kill(TASK, 0)]
    story.step(Ended(TASK, 0, EndCause.EXIT_NONZERO))
    assert story.told() == [Discard(TASK, 0)]


def test_what_is_to_stop_before_it_came_here_ends_without_ever_starting() -> None:
    story = Story()
    assert story.told(want(stop=True)) == []
    assert story.report().state is AttemptState.KILLED


def test_an_attempt_that_was_seen_and_is_lost_is_not_run_a_second_time() -> None:
    story = Story()
    assert story.told(want(seen=True)) == []
    assert story.report() == AttemptReport(
        TASK, 0, AttemptState.KILLED, None, "this host does not have it"
    )


def test_a_restarted_agent_takes_up_what_runs() -> None:
    story = Story()
    story.step(Found(TASK, 0))
    assert story.report().state is AttemptState.RUNNING
    assert story.told(want(seen=True)) == []
    story.step(Ended(TASK, 0, EndCause.EXIT_ZERO))
    assert story.report().state is AttemptState.SUCCEEDED


def test_facts_about_what_is_not_held_or_over_change_nothing() -> None:
    story = Story()
    story.step(Started(TASK, 3), Ended(TASK, 3, EndCause.EXIT_ZERO))
    assert story.agent.reports() == ()
    story = running()
    story.step(Ended(TASK, 0, EndCause.EXIT_ZERO))
    story.step(Started(TASK, 0), Ended(TASK, 0, EndCause.EXIT_NONZERO))
    assert story.report().state is AttemptState.SUCCEEDED


def test_a_worker_without_a_word_from_its_controller_stops_its_tasks_once() -> None:
    story = running()
    assert story.advance(ORPHAN - 1) == []
    assert story.advance(1) == [Terminate(TASK, 0), Kill(TASK, 0)]
    assert story.agent.next_deadline() is None
    assert not story.agent.is_forsaken(), "its task has not ended yet"
    story.step(Ended(TASK, 0, EndCause.EXIT_NONZERO))
    assert story.agent.is_forsaken()
    assert story.advance(ORPHAN) == []
    story.told(want())
    assert not story.agent.is_forsaken()
    assert story.agent.next_deadline() == story.now + ORPHAN


def test_a_word_in_time_keeps_the_tasks_running() -> None:
    story = running()
    story.advance(ORPHAN - 1)
    story.told(want())
    assert story.advance(ORPHAN - 1) == []


def test_a_worker_that_ends_starts_nothing_and_stops_what_runs() -> None:
    story = running()
    assert story.step(ShutdownNoticed(GRACE)) == [Terminate(TASK, 0)]
    other = WantedAttempt(TaskId("/alice/train:1"), 0, 1)
    assert story.told(want(), other) == []
    assert story.advance(GRACE) == [Kill(TASK, 0)]


_WANTED: Final = st.builds(
    WantedAttempt,
    st.sampled_from([TaskId("/a/b:0"), TaskId("/a/b:1")]),
    st.integers(0, 1),
    st.just(0),
    stop=st.booleans(),
    seen=st.booleans(),
)
_KEYS: Final = st.tuples(st.sampled_from([TaskId("/a/b:0"), TaskId("/a/b:1")]), st.integers(0, 1))
_FACTS: Final[st.SearchStrategy[Fact]] = st.one_of(
    st.builds(
        Told,
        st.builds(
            DesiredSet,
            st.integers(0, 5),
            st.lists(_WANTED, max_size=3, unique_by=lambda w: (w.task, w.attempt)).map(tuple),
        ),
    ),
    _KEYS.map(lambda key: Started(*key)),
    _KEYS.map(lambda key: Ended(*key, EndCause.EXIT_ZERO)),
)


@given(st.lists(st.tuples(_FACTS, st.integers(0, 400_000)), max_size=30))
def test_whatever_happens_an_attempt_is_launched_once_and_killed_after_its_sigterm(
    story: list[tuple[Fact, int]],
) -> None:
    agent, now = Agent(now=Instant(0), orphan_timeout=ORPHAN), Instant(0)
    live: set[tuple[TaskId, int]] = set()
    asked: set[tuple[TaskId, int]] = set()
    for fact, span in story:
        now = Instant(now + span)
        for request in agent.step(now, [fact]):
            match request:
                case Launch(wanted):
                    assert (wanted.task, wanted.attempt) not in live
                    live.add((wanted.task, wanted.attempt))
                case Terminate(task, attempt):
                    asked.add((task, attempt))
                case Kill(task, attempt):
                    assert (task, attempt) in asked
                case Discard(task, attempt):
                    assert (task, attempt) not in agent.held
                    live.discard((task, attempt))
                    asked.discard((task, attempt))
        assert {(report.task, report.attempt) for report in agent.reports()} == agent.held.keys()
        assert agent.step(now, []) == []
