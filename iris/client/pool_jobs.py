"""The jobs whose tasks are the workers of a pool: submitted, looked at, and ended with it."""

from collections.abc import Callable, Iterable
from typing import Final

from iris.client.errors import END_STATUS
from iris.client.job import Job
from iris.core.calls import Fact, PoolEnded, SeatsGone, WorkerLost
from iris.core.ids import TaskId
from iris.core.retry import MEANING, Budget, EndCause
from iris.rpc import iris_pb2 as pb
from iris.rpc.channel import Channel
from iris.rpc.methods import GET_JOB, STOP_JOB

FALSE_STARTS: Final = 3
"""So many attempts of a task that failed before any worker of the pool was reached, and it ends."""
_END_S: Final = 5.0
_ENDED_ATTEMPT: Final = frozenset(
    {"succeeded", "failed", "killed", "preempted", "evicted", "worker_failed"}
)


class PoolJobs:
    """What the controller says of them. Its calls block, each in a thread; nothing here is changed by two."""

    def __init__(self, channel: Channel, submit: Callable[[int, int], Job]) -> None:
        """None yet.

        Args:
            channel: to their controller.
            submit: submits the job number so-and-so, counted from 0, with so many tasks.
        """
        self._channel = channel
        self._submit = submit
        self.jobs: list[Job] = []
        self._over: set[str] = set()

    def add(self, count: int) -> tuple[TaskId, ...]:
        """Submit a job for so many seats.

        Raises:
            BadRequest: it cannot be.
            RemoteError: the controller refused, or did not answer.
        """
        job = self._submit(len(self.jobs), count)
        self.jobs.append(job)
        return tuple(TaskId(f"{job.id}:{index}") for index in range(count))

    def look(self) -> list[pb.Job]:
        """Every job that has not ended for good, as the controller knows it.

        Raises:
            RemoteError: it did not answer.
        """
        return [
            self._channel.call(GET_JOB, pb.GetJobRequest(job=job.id)).job
            for job in list(self.jobs)
            if job.id not in self._over
        ]

    def facts(
        self, job: pb.Job, workers: dict[TaskId, int], *, was_reached: bool
    ) -> Iterable[Fact]:
        """What follows from a job's state.

        Args:
            job: as the controller knows it.
            workers: those that the pool knows, each task with its attempt.
            was_reached: whether any worker of the pool has ever been.
        """
        for task in job.details:
            attempt = workers.get(TaskId(task.id))
            yield from (
                _lost(TaskId(task.id), each)
                for each in task.attempts
                if each.number == attempt and each.state in _ENDED_ATTEMPT
            )
            failed = [each for each in task.attempts if each.state == "failed"]
            if len(failed) >= FALSE_STARTS and not was_reached:
                last = failed[-1]
                yield PoolEnded(
                    f"its workers end before they serve: {task.id}@{last.number} {_told(last)};"
                    f" `iris job logs {job.id}` shows what they write"
                )
        if job.id in self._over:  # It is stopped because it is not wanted.
            return
        if job.state in END_STATUS:
            self._over.add(job.id)
            why = f"job {job.id} is {job.state}" + (f": {job.why}" if job.why else "")
            if job.state == "killed":
                yield PoolEnded(why)
            yield SeatsGone(tuple(TaskId(task.id) for task in job.details), why)
        else:
            for task in job.details:
                if task.state in END_STATUS:
                    yield SeatsGone((TaskId(task.id),), f"task {task.id} is {task.state}")

    def stop(self, job: str) -> None:
        """Stop a job that is not wanted.

        Raises:
            RemoteError: the controller refused, or did not answer.
        """
        self._over.add(job)
        request = pb.StopJobRequest(request_id=f"{job}/pool", job=job)
        self._channel.call(STOP_JOB, request, patience_s=_END_S)

    def end(self, tasks: Iterable[TaskId]) -> None:
        """End all jobs: those tasks end by themselves and are waited for, the others are stopped.

        Raises:
            RemoteError: the controller refused, or did not answer.
        """
        leaving = {task.rpartition(":")[0] for task in tasks}
        for job in self.jobs:
            if job.id in leaving:
                request = pb.GetJobRequest(job=job.id, wait_ms=int(1_000 * _END_S))
                if self._channel.call(GET_JOB, request).job.state in END_STATUS:
                    continue
            if job.id not in self._over:
                self.stop(job.id)


def _lost(task: TaskId, attempt: pb.Attempt) -> WorkerLost:
    meaning = MEANING[EndCause(attempt.cause)] if attempt.cause else None
    is_own = meaning is not None and meaning.charges is Budget.FAILURE
    budget = Budget.FAILURE if is_own else Budget.PREEMPTION
    return WorkerLost(task, attempt.number, budget, f"{task}@{attempt.number} {_told(attempt)}")


def _told(attempt: pb.Attempt) -> str:
    words = ", ".join(word for word in (attempt.cause, attempt.detail) if word)
    return f"is {attempt.state}" + (f": {words}" if words else "")
