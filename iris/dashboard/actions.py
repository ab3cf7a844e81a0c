"""What somebody may ask for on a page: each is asked about first, sealed, and posted; nothing else changes anything."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from iris.core.ids import JobId, SliceId, WorkerId
from iris.dashboard import words
from iris.dashboard.pages.simulations import SPEEDS, speed_text
from iris.dashboard.subject import Refusal, Subject, Viewer


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked before anything is done."""

    title: str
    consequences: tuple[str, ...]
    button: str
    back: str
    """Where to go afterwards, done or not."""
    is_dangerous: bool = True
    choices: tuple[tuple[str, str], ...] = ()
    """Of one thing, by value and in words; none when there is nothing to choose."""
    chosen: str = ""


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that may be asked for."""

    path: str
    """Of its address, for the question and for the answer alike."""
    ask: Callable[[Subject, str, Viewer], Question]
    """Raises `Refusal` when there is nothing to be asked about, or the viewer may not."""
    do: Callable[[Subject, str, Viewer, Mapping[str, str]], Awaitable[None]]


def _permit(why_not: str) -> None:
    if why_not:
        raise Refusal(HTTPStatus.FORBIDDEN, why_not)


def _ask_stop(subject: Subject, name: str, viewer: Viewer) -> Question:
    job = subject.state.jobs.get(JobId(f"/{name}"))
    if job is None:
        raise Refusal(HTTPStatus.NOT_FOUND, f"job /{name} is not known")
    _permit(subject.why_not_stop(job.id, viewer))
    live = sum(1 for task in job.tasks if task.attempts and task.attempts[-1].ended_at is None)
    lost = [f"{words.plural(live, 'attempt')} of it will be stopped."] if live else []
    if job.children:
        lost.append(
            f"{words.plural(len(job.children), 'child')} will be stopped, too, with all below."
        )
    return Question(f"Stop {job.id}?", tuple(lost), "Stop it", words.job_url(job.id))


async def _stop(subject: Subject, name: str, viewer: Viewer, _: Mapping[str, str]) -> None:
    await subject.stop_job(JobId(f"/{name}"), viewer)


def _ask_terminate(subject: Subject, name: str, viewer: Viewer) -> Question:
    slice_ = subject.state.slices.get(SliceId(name))
    if slice_ is None:
        raise Refusal(HTTPStatus.NOT_FOUND, f"slice {name} is not known")
    _permit(subject.why_not_operate(viewer))
    lost = (
        f"It is {slice_.state.value}, with {words.plural(slice_.live, 'attempt')} on it.",
        "Tasks on it are tried again elsewhere; what they had not saved is lost.",
    )
    return Question(f"Give up {name}?", lost, "Give it up", words.slice_url(name))


async def _terminate(subject: Subject, name: str, viewer: Viewer, _: Mapping[str, str]) -> None:
    await subject.terminate_slice(SliceId(name), viewer)


def _worker(subject: Subject, name: str, viewer: Viewer) -> int:
    """How many attempts are on a worker that is known, and the viewer's to drain."""
    row = subject.state.workers.get(WorkerId(name))
    if row is None:
        raise Refusal(HTTPStatus.NOT_FOUND, f"worker {name} is not known")
    _permit(subject.why_not_operate(viewer))
    return len(row.attempts)


def _ask_drain(subject: Subject, name: str, viewer: Viewer) -> Question:
    count = _worker(subject, name, viewer)
    lost = (f"{words.plural(count, 'attempt')} on it will run on.",) if count else ()
    return Question(f"Give {name} no new work?", lost, "Drain it", words.worker_url(name))


async def _drain(subject: Subject, name: str, viewer: Viewer, _: Mapping[str, str]) -> None:
    await subject.drain_worker(WorkerId(name), viewer, resume=False)


def _ask_resume(subject: Subject, name: str, viewer: Viewer) -> Question:
    _worker(subject, name, viewer)
    title = f"Let {name} have work again?"
    return Question(title, (), "Let it", words.worker_url(name), is_dangerous=False)


async def _resume(subject: Subject, name: str, viewer: Viewer, _: Mapping[str, str]) -> None:
    await subject.drain_worker(WorkerId(name), viewer, resume=True)


def _ask_speed(subject: Subject, _: str, __: Viewer) -> Question:
    simulation = subject.simulation
    if simulation is None:
        raise Refusal(HTTPStatus.NOT_FOUND, "a live cluster has no speed to be chosen")
    choices = tuple((name, name) for name, _ in SPEEDS)
    return Question(
        "How fast shall it go?",
        (),
        "Go",
        "/simulations",
        is_dangerous=False,
        choices=choices,
        chosen=speed_text(simulation),
    )


async def _speed(subject: Subject, _: str, __: Viewer, form: Mapping[str, str]) -> None:
    speeds, chosen = dict(SPEEDS), form.get("choice", "")
    if chosen not in speeds or subject.simulation is None:
        raise Refusal(HTTPStatus.BAD_REQUEST, f"choice: {chosen!r} is none of {', '.join(speeds)}")
    subject.simulation.pace(speeds[chosen])


ACTIONS: Final = (
    Action("/stop/jobs/{name:path}", _ask_stop, _stop),
    Action("/terminate/slices/{name}", _ask_terminate, _terminate),
    Action("/drain/workers/{name}", _ask_drain, _drain),
    Action("/resume/workers/{name}", _ask_resume, _resume),
    Action("/simulations/speed", _ask_speed, _speed),
)
