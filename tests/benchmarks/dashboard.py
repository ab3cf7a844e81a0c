"""Pages of a controller with ten thousand jobs and a thousand slices, and what twenty readers cost its loop.

The state is made by the facts that really make one. Each page is asked of the application itself, each time
after a turn, so that nothing is kept from the time before. The readers are a process of their own:
each listens to the stream of changes and asks for its page again at each, as a browser does.
"""

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from iris.core import events as ev
from iris.core.ids import JobId, RequestId, UserName
from iris.core.lifecycle import AttemptState
from iris.core.resources import Resources
from iris.core.retry import EndCause
from iris.core.spec import JobSpec
from iris.dashboard.app import Dashboard
from iris.dashboard.listener import bind
from iris.dashboard.server import HttpServer
from sim.on_stage import OwnMachine
from tests.benchmarks.crowds import Crowd, jobs
from tests.benchmarks.figures import Figure, milliseconds
from tests.dashboard.stages import KEY, Still
from tests.harness import GIB

READERS: Final = 20
EVERY_S: Final = 0.02
"""A turn is due so often, as with a busy fleet."""
_ASKED: Final = 15
_HOST: Final = (b"host", b"localhost")


@dataclass(frozen=True, slots=True)
class Size:
    """How large the cluster is."""

    slices: int = 1_000
    ended: int = 4_000
    running: int = 3_000
    waiting: int = 1_000
    seconds: float = 10.0
    """For how long the loop is watched, without readers and with them."""
    settle_s: float = 3.0
    """For readers to begin."""


def cluster_of(size: Size) -> Crowd:
    """A controller with so many jobs in each state; what waits is of fifty kinds and of ten users."""
    crowd = Crowd(size.slices)
    crowd.step(*_submissions(jobs(size.ended, user="past")))
    crowd.run_all()
    ends = crowd.reports(AttemptState.RUNNING, AttemptState.SUCCEEDED, EndCause.EXIT_ZERO)
    failed = crowd.reports(AttemptState.RUNNING, AttemptState.FAILED, EndCause.EXIT_NONZERO)
    crowd.step(*failed[: len(failed) // 10], *ends[len(failed) // 10 :])
    crowd.step(*_submissions(jobs(size.running, user="now")))
    crowd.run_all()
    large = [
        JobSpec(
            user=UserName(f"next{number % 10}"),
            name=f"job-{number}",
            resources=Resources(cpu=8_000, memory=GIB + number % 50),
        )
        for number in range(size.waiting)
    ]
    crowd.step(*_submissions([*jobs(size.slices * 2, user="fill"), *large]))
    return crowd


def _submissions(specs: Sequence[JobSpec]) -> list[ev.JobSubmitted]:
    return [ev.JobSubmitted(RequestId(f"{s.user}/{s.name}"), s) for s in specs]


async def ask(app: Any, path: str) -> tuple[int, int]:
    """One request of a page's changing part, without a network: its status, and how many bytes came."""
    path, _, query = path.partition("?")
    told: list[Any] = []
    scope = {
        "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "path": path,
        "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
        "headers": [_HOST, (b"hx-request", b"true")], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 1),
    }  # fmt: skip

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        told.append(message)

    await app(scope, receive, send)
    return told[0]["status"], sum(len(it.get("body", b"")) for it in told[1:])


def pages_of(crowd: Crowd) -> list[str]:
    """One of each kind."""
    state = crowd.controller.state
    waiting = JobId(next(reversed(state.jobs)))
    slice_, worker = next(iter(state.slices)), next(iter(state.workers))
    return [
        "/", "/jobs", "/jobs?state=pending", "/jobs?state=succeeded&page=40", "/jobs?name=job-77",
        f"/jobs{waiting}", f"/tasks{waiting}:0", "/capacity", f"/slices/{slice_}", "/workers", f"/workers/{worker}",
        "/decisions", "/users", "/endpoints", "/controller", "/simulations",
    ]  # fmt: skip


def measure(size: Size | None = None) -> list[Figure]:
    """The time of each page, and how late turns are without readers and with them."""
    size = size or Size()
    crowd = cluster_of(size)
    state = crowd.controller.state
    subject = Still(state)
    for turn in crowd.turns:
        subject.recent.turned(turn, state)
    what = f"{len(state.jobs):,} jobs, {len(state.slices):,} slices"
    figures = [
        Figure(
            f"dashboard, {what}: {page}",
            "under 50 ms",
            f"{milliseconds(spent)}, {count:,} bytes",
            "",
        )
        for page, spent, count in asyncio.run(_pages(subject, pages_of(crowd)))
    ]
    alone = asyncio.run(_lags(crowd, subject, 0, size))
    watched = asyncio.run(_lags(crowd, subject, READERS, size))
    return [
        *figures,
        Figure(f"a turn with {READERS} dashboards open: how late", "", _told(watched), f"with none: {_told(alone)}"),
    ]  # fmt: skip


async def _pages(subject: Still, paths: Sequence[str]) -> list[tuple[str, float, int]]:
    app = Dashboard(subject, OwnMachine(KEY)).app
    found = []
    for path in paths:
        spans, count = [], 0
        for _ in range(_ASKED):
            subject.turns += 1
            began = time.perf_counter()
            status, count = await ask(app, path)
            spans.append(time.perf_counter() - began)
            assert status == 200, (path, status)
        found.append(
            (path.partition("?")[0] if "job-" in path else path, statistics.median(spans), count)
        )
    return found


def _told(lags: Sequence[float]) -> str:
    ordered = sorted(lags)
    parts = [ordered[int((len(ordered) - 1) * part)] for part in (0.5, 0.99, 1.0)]
    return "median {}, 99 % {}, longest {}".format(*(milliseconds(it) for it in parts))


def _readers(port: int, count: int, pages: Sequence[str]) -> "subprocess.Popen[bytes] | None":
    command = [sys.executable, "-m", "tests.benchmarks.readers", str(port), str(count), *pages]
    return subprocess.Popen(command) if count else None


async def _lags(crowd: Crowd, subject: Still, readers: int, size: Size) -> list[float]:
    """How late each turn is done that was due, while so many read."""
    listener = bind("127.0.0.1", 0)
    dashboard = Dashboard(subject, OwnMachine(KEY))
    server = HttpServer(dashboard.app, listener, dashboard.stopping)
    serving = asyncio.create_task(server.serve())
    clients = _readers(listener.getsockname()[1], readers, pages_of(crowd)[:5])
    await asyncio.sleep(0 if clients is None else size.settle_s)
    lags = []
    due = time.perf_counter()
    end = due + size.seconds
    while due < end:
        due += EVERY_S
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        crowd.step()
        subject.turns += 1
        for changed in subject.watching:
            changed.set()
        lags.append(time.perf_counter() - due)
        due = max(due, time.perf_counter() - EVERY_S)
    if clients is not None:
        assert clients.poll() is None, "the readers have ended early"
        clients.kill()
        await asyncio.to_thread(clients.wait)
    server.stop()
    await serving
    return lags
