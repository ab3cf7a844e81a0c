"""Pages of a controller with ten thousand jobs and a thousand slices, and what twenty readers cost its loop.

The state is made by the facts that really make one. Each page is asked of the application itself, each time
after a turn, so that nothing is kept from the time before. A page is made in pieces with turns in between: whoever has
to wait for the longest of them waits longest. The readers are a process of their own: each listens to the stream of
changes and asks for its page again at each, as a browser does. With and without them is measured by turns.
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
from iris.core.ids import JobId, RequestId
from iris.core.lifecycle import AttemptState
from iris.core.retry import EndCause
from iris.core.spec import JobSpec
from iris.dashboard.app import Dashboard
from iris.dashboard.listener import bind
from iris.dashboard.server import HttpServer
from sim.on_stage import OwnMachine
from tests.benchmarks.crowds import CORES, Crowd, jobs
from tests.benchmarks.figures import Figure, milliseconds
from tests.benchmarks.long_log import measure_log
from tests.dashboard.stages import KEY, Still

READERS: Final = 20
READ: Final = 5
"""Pages that are read, each by as many."""
EVERY_S: Final = 0.02
"""A turn is due so often, as with a busy fleet."""
_ASKED: Final = 15
_HOST: Final = (b"host", b"localhost")


@dataclass(frozen=True, slots=True)
class Size:
    """How large the cluster is."""

    slices: int = 1_000
    ended: int = 2_000
    running: int = 3_000
    waiting: int = 4_300
    """Half of them are of one kind and one user."""
    rounds: int = 4
    seconds: float = 5.0
    """For how long the loop is watched in each round, without readers and with them."""
    settle_s: float = 3.0
    """For readers to begin."""
    lines: int = 1_000_000
    """Of a log."""


def cluster_of(size: Size) -> Crowd:
    """A controller with so many jobs in each state; what waits is of fifty kinds and of ten users, and a crowd."""
    crowd = Crowd(size.slices)
    crowd.step(*_submissions(jobs(size.ended, user="past")))
    crowd.run_all()
    ends = crowd.reports(AttemptState.RUNNING, AttemptState.SUCCEEDED, EndCause.EXIT_ZERO)
    failed = crowd.reports(AttemptState.RUNNING, AttemptState.FAILED, EndCause.EXIT_NONZERO)
    crowd.step(*failed[: len(failed) // 10], *ends[len(failed) // 10 :])
    crowd.step(*_submissions(jobs(size.running, user="now")))
    crowd.run_all()
    crowd.step(*_submissions(jobs(size.slices - size.running // CORES, cores=CORES, user="fill")))
    crowd.run_all()
    alike = jobs(size.waiting // 2, cores=8, user="crowd", users=1)
    crowd.step(*_submissions([*jobs(size.waiting // 2, cores=8, shapes=50, user="next"), *alike]))
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
        "/", "/jobs", "/jobs?state=pending", f"/jobs{waiting}", "/capacity", "/jobs?state=succeeded&page=40",
        "/jobs?name=job-77", f"/tasks{waiting}:0", f"/slices/{slice_}", "/workers", f"/workers/{worker}",
        "/decisions", "/users", "/endpoints", "/controller", "/simulations", "/api/v1/jobs.json?state=pending",
        f"/api/v1/jobs{waiting}.json", "/api/v1/capacity.json", "/api/v1/workers.json",
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
            f"dashboard, {what}: {page.path}",
            "under 15 ms in a piece",
            f"{milliseconds(page.whole_s)}, in pieces of {milliseconds(page.piece_s)} and less",
            f"{page.size:,} bytes",
        )
        for page in asyncio.run(_pages(subject, pages_of(crowd)))
    ]
    alone, watched = asyncio.run(_paired(crowd, subject, size))
    return [
        *figures,
        *measure_log(size.lines),
        Figure(
            f"a turn with {READERS} dashboards open: how late", "5 ms more at 99 %", _told(watched),
            f"with none: {_told(alone)}",
        ),
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Made:
    """What a page cost, by the time of a processor."""

    path: str
    whole_s: float
    piece_s: float
    """The longest time for which nobody else had his turn."""
    size: int


class _Pulse:
    """Beats in every round of the event loop, and knows the longest time of a processor in between."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._beating = asyncio.create_task(self._beat())

    async def _beat(self) -> None:
        last = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            self.longest, last = max(self.longest, now - last), now

    def stop(self) -> float:
        self._beating.cancel()
        return self.longest


async def _pages(subject: Still, paths: Sequence[str]) -> list[Made]:
    app = Dashboard(subject, OwnMachine(KEY)).app
    found = []
    for path in paths:
        wholes, pieces, size = [], [], 0
        for _ in range(_ASKED):
            subject.turns += 1
            pulse = _Pulse()
            began = time.thread_time()
            status, size = await ask(app, path)
            wholes.append(time.thread_time() - began)
            await asyncio.sleep(0)
            pieces.append(pulse.stop())
            assert status == 200, (path, status)
        found.append(Made(path, statistics.median(wholes), statistics.median(pieces), size))
    return found


def _told(lags: Sequence[float]) -> str:
    ordered = sorted(lags)
    parts = [ordered[int((len(ordered) - 1) * part)] for part in (0.5, 0.99, 1.0)]
    return "median {}, 99 % {}, longest {}".format(*(milliseconds(it) for it in parts))


def _readers(words: Sequence[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-m", "tests.benchmarks.readers", *words])


async def _paired(crowd: Crowd, subject: Still, size: Size) -> tuple[list[float], list[float]]:
    """How late each turn is done that was due: without readers, and with them, by turns."""
    listener = bind("127.0.0.1", 0)
    dashboard = Dashboard(subject, OwnMachine(KEY))
    server = HttpServer(dashboard.app, listener, dashboard.stopping)
    serving = asyncio.create_task(server.serve())
    read = [str(listener.getsockname()[1]), str(READERS), *pages_of(crowd)[:READ]]
    alone: list[float] = []
    watched: list[float] = []
    for _ in range(size.rounds):
        alone += await _lags(crowd, subject, size.seconds)
        with _readers(read) as readers:
            await asyncio.sleep(size.settle_s)
            watched += await _lags(crowd, subject, size.seconds)
            assert readers.poll() is None, "the readers have ended early"
            readers.kill()
    server.stop()
    await serving
    return alone, watched


async def _lags(crowd: Crowd, subject: Still, seconds: float) -> list[float]:
    """How late each turn is done that was due."""
    lags = []
    due = time.perf_counter()
    end = due + seconds
    while due < end:
        due += EVERY_S
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        crowd.step()
        subject.turns += 1
        for changed in subject.watching:
            changed.set()
        lags.append(time.perf_counter() - due)
        due = max(due, time.perf_counter() - EVERY_S)
    return lags
