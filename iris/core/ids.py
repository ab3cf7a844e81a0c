"""Identifiers: one type each, how they are minted, and how they are spelled.

A job is a path, `/alice/train/eval`: the user, then the names of the tree from its root. A task
is the path, a colon and its index, `/alice/train/eval:3`; an attempt adds `@` and its number. A
name holds neither of `/ : @`, so every identifier can be read back without a guess.

Identifiers are minted from counters in the state, never from dice: asking twice is asking once.
"""

import re
from typing import Final, NewType

JobId = NewType("JobId", str)
TaskId = NewType("TaskId", str)
SliceId = NewType("SliceId", str)
WorkerId = NewType("WorkerId", str)
GroupName = NewType("GroupName", str)
Zone = NewType("Zone", str)
RequestId = NewType("RequestId", str)
UserName = NewType("UserName", str)
EndpointId = NewType("EndpointId", str)

NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")
"""What a user's or a job's own name may be: the file and URL safe characters, 63 at most."""


def is_name(text: str) -> bool:
    """Whether `text` may stand for a user or a job in a path."""
    return NAME.fullmatch(text) is not None


def job_id(parent: JobId | None, user: UserName, name: str) -> JobId:
    """The path of a job under its parent, or under its user when it is a root."""
    return JobId(f"{parent}/{name}" if parent is not None else f"/{user}/{name}")


def task_id(job: JobId, index: int) -> TaskId:
    """The identifier of a job's task number `index`."""
    return TaskId(f"{job}:{index}")


def split_task_id(task: TaskId) -> tuple[JobId, int]:
    """The job and the index that a task's identifier names."""
    job, _, index = task.rpartition(":")
    return JobId(job), int(index)


def attempt_name(task: TaskId, attempt: int) -> str:
    """How an attempt is written for people and for container labels."""
    return f"{task}@{attempt}"


def endpoint_id(task: TaskId, attempt: int, name: str, address: str, job: int) -> EndpointId:
    """The identity of an endpoint: the same for whoever asks again, and never that of another.

    A job's path may come back when it was forgotten, so its number (`job`) belongs to it.
    """
    return EndpointId(f"{attempt_name(task, attempt)}/{name}@{address}#{job}")


def slice_id(group: GroupName, number: int) -> SliceId:
    """The name of a group's slice; clouds want lower case letters, digits and hyphens.

    The group's name keeps at most 40 of the 63 characters that a cloud allows, the number the rest.
    """
    stem = re.sub(r"[^a-z0-9]+", "-", group.lower()).strip("-")[:40] or "g"
    return SliceId(f"iris-{stem}-{number}")


def worker_id(slice_: SliceId, host: int) -> WorkerId:
    """The identity of the agent on a slice's host number `host`."""
    return WorkerId(f"{slice_}-w{host}")


def slice_of(worker: WorkerId) -> SliceId:
    """The slice that a worker's identity names."""
    return SliceId(worker.rpartition("-w")[0])
