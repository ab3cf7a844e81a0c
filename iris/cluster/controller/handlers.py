"""What users and operators ask of the controller: requests become facts, answers come from views."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Final, NoReturn

import grpc

from iris import __version__
from iris.cluster.controller.auth import Caller, NotPermitted
from iris.cluster.controller.launches import check_launch, command_of
from iris.cluster.controller.mirror import Mirror
from iris.cluster.controller.names import Ambiguous, job_meant
from iris.cluster.controller.store import Store, TooLarge, read_pieces
from iris.cluster.controller.turns import TurnLoop
from iris.core import effects as ef
from iris.core import events as ev
from iris.core.explain import briefly, why_waiting, without_others
from iris.core.ids import GroupName, JobId, RequestId, SliceId, TaskId, UserName, WorkerId
from iris.core.lifecycle import ENDED_JOB, JobState, WorkerState
from iris.core.scaling import scalings, why_not_scaling
from iris.core.snapshot import snapshot, without_secrets
from iris.core.spec import JobSpec
from iris.core.state import ClusterState
from iris.core.telling import headline, sentences
from iris.core.views import (
    JobView,
    group_views,
    job_page,
    job_view,
    lines_above,
    slice_views,
    vm_views,
    worker_views,
)
from iris.rpc import codec
from iris.rpc import iris_pb2 as pb
from iris.rpc.codec_explain import explanation_to_wire
from iris.rpc.image import Image, packed
from iris.rpc.methods import CHUNK_BYTES, LONG_POLL_MS

MAX_PAGE: Final = 1_000
_STATUS: Final = {
    ef.Refusal.INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    ef.Refusal.UNKNOWN: grpc.StatusCode.NOT_FOUND,
    ef.Refusal.CONFLICT: grpc.StatusCode.ALREADY_EXISTS,
}


class Refused(Exception):
    """A call that is answered with an error."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def unknown(what: str) -> NoReturn:
    """Refuse a call that names what is not there."""
    raise Refused(grpc.StatusCode.NOT_FOUND, f"{what} is not known")


