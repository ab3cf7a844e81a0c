"""Identifiers: minted from counters, spelled one way, and read back without a guess."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris.core.ids import (
    GroupName,
    JobId,
    SliceId,
    TaskId,
    UserName,
    WorkerId,
    attempt_name,
    is_name,
    job_id,
    slice_id,
    slice_of,
    split_task_id,
    task_id,
    worker_id,
)

names = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}", fullmatch=True)


def test_a_root_lies_below_its_user_and_a_child_below_its_parent() -> None:
    root = job_id(None, UserName("alice"), "train")
    assert root == "/alice/train"
    assert job_id(root, UserName("alice"), "eval") == "/alice/train/eval"


@given(user=names, path=st.lists(names, min_size=1, max_size=4), index=st.integers(0, 10**6))
def test_a_task_can_be_read_back_from_its_identifier(
    user: str, path: list[str], index: int
) -> None:
    job: JobId | None = None
    for name in path:
        job = job_id(job, UserName(user), name)
    assert job is not None
    assert split_task_id(task_id(job, index)) == (job, index)


@given(names)
def test_a_name_never_holds_what_separates_identifiers(name: str) -> None:
    assert is_name(name)
    assert not set(name) & set("/:@ ")


@pytest.mark.parametrize("text", ["", ".hidden", "-x", "a/b", "a:0", "a@1", "a b", "x" * 64, "é"])
def test_what_could_be_misread_is_no_name(text: str) -> None:
    assert not is_name(text)


def test_a_name_of_63_characters_is_the_longest() -> None:
    assert is_name("x" * 63)


def test_an_attempt_is_written_with_its_number() -> None:
    assert attempt_name(TaskId("/alice/train:3"), 2) == "/alice/train:3@2"


@pytest.mark.parametrize(
    ("group", "name"),
    [
        ("v5e", "iris-v5e-7"),
        ("TPU_v5e.16", "iris-tpu-v5e-16-7"),
        ("--", "iris-g-7"),
        ("g" * 63, f"iris-{'g' * 40}-7"),
    ],
)
def test_a_slice_bears_a_name_that_clouds_allow(group: str, name: str) -> None:
    assert slice_id(GroupName(group), 7) == name


@given(st.text(max_size=80), st.integers(1, 10**12))
def test_no_group_name_makes_a_slice_name_too_long_or_odd(group: str, number: int) -> None:
    name = slice_id(GroupName(group), number)
    assert len(name) <= 63
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_a_worker_is_named_after_its_slice_and_host() -> None:
    assert worker_id(SliceId("iris-v5e-7"), 3) == "iris-v5e-7-w3"
    assert slice_of(WorkerId("iris-w-w1-w3")) == "iris-w-w1"
