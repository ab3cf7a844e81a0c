"""Objects for programs: jobs, slices, workers and groups, as commands and pages print them alike."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from iris.units import timestamp

if TYPE_CHECKING:
    from iris.rpc import iris_pb2 as pb

Fields = dict[str, object]


def reason(job: "pb.Job") -> str:
    """Why a job is as it is, from itself or one of its tasks; nothing of losses that were made good."""
    tasks = () if job.state == "succeeded" else job.details
    return job.why or next((task.why for task in tasks if task.why), "")


def parent_of(id: str) -> str | None:
    """The path of the job above one; nothing above the root of a tree."""
    return id.rpartition("/")[0] if id.count("/") > 2 else None


def job(told: "pb.Job") -> Fields:
    """Kind `Job`; environment values are not told by the controller."""
    found: Fields = {
        "id": told.id,
        "parent": parent_of(told.id),
        "depth": told.id.count("/") - 2,
        "state": told.state,
        "user": told.user,
        "band": told.band,
        "submitted_at": timestamp(told.submitted_at_ms),
        "ended_at": timestamp(told.ended_at_ms) if told.HasField("ended_at_ms") else None,
        "tasks": {count.state: count.number for count in told.tasks},
        "why": reason(told),
    }
    if told.HasField("spec"):
        found["constraints"] = [
            {
                "key": one.key,
                "op": one.op,
                "values": list(one.values),
                "soft": one.soft,
                "inherited": one.inherited,
            }
            for one in told.spec.constraints
        ]
        found["children"] = list(told.children)
    if told.details:
        found["attempts"] = [it for task in told.details for it in _attempts(task)]
    return found


def task(told: "pb.Task") -> Fields:
    """Kind `Task`."""
    return {
        "id": told.id,
        "state": told.state,
        "why": told.why,
        "attempts": list(_attempts(told)),
    }


def _attempts(told: "pb.Task") -> Iterator[Fields]:
    for attempt in told.attempts:
        yield {
            "task": told.id,
            "attempt": attempt.number,
            "state": attempt.state,
            "cause": attempt.cause,
            "detail": attempt.detail,
            "worker": attempt.worker,
            "slice": attempt.slice,
        }


def worker(told: "pb.Worker") -> Fields:
    """Kind `Worker`."""
    return {
        "id": told.id,
        "slice": told.slice,
        "host": told.host,
        "address": told.address,
        "state": told.state,
        "cordoned": told.cordoned,
        "cpu": told.offers.cpu_milli / 1_000,
        "cpu_used": told.committed.cpu_milli / 1_000,
        "memory_bytes": told.offers.memory_bytes,
        "memory_bytes_used": told.committed.memory_bytes,
        "tasks": list(told.tasks),
    }


def slice_(told: "pb.Slice") -> Fields:
    """Kind `Slice`."""
    return {
        "id": told.id,
        "group": told.group,
        "zone": told.zone,
        "state": told.state,
        "workers": list(told.workers),
        "requested_at": timestamp(told.requested_at_ms),
        "ready_at": timestamp(told.ready_at_ms) if told.HasField("ready_at_ms") else None,
        "tasks": told.live,
        "why": told.why,
    }


def group(told: "pb.Group") -> Fields:
    """One of the groups of kind `Cluster`."""
    return {
        "name": told.name,
        "accelerator_type": told.accelerator_type,
        "min_slices": told.min_slices,
        "max_slices": told.max_slices,
        "slices": {count.state: count.number for count in told.slices},
        "scaling": list(told.scaling),
    }
