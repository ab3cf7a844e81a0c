"""A job that was submitted, and its tasks, as their user sees them."""

import math
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from iris.client.errors import END_STATUS, JobEnded, NotFinished
from iris.client.pieces import LogPiece
from iris.client.printing import Following, to_stdout
from iris.exit_status import ExitStatus
from iris.rpc import iris_pb2 as pb
from iris.rpc.channel import Channel
from iris.rpc.errors import RemoteError
from iris.rpc.kinds_cluster import reason
from iris.rpc.methods import EXPLAIN_JOB, GET_JOB, GET_RESULT, LONG_POLL_MS, READ_LOG, STOP_JOB
from iris.units import parse_duration

if TYPE_CHECKING:
    from iris.client.forecasts import Start

PATIENCE_S: Final = 600.0
"""Whoever asks for something bears it when the controller is away for so long."""

_RETRY_S: Final = 0.5
_SLACK_S: Final = 2.0
"""An answer that was asked for within a time may come so much later."""


class Task:
    """One of a job's tasks."""

    def __init__(self, channel: Channel, id: str) -> None:
        self._channel = channel
        self.id = id

    def logs(self, *, attempt: int | None = None) -> str:
        """What an attempt has written so far; the last one unless another is named.

        Raises:
            RemoteError: the controller refused, or did not answer.
        """
        pieces = self.stream_logs(attempt=attempt, follow=False)
        return b"".join(piece.content for piece in pieces).decode(errors="replace")

    def stream_logs(
        self,
        *,
        attempt: int | None = None,
        follow: bool = True,
        tail_bytes: int = 0,
        tail_lines: int = 0,
    ) -> Iterator[LogPiece]:
        """What is written, as it comes, without loss or repetition, to the end of the task.

        A broken connection is taken up at the byte where it broke.

        Args:
            attempt: this one only; without, the last one and those that follow it.
            follow: go on until the end, and not only to what there is now.
            tail_bytes: begin so many bytes before the end of what there is; 0 for all.
            tail_lines: likewise, in lines.

        Raises:
            RemoteError: the controller refused, or has never answered.
        """
        request = pb.ReadLogRequest(
            task=self.id,
            attempt=attempt,
            follow=follow,
            tail_bytes=tail_bytes,
            tail_lines=tail_lines,
        )
        while True:
            try:
                for chunk in self._channel.stream(READ_LOG, request):
                    if chunk.end:
                        return
                    request.offset = chunk.offset + len(chunk.content)
                    request.tail_bytes = request.tail_lines = 0
                    if attempt is None:
                        request.from_attempt = chunk.attempt
                    if not chunk.content:
                        continue  # It says no more than that the line stands.
                    yield LogPiece(self.id, chunk.attempt, chunk.content)
            except RemoteError as error:
                if not (follow and self._channel.may_try_again(error)):
                    raise
                time.sleep(_RETRY_S)


