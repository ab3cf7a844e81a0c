"""When a job is likely to start: the controller tells its state, and this machine runs it forward.

It costs the controller one copy of its tables. The simulator is imported when somebody asks.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from iris.core.controller import Controller
from iris.core.effects import Refusal, Rejected, Reply
from iris.core.events import JobSubmitted
from iris.core.ids import JobId, RequestId, UserName, job_id
from iris.core.instant import Instant, Millis
from iris.core.lifecycle import ENDED_JOB, AttemptState, JobState
from iris.core.records import Job
from iris.core.snapshot import restore
from iris.core.spec import JobSpec
from iris.core.state import ClusterState
from iris.exit_status import ExitStatus
from iris.problems import Failure
from iris.rpc import iris_pb2 as pb
from iris.rpc.channel import Channel
from iris.rpc.image import Image, NoImage, unpacked
from iris.rpc.methods import GET_IMAGE

if TYPE_CHECKING:
    from sim.forecast import Forecast

FUTURES: Final = 50
"""How often the cluster is run forward, if nobody says otherwise."""
HORIZON_MS: Final = 7 * 86_400_000
_MOST_CAUSES: Final = 3
_STATUS: Final = {
    Refusal.INVALID: ExitStatus.BAD_INPUT,
    Refusal.UNKNOWN: ExitStatus.NOT_FOUND,
    Refusal.CONFLICT: ExitStatus.CONFLICT,
}


class NoForecast(Failure):
    """A job of which no start can be told; says why."""


@dataclass(frozen=True, slots=True)
class Start:
    """When a job is likely to start, as the futures of its cluster have it.

    Waits are in seconds from `at_ms` on; one is None when fewer of the futures start the job within
    the horizon.
    """

    job: str
    state: str
    at_ms: int
    started_at_ms: int | None  # None: it does not run
    futures: int = 0
    """How often the cluster was run forward; 0 for a job that runs or has ended."""
    starting: int = 0
    """In how many of them the job starts."""
    horizon_s: float = 0.0
    p10_s: float | None = None
    p50_s: float | None = None
    p90_s: float | None = None
    waits_for: tuple[tuple[str, int], ...] = ()
    """What a start waits for, or why there is none, and in how many futures; the most frequent three."""
    learned_from: tuple[int, int, int] = (0, 0, 0)
    """Ended runs, boots and losses of slices that the cluster remembers."""
    never: bool = False
    """The job ends without having started, in every future or at once."""
    why: str = ""
    """Why a job ends unstarted; why one has ended that was submitted, `Job.why` tells."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How hard to look."""

    futures: int = FUTURES
    horizon_ms: int = HORIZON_MS
    seed: int = 0
    progress: Callable[[int], None] | None = None  # None: nobody watches
    """Told how many futures are done."""


def image_of(channel: Channel) -> Image:
    """The state of a cluster now.

    Raises:
        RemoteError: the controller refused, or did not answer.
        Failure: it is of another version.
    """
    chunks = channel.stream(GET_IMAGE, pb.GetImageRequest())
    content = b"".join(chunk.content for chunk in chunks)
    try:
        return unpacked(content)
    except NoImage as error:
        remedy = "use a client of the controller's version"
        raise Failure(str(error), ExitStatus.FAILED, remedy) from error


def start_of(image: Image, id: str, effort: Effort) -> Start:
    """When a job that was submitted starts, or what became of it.

    Raises:
        NoForecast: there is no such job.
    """
    state = restore(image.tables)
    job = state.jobs.get(JobId(id))
    if job is None:
        raise NoForecast(f"job {id} is not known", ExitStatus.NOT_FOUND, "see `iris job list`")
    if job.state in ENDED_JOB:
        return _ended(job, image.at)
    if _runs(job):
        return Start(id, job.state.value, image.at, _started_at(job))
    return _forecast(state, job, image.at, effort)


def start_if_submitted(image: Image, spec: JobSpec, login: str, effort: Effort) -> Start:
    """When a job would start that is not submitted.

    Args:
        image: the cluster.
        spec: the job.
        login: in whose name, if neither the job nor the token says.
        effort: how hard to look.

    Raises:
        NoForecast: it would be refused; says why, and ends a command as the submission would.
    """
    spec = replace(spec, user=spec.user or image.user or UserName(login))
    if image.user is not None and spec.user != image.user:
        message = f"{image.user} cannot submit in the name of {spec.user}"
        raise NoForecast(message, ExitStatus.NOT_PERMITTED)
    controller = Controller(restore(image.tables))
    request = RequestId("a plan")
    _, effects = controller.step(image.at, [JobSubmitted(request, spec)])
    for effect in effects:
        if isinstance(effect, Reply) and isinstance(effect.answer, Rejected):
            raise NoForecast(effect.answer.why, _STATUS[effect.answer.refusal])
    job = controller.state.jobs[job_id(spec.parent, spec.user, spec.name)]
    if job.state in ENDED_JOB:
        return _ended(job, image.at)
    # It may be placed at once there, and is not submitted all the same.
    found = _forecast(controller.state, job, image.at, effort)
    return replace(found, state=JobState.PENDING.value)


def _ended(job: Job, at: Instant) -> Start:
    why = job.why or next((task.why for task in job.tasks if task.why), "")
    started_at = _started_at(job)
    never = started_at is None and job.state is JobState.UNSCHEDULABLE
    return Start(job.id, job.state.value, at, started_at, never=never, why=why)


def _forecast(state: ClusterState, job: Job, at: Instant, effort: Effort) -> Start:
    from sim.forecast import Question, forecast

    question = Question(state, job.id, at, effort.futures, Millis(effort.horizon_ms), effort.seed)
    return _start(job, forecast(question, progress=effort.progress))


def _start(job: Job, found: "Forecast") -> Start:
    p10, p50, p90 = (
        None if wait is None else wait / 1_000 for wait in map(found.wait, (10, 50, 90))
    )
    ended = all(future.ended for future in found.futures)
    return Start(
        job=job.id,
        state=job.state.value,
        at_ms=found.at,
        started_at_ms=None,
        futures=len(found.futures),
        starting=len(found.waits),
        horizon_s=found.horizon / 1_000,
        p10_s=p10,
        p50_s=p50,
        p90_s=p90,
        waits_for=tuple(found.causes[:_MOST_CAUSES]),
        learned_from=found.learned_from,
        never=ended,
        why=found.causes[0][0] if ended else "",
    )


def _runs(job: Job) -> bool:
    return job.state is JobState.RUNNING and any(
        task.attempts and task.attempts[-1].state in (AttemptState.RUNNING, AttemptState.STOPPING)
        for task in job.tasks
    )


def _started_at(job: Job) -> int | None:
    starts = [a.started_at for task in job.tasks for a in task.attempts if a.started_at is not None]
    return min(starts, default=None)
