"""Where a task is, seen from inside it."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from iris.client.client import IrisClient

if TYPE_CHECKING:
    from iris.actor.cluster import ClusterRegistry, ClusterResolver


@dataclass(frozen=True, slots=True)
class IrisContext:
    """The task that this process runs."""

    job_id: str
    task_id: str
    task_index: int
    num_tasks: int
    attempt_id: int
    worker_id: str
    controller_address: str
    advertise_host: str

    def port(self, name: str) -> int:
        """The number of a port that the job asked for.

        Raises:
            KeyError: it asked for none of that name.
        """
        return int(os.environ[f"IRIS_PORT_{name.upper()}"])

    def registry(self) -> "ClusterRegistry":
        """Where this task lists what it serves; what an `ActorServer` in it takes by itself."""
        from iris.actor.cluster import registry_of_task

        return registry_of_task()

    def resolver(self, job: str | None = None) -> "ClusterResolver":
        """Finds actors of a job and those below it; of this task's whole tree if none is named."""
        from iris.actor.cluster import resolver_of_task

        return resolver_of_task(job)

    def client(self, *, workspace: Path | None = None) -> IrisClient:
        """A client whose jobs are children of this one."""
        user = self.job_id.split("/")[1]
        return IrisClient.remote(self.controller_address, workspace=workspace, user=user)


def iris_ctx() -> IrisContext:
    """The task that this process runs.

    Raises:
        RuntimeError: it runs none.
    """
    if "IRIS_TASK_ID" not in os.environ:
        raise RuntimeError("this process is no task of Iris: IRIS_TASK_ID is not set")
    return IrisContext(
        job_id=os.environ["IRIS_JOB_ID"],
        task_id=os.environ["IRIS_TASK_ID"],
        task_index=int(os.environ["IRIS_TASK_INDEX"]),
        num_tasks=int(os.environ["IRIS_NUM_TASKS"]),
        attempt_id=int(os.environ["IRIS_ATTEMPT_ID"]),
        worker_id=os.environ["IRIS_WORKER_ID"],
        controller_address=os.environ["IRIS_CONTROLLER_ADDRESS"],
        advertise_host=os.environ["IRIS_ADVERTISE_HOST"],
    )