class Job:
    """A submitted job; holds nothing but its name, so that it can be found again by that."""

    def __init__(self, channel: Channel, id: str) -> None:
        self._channel = channel
        self.id = id

    def __repr__(self) -> str:
        return f"Job({self.id!r})"

    def status(self) -> pb.Job:
        """Everything on record of it.

        Raises:
            RemoteError: it is not known, or the controller did not answer.
        """
        return self._ask(0)

    def _ask(self, wait_ms: int, patience_s: float = PATIENCE_S) -> pb.Job:
        request = pb.GetJobRequest(job=self.id, wait_ms=wait_ms)
        answer = self._channel.call(
            GET_JOB, request, patience_s=patience_s, deadline_s=patience_s + _SLACK_S
        )
        return answer.job

    def tasks(self) -> list[Task]:
        """Its tasks, by index."""
        return [Task(self._channel, task.id) for task in self.status().details]

    def wait(self, timeout: float | None = None, *, stream_logs: bool = False) -> pb.Job:
        """The job, once it has ended, however it has; `why` says what of it or of a task ended it.

        A controller that has answered before and is away is waited for, too.

        Args:
            timeout: seconds for all of it; no limit without.
            stream_logs: print what all tasks write meanwhile; each line with its task's index if there are several.

        Raises:
            NotFinished: the time was over before; the job goes on.
            RemoteError: the controller does not know the job, or has never answered.
        """
        end = math.inf if timeout is None else time.monotonic() + timeout
        if not stream_logs:
            return self._ended(end, timeout)
        printing = Following(self.tasks(), to_stdout)
        try:
            job = self._ended(end, timeout)
            printing.join()
        finally:
            printing.silence()
        return job

    def _ended(self, end: float, timeout: float | None) -> pb.Job:
        while True:
            left = max(0.0, end - time.monotonic())
            try:
                job = self._ask(int(min(LONG_POLL_MS, 1_000 * left)), left)
            except RemoteError as error:
                if error.is_passing and self._channel.reached:
                    raise NotFinished(
                        f"job {self.id} had not ended when the controller was last heard, and"
                        f" {timeout:.3g} s are over; {error}"
                    ) from error
                raise
            if job.state in END_STATUS:
                job.why = reason(job)
                return job
            if time.monotonic() >= end:
                raise NotFinished(f"job {self.id} is {job.state} after {timeout:.3g} s; it goes on")

    def result(self, timeout: float | None = None) -> Any:
        """What the first task's call returned, once the job has succeeded.

        Raises:
            JobEnded: the job ended otherwise; its cause is what the call raised, if it did.
            NotFinished: the time was over before.
        """
        job = self.wait(timeout)
        kind, value, trace = self._returned(0, job)
        if job.state == "succeeded" and kind == "returned":
            return value
        why = job.why
        if kind == "left" and job.state == "succeeded":
            why = "its function ended the process and returned nothing"
        ended = JobEnded(self.id, job.state, why)
        if kind == "raised":
            ended.add_note(trace)
            raise ended from value
        raise ended

    def _returned(self, index: int, job: pb.Job) -> tuple[str, Any, str]:
        request = pb.GetResultRequest(task=f"{self.id}:{index}")
        try:
            content = b"".join(chunk.content for chunk in self._channel.stream(GET_RESULT, request))
        except RemoteError as error:
            if error.status is not ExitStatus.NOT_FOUND:
                raise
            return ("returned" if job.state == "succeeded" else "nothing"), None, ""
        import cloudpickle

        kind, value, trace = cloudpickle.loads(content)
        return kind, value, trace

    def terminate(self) -> None:
        """Stop it, with everything below it.

        Raises:
            RemoteError: it is somebody else's, or not known.
        """
        request = pb.StopJobRequest(request_id=f"{self.id}/{time.time_ns()}", job=self.id)
        self._channel.call(STOP_JOB, request, patience_s=PATIENCE_S)

    def when(self, *, futures: int = 50, horizon: float | str = "7d", seed: int = 0) -> "Start":
        """When it is likely to start: its cluster as it is now, run forward on this machine.

        Args:
            futures: how often.
            horizon: seconds or `7d`; nobody looks further.
            seed: of all that is drawn.

        Raises:
            RemoteError: the controller refused, as it does a task's token, or did not answer.
            NoForecast: the job is not known.
        """
        from iris.client.forecasts import Effort, image_of, start_of

        effort = Effort(futures, parse_duration(horizon), seed)
        return start_of(image_of(self._channel), self.id, effort)

    def why(self) -> list[str]:
        """Why it waits, or how it ended, in sentences."""
        return list(self.explain().sentences)

    def explain(self) -> pb.Explanation:
        """Why it waits, in numbers and in sentences.

        Raises:
            RemoteError: it is not known, or the controller did not answer.
        """
        request = pb.ExplainJobRequest(job=self.id)
        return self._channel.call(EXPLAIN_JOB, request).explanation