class Handlers:
    """The calls of `ControllerService`."""

    def __init__(
        self,
        loop: TurnLoop,
        store: Store,
        mirror: Mirror,
        recovery: tuple[int, int],
        end: Callable[[bool], None],
    ) -> None:
        """Handlers of one controller.

        Args:
            loop: where facts go.
            store: where blobs and results are.
            mirror: where they are, too.
            recovery: turns that were replayed at the start, and the milliseconds that it took.
            end: ends the controller, and gives back all slices or none.
        """
        self._loop = loop
        self._store = store
        self._mirror = mirror
        self.recovery = recovery
        self._end = end
        self.started_at = loop.clock.now()
        self._dashboard: tuple[int | None, str] = None, ""

    def tell_dashboard(self, port: int | None, trouble: str) -> None:
        """Let a status say where the dashboard is, or why there is none."""
        self._dashboard = port, trouble

    @property
    def state(self) -> ClusterState:
        """The cluster as it is between two turns."""
        return self._loop.controller.state

    # ---- jobs ----------------------------------------------------------------------------------

    async def submit_job(
        self, request: pb.SubmitJobRequest, caller: Caller
    ) -> pb.SubmitJobResponse:
        """Admit a job; the same request id twice is the same job."""
        if not request.request_id:
            raise codec.Malformed("request_id: a submission needs one, so that it can be repeated")
        spec = self._owned(codec.spec_from_wire(request.spec), caller)
        if not spec.user:
            parent = self.state.jobs.get(spec.parent) if spec.parent is not None else None
            user = parent.spec.user if parent is not None else UserName(request.login)
            spec = replace(spec, user=user)
        for blob in request.blobs:
            await self._mirror.put(blob.content)
        check_launch(self._store, spec.payload)
        asked = RequestId(f"{spec.user}/{request.request_id}")
        answer = await self._loop.ask(asked, ev.JobSubmitted(asked, spec))
        job = granted(answer).job
        assert job is not None, asked
        return pb.SubmitJobResponse(job=job)

    def _owned(self, spec: JobSpec, caller: Caller) -> JobSpec:
        """The job under its caller's name and limits."""
        if caller.tree is not None:
            if spec.parent is None or not caller.may_see(spec.parent):
                raise NotPermitted(f"this token submits below {caller.tree} only")
        elif spec.parent is not None:
            self._check_parent(spec.parent, caller)
        if caller.user is None or spec.user == caller.user:
            return spec
        if spec.user:
            raise NotPermitted(f"{caller.user} cannot submit in the name of {spec.user}")
        return replace(spec, user=caller.user)

    def _check_parent(self, name: JobId, caller: Caller) -> None:
        parent = self.state.jobs.get(name)
        if parent is None:
            unknown(f"parent {name}")
        caller.check_owner(name, parent.spec.user)

    async def get_job(self, request: pb.GetJobRequest, caller: Caller) -> pb.GetJobResponse:
        """A job with everything on record, at once or when it has ended."""
        job = self.meant(request.job, caller)
        view = self._job(job, caller)
        end = asyncio.get_running_loop().time() + min(request.wait_ms, LONG_POLL_MS) / 1_000
        changed = self._loop.watch()
        try:
            while view.line.state not in ENDED_JOB:
                left = end - asyncio.get_running_loop().time()
                if left <= 0:
                    break
                changed.clear()
                try:
                    async with asyncio.timeout(left):
                        await changed.wait()
                except TimeoutError:
                    break
                if self.state.jobs.get(job) is None or self.state.jobs[job].ended_at is not None:
                    view = self._job(job, caller)
        finally:
            self._loop.unwatch(changed)
        return pb.GetJobResponse(job=codec.job_to_wire(self._job(job, caller)))

    def meant(self, text: str, caller: Caller) -> JobId:
        """The job that a caller means, or the path itself where nobody knows it."""
        try:
            return job_meant(self.state, text, caller.user) or JobId(text)
        except Ambiguous as error:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, str(error)) from error

    def check_tree(self, job: JobId, caller: Caller) -> None:
        """Refuse a caller that is limited to another tree of jobs."""
        if not caller.may_see(job):
            raise NotPermitted(f"this token is limited to {caller.tree}")

    def _job(self, job: JobId, caller: Caller) -> JobView:
        self.check_tree(job, caller)
        view = job_view(self.state, job)
        if view is None:
            unknown(f"job {job or 'without a name'}")
        return view

    async def list_jobs(self, request: pb.ListJobsRequest, caller: Caller) -> pb.ListJobsResponse:
        """A page of jobs, newest first."""
        page = job_page(
            self.state,
            user=UserName(request.user) if request.user else None,
            job_state=codec.word(JobState, request.state, "state") if request.state else None,
            only=lambda job: (
                caller.may_see(job.id)
                and request.name in job.id
                and job.submitted_at >= request.since_ms
            ),
            limit=codec.limit_from_wire(request.limit, MAX_PAGE),
        )
        lines = [codec.job_line_to_wire(line) for line in page.jobs]
        pending = [line.id for line in page.jobs if line.state is JobState.PENDING]
        told = briefly(self.state, pending, self._loop.clock.now())
        for line in lines:
            if JobId(line.id) in told:
                line.why = headline(told[JobId(line.id)])
        above = lines_above(self.state, page) if request.above else ()
        return pb.ListJobsResponse(
            jobs=lines,
            total=page.total,
            above=[codec.job_line_to_wire(line) for line in above if caller.may_see(line.id)],
        )

    async def stop_job(self, request: pb.StopJobRequest, caller: Caller) -> pb.StopJobResponse:
        """Stop a job and its whole tree."""
        view = self._job(JobId(request.job), caller)
        caller.check_owner(view.line.id, view.line.user)
        asked = RequestId(f"stop/{request.request_id}")
        user = caller.user if caller.user is not None else view.line.user
        granted(await self._loop.ask(asked, ev.JobStopRequested(asked, view.line.id, user)))
        return pb.StopJobResponse()

    async def explain_job(
        self, request: pb.ExplainJobRequest, caller: Caller
    ) -> pb.ExplainJobResponse:
        """Why a job waits, in the words of what refused its placement; or how it ended."""
        view = self._job(self.meant(request.job, caller), caller)
        reason = why_waiting(self.state, view.line.id, self._loop.clock.now())
        if caller.tree is not None:
            reason = without_others(reason)
        told = explanation_to_wire(reason, self._loop.journal.turns)
        return pb.ExplainJobResponse(sentences=told.sentences, state=told.state, explanation=told)

    def command_of(self, job: JobId) -> str:
        """What a job runs, in words; empty when it is not there any more."""
        row = self.state.jobs.get(job)
        return "" if row is None else command_of(self._store, row.spec.payload)

    async def get_image(self, _: pb.GetImageRequest, caller: Caller) -> AsyncIterator[pb.Chunk]:
        """The whole state without secrets, for whoever wants to simulate what comes of it.

        Only the copy is made between two turns; it is written down beside them.
        """
        tables = snapshot(self.state)
        image = Image(self._loop.clock.now(), caller.user, tables)
        content = await asyncio.to_thread(_told, image)
        for start in range(0, len(content), CHUNK_BYTES):
            yield pb.Chunk(content=content[start : start + CHUNK_BYTES])

    async def get_result(
        self, request: pb.GetResultRequest, caller: Caller
    ) -> AsyncIterator[pb.Chunk]:
        """What the last attempt of a task has returned or raised, pickled."""
        task = codec.task_from_wire(request.task)
        path = await self._result_of(task, caller)
        for _, piece in read_pieces(path, 0):
            yield pb.Chunk(content=piece)
            await asyncio.sleep(0)

    async def _result_of(self, name: TaskId, caller: Caller) -> Path:
        task = self.state.tasks.get(name)
        if task is None:
            unknown(f"task {name}")
        self._job(task.job, caller)
        for attempt in reversed(task.attempts):
            await self._mirror.bring_result(name, attempt.number)
            path = self._store.result(name, attempt.number)
            if path.is_file():
                return path
        unknown(f"a result of task {name}")

    # ---- the cluster ---------------------------------------------------------------------------

    async def list_workers(
        self, _: pb.ListWorkersRequest, caller: Caller
    ) -> pb.ListWorkersResponse:
        """All workers."""
        views = [caller.tasks_of(view) for view in worker_views(self.state)]
        return pb.ListWorkersResponse(workers=[codec.worker_to_wire(view) for view in views])

    async def drain_worker(
        self, request: pb.DrainWorkerRequest, _: Caller
    ) -> pb.DrainWorkerResponse:
        """Give a worker no new work, or let it have some again."""
        if WorkerId(request.worker) not in self.state.workers:
            unknown(f"worker {request.worker}")
        self._loop.deliver(ev.WorkerDrainRequested(WorkerId(request.worker), request.resume))
        await self._next_turn()
        return pb.DrainWorkerResponse()

    async def _next_turn(self) -> None:
        changed = self._loop.watch()
        try:
            await changed.wait()
        finally:
            self._loop.unwatch(changed)

    async def list_slices(self, request: pb.ListSlicesRequest, _: Caller) -> pb.ListSlicesResponse:
        """The slices of a group, or all."""
        group = GroupName(request.group) if request.group else None
        return pb.ListSlicesResponse(
            slices=[codec.slice_to_wire(view) for view in slice_views(self.state, group)]
        )

    async def terminate_slice(
        self, request: pb.TerminateSliceRequest, _: Caller
    ) -> pb.TerminateSliceResponse:
        """Give up a slice at once, work and all."""
        asked = RequestId(f"terminate/{request.request_id}")
        event = ev.SliceTerminateRequested(asked, SliceId(request.slice))
        granted(await self._loop.ask(asked, event))
        return pb.TerminateSliceResponse()

    async def create_slice(
        self, request: pb.CreateSliceRequest, _: Caller
    ) -> pb.CreateSliceResponse:
        """Ask for one more slice of a group."""
        asked = RequestId(f"create/{request.request_id}")
        keep = codec.keep_from_wire(request.keep_ms)
        event = ev.SliceCreateRequested(asked, GroupName(request.group), keep)
        answer = await self._loop.ask(asked, event)
        if isinstance(answer, ef.Rejected) and answer.refusal is ef.Refusal.CONFLICT:
            reasons = sentences(why_not_scaling(self.state, event.group))
            why = " ".join(reasons).rstrip(".")
            raise Refused(grpc.StatusCode.ABORTED, f"{answer.why}: {why}")
        return pb.CreateSliceResponse(slice=granted(answer).slice or "")

    async def shutdown(self, request: pb.ShutdownRequest, _: Caller) -> pb.ShutdownResponse:
        """End this controller in order; calls are answered until all slices are given back."""
        self._end(request.give_back)
        return pb.ShutdownResponse()

    async def get_status(self, _: pb.GetStatusRequest, _caller: Caller) -> pb.GetStatusResponse:
        """The controller and its groups, in numbers."""
        state = self.state
        groups = [
            codec.group_to_wire(view, sentences(scaling))
            for view, scaling in zip(group_views(state), scalings(state), strict=True)
        ]
        turns, span = self.recovery
        return pb.GetStatusResponse(
            version=__version__,
            started_at_ms=self.started_at,
            now_ms=self._loop.clock.now(),
            turns=self._loop.journal.turns,
            groups=groups,
            workers=sum(
                vm.worker is not None and vm.worker.state is not WorkerState.LOST
                for vm in vm_views(state)
            ),
            jobs=len(state.jobs),
            recovered_turns=turns,
            recovery_ms=span,
            dashboard_port=self._dashboard[0],
            no_dashboard=self._dashboard[1],
        )

    # ---- blobs ---------------------------------------------------------------------------------

    async def has_blob(self, request: pb.HasBlobRequest, _: Caller) -> pb.HasBlobResponse:
        """Whether a blob need not be sent."""
        return pb.HasBlobResponse(present=self._store.want_blob(request.sha256))

    async def put_blob(
        self, requests: AsyncIterator[pb.PutBlobRequest], _: Caller
    ) -> pb.PutBlobResponse:
        """Keep a blob under its digest."""
        incoming = self._store.receive_blob()
        try:
            async for request in requests:
                incoming.write(request.content)
            return pb.PutBlobResponse(sha256=await self._mirror.keep(incoming))
        except TooLarge as error:
            raise Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, f"the blob has {error}") from error
        finally:
            incoming.drop()

    async def get_blob(self, request: pb.GetBlobRequest, _: Caller) -> AsyncIterator[pb.Chunk]:
        """A blob, in pieces."""
        path = self._store.blob(request.sha256)
        if path is None:
            unknown(f"blob {request.sha256!r}")
        for _offset, piece in read_pieces(path, 0):
            yield pb.Chunk(content=piece)
            await asyncio.sleep(0)


def _told(image: Image) -> bytes:
    return packed(replace(image, tables=without_secrets(image.tables)))


def granted(answer: ef.Accepted | ef.Rejected) -> ef.Accepted:
    """The answer to a request that was granted.

    Raises:
        Refused: it was refused.
    """
    if isinstance(answer, ef.Rejected):
        raise Refused(_STATUS[answer.refusal], answer.why)
    return answer
