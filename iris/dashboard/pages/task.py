"""One task: its attempts, where and when they ran and how they ended, and the log of one of them.

A filter hides what does not match and works here, on the server; a search marks and jumps. Each line
is a link to itself.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from iris.core.ids import JobId, TaskId
from iris.core.lifecycle import ENDED_TASK
from iris.core.records import Attempt, Task
from iris.core.views import task_view
from iris.dashboard import logs
from iris.dashboard.page import Asked, Json, Page, Sharing, object_of
from iris.dashboard.query import Query
from iris.dashboard.subject import Refusal, Subject
from iris.rpc import kinds_cluster
from iris.rpc.codec import task_to_wire

_FAR = 1 << 50


@dataclass(frozen=True, slots=True)
class TaskPage:
    """What the page shows."""

    task: Task
    job: JobId
    attempts: Sequence[Attempt]
    shown: Attempt | None  # None: it has no attempt yet
    is_live: bool
    """More may come of the log that is shown."""
    window: logs.Window | None  # None: there is no log
    find: str
    """Lines without it are hidden; empty: none is."""
    mark: str
    """Is marked where it stands; empty: nothing is."""
    trouble: str
    go_on: int
    """Where the next search begins."""
    at_end: bool
    whole: Json

    @property
    def follows(self) -> bool:
        """Whether the page is to look again often."""
        return self.is_live and self.at_end


async def load(subject: Subject, asked: Asked) -> TaskPage:
    """A task, and a window into the log of one of its attempts."""
    name = TaskId(f"/{asked.name}")
    task = subject.state.tasks.get(name)
    if task is None:
        raise Refusal(
            HTTPStatus.NOT_FOUND, f"task {name} is not known; it is written as /user/job:0"
        )
    query = asked.query
    number = query.number("attempt", max(0, len(task.attempts) - 1), most=1_000_000)
    if number >= max(1, len(task.attempts)):
        raise Refusal(HTTPStatus.NOT_FOUND, f"attempt {number} of task {name} is not known")
    shown = task.attempts[number] if task.attempts else None
    path = None if shown is None else await subject.log(name, number, asked.viewer)
    window, trouble, go_on = None, "", 0
    if path is not None:
        window, trouble, go_on = await asyncio.to_thread(_read, path, query)
    is_live = task.state not in ENDED_TASK and (shown is None or shown.ended_at is None)
    reads_end = not any(query.text(key) for key in ("at", "before", "find", "seek"))
    told = kinds_cluster.task(task_to_wire(task_view(task)))
    return TaskPage(
        task=task,
        job=task.job,
        attempts=tuple(reversed(task.attempts)),
        shown=shown,
        is_live=is_live,
        window=window,
        find=query.text("find"),
        mark=query.text("seek"),
        trouble=trouble,
        go_on=go_on,
        at_end=reads_end,
        whole=told if window is None else {**told, **_told_window(window, number)},
    )


def _read(path: Path, query: Query) -> tuple[logs.Window, str, int]:
    """The window that is asked for; what is to be said instead of a place that there is not; where to search on."""
    at = query.number("at", 0, most=_FAR)
    find, seek = query.text("find"), query.text("seek")
    if find:
        window = logs.holding(path, find, at)
        note = window.note or ("" if window.lines else f"no line from here on holds {find!r}")
        return window, note, 0
    if seek:
        hit = logs.next_place(path, seek, at)
        return logs.after(path, hit.at if hit.at is not None else at), hit.note, hit.go_on
    if query.text("before"):
        return logs.before(path, query.number("before", 0, most=_FAR)), "", 0
    return (logs.after(path, at) if query.text("at") else logs.at_end(path)), "", 0


def _told_window(window: logs.Window, attempt: int) -> Json:
    lines = [{"at": line.at, "text": line.text} for line in window.lines]
    log = {"attempt": attempt, "size": window.size, "next": window.end, "lines": lines}
    return {"log": log}


def told(model: TaskPage) -> Json:
    """The same for programs."""
    return object_of("Task", model.whole)


PAGE = Page(
    "/tasks/{name:path}", "task.html", "Jobs", load, told, in_menu=False, sharing=Sharing.NOBODY
)
