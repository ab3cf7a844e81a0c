"""One simulated worker: the real `Agent`, driven by simulated time over the simulated network.

It does what the worker's own driver does: registers, polls, reports, carries out what the agent asks
of the runtime. The containers outlive it, as they outlive a real agent's process.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from iris.core.agent import LAST_GRACE, Agent, Fact, Request, ShutdownNoticed
from iris.core.agent import Told as AgentTold
from iris.core.cadence import FIRST_ORPHAN_TIMEOUT, FIRST_PAUSE, LONGEST_PAUSE
from iris.core.desired import DesiredSet
from iris.core.events import WorkerRegistered
from iris.core.ids import WorkerId, worker_id
from iris.core.instant import Instant, Millis
from sim.clockwork import Clockwork
from sim.network import Line, Network
from sim.switchboard import Exchange, Switchboard, Told, Welcome


class Exchanges(Protocol):
    """How a worker reaches whichever controller is there now."""

    clock: Clockwork
    network: Network

    def switchboard(self) -> Switchboard | None:
        """Of the controller's present life; nothing while it is down."""
        ...


class Outpost:
    """One run of an agent's process."""

    def __init__(
        self,
        registration: WorkerRegistered,
        line: Line,
        around: Exchanges,
        perform: Callable[[Request], None],
        hears: Callable[[], None],
    ) -> None:
        """An agent that holds nothing; `start` sets it to work.

        Args:
            registration: what it says of itself.
            line: its line to the controller.
            around: time and network.
            perform: carries out what the agent asks of the runtime.
            hears: is called when it is about to hear the controller.
        """
        self.registration = registration
        self.worker: WorkerId = worker_id(registration.slice, registration.host)
        self._line = line
        self._around = around
        self._clock = around.clock
        self._perform = perform
        self._hears = hears
        self.heard_at = around.clock.now
        """When it heard the controller last, or began."""
        self.agent = Agent(now=self._clock.now, orphan_timeout=FIRST_ORPHAN_TIMEOUT)
        self._registered = False
        self._known: DesiredSet | None = None
        self._pause = FIRST_PAUSE
        self._call = 0
        """Counts the calls: only the last one's answer is heard."""
        self._polling = False
        self.is_dead = False
        self._refused = False
        self._alarm: Instant | None = None

    def start(self, found: Sequence[Fact]) -> None:
        """Take up what is there, and begin to talk."""
        self.learn(*found)
        self._converse()

    def die(self) -> None:
        """The process ends: nothing of it is done or heard any more."""
        self.is_dead = True

    def learn(self, *facts: Fact) -> None:
        """Tell the agent something, and do what it asks for."""
        if self.is_dead:
            return
        agent = self.agent
        before = agent.reports(), agent.version
        for request in agent.step(self._clock.now, facts):
            self._perform(request)
        deadline = agent.next_deadline()
        if deadline is not None and (self._alarm is None or deadline < self._alarm):
            self._alarm = deadline
            self._clock.later(Millis(max(0, deadline - self._clock.now)), self._ring)
        if (agent.reports(), agent.version) != before and self._polling:
            self._converse()  # There is something to say: give up waiting for an answer.

    def _ring(self) -> None:
        self._alarm = None
        self.learn()

    # ---- the wire --------------------------------------------------------------------------

    def _converse(self) -> None:
        if self.is_dead or self._refused:
            return
        self._call += 1
        if self._registered:
            self._poll(self._call)
        else:
            self._register(self._call)

    def _register(self, call: int) -> None:
        def ask(answer: Callable[[Welcome], None]) -> bool:
            return self._ask(lambda board: board.register(self.registration, answer))

        def hear(welcome: Welcome) -> None:
            self._welcomed(call, welcome)

        self._around.network.call(self._line, ask, hear, lambda: self._failed(call))

    def _poll(self, call: int) -> None:
        self._polling = True
        said = Exchange(
            self.worker,
            self.registration.incarnation,
            self.agent.reports(),
            self.agent.version,
            self._known,
        )

        def ask(answer: Callable[[Told], None]) -> bool:
            return self._ask(lambda board: board.reconcile(said, answer))

        def hear(told: Told) -> None:
            self._told(call, told)

        self._around.network.call(self._line, ask, hear, lambda: self._failed(call))

    def _ask(self, put: Callable[[Switchboard], None]) -> bool:
        board = self._around.switchboard()
        return board is not None and board.hand(lambda: put(board))

    def _welcomed(self, call: int, welcome: Welcome) -> None:
        if call != self._call or self.is_dead:
            return
        if welcome.refusal:
            # Nobody will ask for what still runs here: it is ended, and no more is said.
            self._refused = True
            self.learn(ShutdownNoticed(LAST_GRACE))
            return
        self._registered = True
        self._known = None
        self._pause = FIRST_PAUSE
        self.agent.orphan_timeout = welcome.orphan_timeout
        self._converse()

    def _told(self, call: int, told: Told) -> None:
        if call != self._call or self.is_dead:
            return
        self._polling = False
        self._pause = FIRST_PAUSE
        self._hears()
        if told.desired is None:
            self._registered = False
            self._converse()
            return
        self._known = told.desired
        self.heard_at = self._clock.now
        self.learn(AgentTold(told.desired))
        self._converse()

    def _failed(self, call: int) -> None:
        if call != self._call or self.is_dead:
            return
        self._polling = False
        pause, self._pause = self._pause, Millis(min(2 * self._pause, LONGEST_PAUSE))
        self._clock.later(pause, lambda: self._try_again(call))

    def _try_again(self, call: int) -> None:
        if call == self._call:
            self._converse()

    def next_life(self, number: int) -> "Outpost":
        """The agent's process that is started after this one's end."""
        incarnation = f"{self.registration.incarnation.partition('#')[0]}#{number}"
        again = replace(self.registration, incarnation=incarnation)
        life = Outpost(again, self._line, self._around, self._perform, self._hears)
        life.agent.orphan_timeout = self.agent.orphan_timeout  # It is on the host's disk.
        return life
