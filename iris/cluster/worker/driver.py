"""The worker's loop: the agent in the middle, the wire on one side, the attempts on the other."""

import asyncio
import logging
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, assert_never

from iris.cluster.worker.attempts import Attempts
from iris.cluster.worker.execs import Execs
from iris.cluster.worker.plan import Host
from iris.core.agent import (
    LAST_GRACE,
    NOTICE_GRACE,
    Agent,
    Discard,
    Fact,
    Kill,
    Launch,
    Request,
    ShutdownNoticed,
    Terminate,
    Told,
)
from iris.core.cadence import FIRST_ORPHAN_TIMEOUT, FIRST_PAUSE, LONGEST_PAUSE
from iris.core.desired import DesiredSet, WantedAttempt
from iris.core.ids import TaskId
from iris.core.instant import Instant, Millis
from iris.rpc import codec
from iris.rpc import iris_pb2 as pb
from iris.rpc.aio import AioChannel
from iris.rpc.channel import spread
from iris.rpc.errors import RemoteError
from iris.rpc.methods import RECONCILE, REGISTER

_BOUND_FILE: Final = "orphan-timeout"
_REPORT_S: Final = 5.0
"""At its own end a worker waits so long for the controller to hear how its attempts ended."""

_log = logging.getLogger(__name__)


class NotWelcome(Exception):
    """The controller will not have this worker."""


class Forsaken(Exception):
    """No controller has wanted this worker for the cluster's `orphan_timeout`; says how that showed."""


