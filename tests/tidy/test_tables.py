"""Tables are total, states can be reached and left, and what crosses a boundary is frozen."""

import dataclasses
import itertools
import typing
from collections.abc import Mapping
from enum import Enum

import pytest

from iris.core import decisions, effects, events, lifecycle
from iris.core.lifecycle import (
    ATTEMPT_MOVES,
    ENDED_ATTEMPT,
    ENDED_JOB,
    ENDED_TASK,
    JOB_MOVES,
    SLICE_MOVES,
    TASK_MOVES,
    WORKER_MOVES,
    AttemptState,
    JobState,
    SliceState,
    TaskState,
    WorkerState,
    job_state_of,
)
from iris.core.retry import MEANING, EndCause
from iris.core.spec import ClusterSpec

Moves = Mapping[Enum, frozenset[Enum]]

MACHINES: list[tuple[type[Enum], Moves]] = [
    (JobState, typing.cast("Moves", JOB_MOVES)),
    (TaskState, typing.cast("Moves", TASK_MOVES)),
    (AttemptState, typing.cast("Moves", ATTEMPT_MOVES)),
    (SliceState, typing.cast("Moves", SLICE_MOVES)),
    (WorkerState, typing.cast("Moves", WORKER_MOVES)),
]
"""The cast only forgets which enum it is: a mapping does not vary with its keys."""

NAMES = [states.__name__ for states, _ in MACHINES]


@pytest.mark.parametrize(("states", "moves"), MACHINES, ids=NAMES)
def test_the_table_of_moves_mentions_every_state(states: type[Enum], moves: Moves) -> None:
    assert list(moves) == list(states)


@pytest.mark.parametrize(("states", "moves"), MACHINES, ids=NAMES)
def test_every_state_can_be_reached_from_the_first(states: type[Enum], moves: Moves) -> None:
    reached = {next(iter(states))}
    for _ in states:
        reached |= set(itertools.chain.from_iterable(moves[state] for state in reached))
    assert reached == set(states)


@pytest.mark.parametrize(("states", "moves"), MACHINES, ids=NAMES)
def test_no_state_moves_to_itself(states: type[Enum], moves: Moves) -> None:
    assert [state for state in states if state in moves[state]] == []


def test_an_end_is_final_but_for_a_member_of_a_gang_that_goes_back() -> None:
    assert [state for state in ENDED_JOB if JOB_MOVES[state]] == []
    assert [state for state in ENDED_ATTEMPT if ATTEMPT_MOVES[state]] == []
    left = {state: TASK_MOVES[state] for state in ENDED_TASK if TASK_MOVES[state]}
    assert left == {TaskState.SUCCEEDED: frozenset({TaskState.PENDING})}


def test_every_cause_of_an_end_has_one_meaning() -> None:
    assert list(MEANING) == list(EndCause)
    assert {meaning.state for meaning in MEANING.values()} == ENDED_ATTEMPT


def test_a_job_has_a_state_for_every_set_of_states_of_its_tasks() -> None:
    for count in range(1, len(TaskState) + 1):
        for tasks in itertools.combinations(TaskState, count):
            ended = all(task in ENDED_TASK for task in tasks)
            assert (job_state_of(tasks) in ENDED_JOB) == ended, tasks


def test_a_job_whose_tasks_wait_or_have_ended_may_be_pending_again() -> None:
    assert job_state_of([TaskState.SUCCEEDED, TaskState.PENDING]) is JobState.PENDING
    assert JobState.PENDING in JOB_MOVES[JobState.RUNNING]


MOST = 24
"""Kinds of facts, of decisions, of requests: more than a page of them is no vocabulary."""


def classes_of(alias: object) -> list[type]:
    return list(typing.get_args(alias))


CROSSING = [
    *classes_of(events.Event),
    *classes_of(decisions.Decision),
    *classes_of(effects.Effect),
    events.AttemptReport,
    events.SliceSighting,
    effects.Accepted,
    effects.Rejected,
    ClusterSpec,
]


@pytest.mark.parametrize("record", CROSSING, ids=lambda record: record.__name__)
def test_what_crosses_the_boundary_is_frozen_slotted_and_explained(record: type) -> None:
    assert dataclasses.is_dataclass(record)
    assert record.__dataclass_params__.frozen  # type: ignore[attr-defined]  # typeshed hides it
    assert "__slots__" in vars(record)
    assert not (record.__doc__ or "").startswith(f"{record.__name__}(")


@pytest.mark.parametrize(
    ("module", "alias"),
    [(events, events.Event), (decisions, decisions.Decision), (effects, effects.Effect)],
    ids=["Event", "Decision", "Effect"],
)
def test_every_record_of_a_module_is_in_its_union_or_part_of_one_that_is(
    module: object, alias: object
) -> None:
    members = classes_of(alias)
    assert len(members) <= MOST, "two that always come together are one"
    text = " ".join(str(field.type) for record in members for field in dataclasses.fields(record))
    for name, value in vars(module).items():
        mine = isinstance(value, type) and value.__module__ == getattr(module, "__name__", "")
        if mine and dataclasses.is_dataclass(value):
            assert value in members or name in text, f"{name} is in no union and no record"


def test_every_state_machine_is_under_these_tests() -> None:
    tables = [name for name in vars(lifecycle) if name.endswith("_MOVES")]
    assert len(tables) == len(MACHINES)