class Driver:
    """One worker, from its registration to its end."""

    def __init__(
        self,
        registration: pb.RegisterRequest,
        channel: AioChannel,
        folder: Path,
        *,
        outstays: bool = False,
    ) -> None:
        """A worker that has said nothing yet; `attach` gives it its attempts.

        Args:
            registration: what it says of itself.
            channel: to the controller.
            folder: where it keeps what a restart must not forget.
            outstays: whether it asks again after a refusal, and ends when it is forsaken: so does one
                whose machine ends with it.
        """
        self._outstays = outstays
        self._trouble = "the controller has not spoken"
        self._notice = ""
        self._registration = registration
        self._channel = channel
        self._bound = folder / _BOUND_FILE
        self._agent = Agent(now=_now(), orphan_timeout=_read_bound(self._bound))
        self._attempts: Attempts | None = None
        self._execs: Execs | None = None
        self._host = Host("", registration.address, channel.address.url)
        self._inbox: list[Fact] = []
        self._wake = asyncio.Event()
        self._news = asyncio.Event()
        """Something is to be reported that the controller does not know."""
        self._known = 0
        self._wanted: dict[tuple[str, int], pb.Wanted] = {}

    async def attach(self, attempts: Attempts, execs: Execs) -> None:
        """Take up what is there already, and run attempts and commands beside them from now on.

        Raises:
            LaunchError: nothing can be run here.
        """
        self._attempts = attempts
        self._execs = execs
        self._inbox.extend(await attempts.adopt())
        self._step()

    def deliver(self, fact: Fact) -> None:
        """Tell the agent something."""
        self._inbox.append(fact)
        self._wake.set()

    def warn(self, notice: str) -> None:
        """The machine will be taken: stop what runs, in time, and let the controller know."""
        _log.warning("the cloud announces: %s", notice)
        self._notice = notice
        self.deliver(ShutdownNoticed(NOTICE_GRACE))
        self._news.set()

    async def run(self, closing: asyncio.Event) -> None:
        """Work until told to end, then stop what runs and report it.

        Raises:
            NotWelcome: the controller refuses this worker.
            Forsaken: it has done so, or been silent, for too long for one that outstays refusals.
        """
        tasks = [asyncio.create_task(self._turn()), asyncio.create_task(self._converse())]
        ending = asyncio.create_task(closing.wait())
        try:
            await asyncio.wait([*tasks, ending], return_when=asyncio.FIRST_COMPLETED)
            refused: NotWelcome | None = None
            for task in tasks:
                if task.done():
                    try:
                        task.result()
                    except NotWelcome as error:  # Nobody will ask for what still runs here.
                        refused = error
            await self._wind_up(tasks[-1])
            if refused is not None:
                raise refused
        finally:
            for task in tasks:
                task.cancel()
            ending.cancel()
            await asyncio.gather(*tasks, ending, return_exceptions=True)

    async def _wind_up(self, conversing: "asyncio.Task[None]") -> None:
        """Stop what runs, and report it as long as there is somebody to hear it."""
        self.deliver(ShutdownNoticed(LAST_GRACE))
        end = time.monotonic() + 2 * _REPORT_S
        while self._agent.held and time.monotonic() < end:
            if not self._agent.live():
                if conversing.done():
                    return
                end = min(end, time.monotonic() + _REPORT_S)
                self._news.set()
            await asyncio.sleep(0.02)

    # ---- the agent ---------------------------------------------------------------------------------

    async def _turn(self) -> None:
        while True:
            deadline = self._agent.next_deadline()
            span = None if deadline is None else max(0, deadline - _now()) / 1_000
            try:
                async with asyncio.timeout(span):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            self._step()
            if self._outstays and self._agent.is_forsaken():
                raise Forsaken(self._trouble)

    def _step(self) -> None:
        facts, self._inbox = self._inbox, []
        before = self._agent.reports(), self._agent.version
        for request in self._agent.step(_now(), facts):
            self._perform(request)
        if (self._agent.reports(), self._agent.version) != before:
            self._news.set()

    def _perform(self, request: Request) -> None:
        assert self._attempts is not None, "the agent asks for nothing before it holds something"
        match request:
            case Launch(wanted):
                self._attempts.launch(self._wanted[wanted.task, wanted.attempt], self._host)
            case Terminate(task, attempt):
                self._attempts.terminate(task, attempt)
            case Kill(task, attempt):
                self._attempts.kill(task, attempt)
            case Discard(task, attempt):
                self._attempts.discard(task, attempt)
            case _:
                assert_never(request)

    # ---- the wire ----------------------------------------------------------------------------------

    async def _converse(self) -> None:
        pause = FIRST_PAUSE
        registered = False
        while True:
            try:
                if not registered:
                    await self._register()
                    registered = True
                registered = await self._exchange()
                pause = FIRST_PAUSE
            except (RemoteError, NotWelcome) as error:
                if isinstance(error, NotWelcome) and not self._outstays:
                    raise
                self._trouble = str(error)
                _log.warning("%s", error)
                await asyncio.sleep(spread(pause / 1_000))
                pause = Millis(min(2 * pause, LONGEST_PAUSE))

    async def _register(self) -> None:
        answer = await self._channel.call(REGISTER, self._registration)
        if answer.refusal:
            raise NotWelcome(answer.refusal)
        self._host = Host(answer.worker, self._registration.address, self._channel.address.url)
        self._agent.orphan_timeout = Millis(answer.orphan_timeout_ms)
        with suppress(OSError):  # On a full disk the next run goes by the default.
            self._bound.write_text(str(answer.orphan_timeout_ms))
        self._known = 0
        self._wake.set()  # The agent may be orphaned sooner than it thought.
        _log.info("registered as %s", answer.worker)

    async def _exchange(self) -> bool:
        """Report, and hear what is wanted; false when the controller wants a new registration."""
        self._news.clear()
        request = pb.ReconcileRequest(
            worker=self._host.worker,
            incarnation=self._registration.incarnation,
            reports=[codec.report_to_wire(report) for report in self._agent.reports()],
            acted_on=self._agent.version,
            known=self._known,
            notice=self._notice,
        )
        call = asyncio.ensure_future(self._channel.call(RECONCILE, request))
        news = asyncio.ensure_future(self._news.wait())
        try:
            await asyncio.wait((call, news), return_when=asyncio.FIRST_COMPLETED)
            if not call.done():
                return True  # There is something to say: the next exchange says it.
            answer = call.result()
        finally:
            call.cancel()
            news.cancel()
        if answer.unknown:
            return False
        self._known = answer.token
        if self._execs is not None:
            self._execs.offer(answer.execs)
        self._wanted = {(want.task, want.attempt): want for want in answer.attempts}
        self._inbox.append(Told(_desired(answer)))
        self._step()
        self._wake.set()  # The agent may have a nearer deadline now: the end of a grace.
        return True


def _desired(answer: pb.ReconcileResponse) -> DesiredSet:
    wanted = tuple(
        WantedAttempt(
            TaskId(want.task),
            want.attempt,
            want.rank,
            stop=want.stop,
            grace=Millis(want.grace_ms),
            seen=want.seen,
        )
        for want in answer.attempts
    )
    return DesiredSet(answer.version, wanted)


def _read_bound(path: Path) -> Millis:
    """The cluster's `orphan_timeout`, as it was when this worker last registered here."""
    try:
        return Millis(int(path.read_text()))
    except (OSError, ValueError):
        return FIRST_ORPHAN_TIMEOUT


def _now() -> Instant:
    """Milliseconds of a clock that nobody sets."""
    return Instant(time.monotonic_ns() // 1_000_000)
