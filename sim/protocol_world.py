"""A world in which the controller's process dies and comes back, and hears its workers over a network.

The controller, its recovery and the agents are the real ones. A crash takes with it whatever was not
in the journal: facts that waited for a turn, requests that were not yet made, every open call.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from simpy.events import Event

from iris.core import decisions as de
from iris.core import effects as ef
from iris.core import events as ev
from iris.core.ids import RequestId
from iris.core.instant import MINUTE, Instant, Millis
from iris.core.record import Json, Turn
from iris.core.replay import recover
from iris.core.snapshot import snapshot, snapshot_from_json, snapshot_to_json
from iris.core.spec import ClusterSpec
from iris.core.state import ClusterState
from sim.checkers import Evidence, overlaps, what_is_wrong
from sim.containers import ProtocolFleet
from sim.model import CloudModel, FaultKind, Scenario
from sim.network import Network
from sim.protocol_model import (
    KIND_CONTROLLER,
    KIND_NETWORK,
    KIND_RUNTIME,
    RETRY_SUBMIT,
    SNAPSHOT_EVERY,
    ControllerModel,
    Recurring,
)
from sim.switchboard import Switchboard
from sim.world import DigestJournal, World

SETTLING = Millis(90 * MINUTE)
"""So long after it calmed down a world has settled: nothing more is decided."""
_ALMOST_ONE = 1 - 2.0**-20
_HOUSEKEEPING = (de.Answer, de.Observation, de.Oblivion)
MOST_PERFORMED = 8
"""A crash within a turn comes after less than so many of its requests."""


class MemoryJournal(DigestJournal):
    """What would be on the disk: a snapshot, and the turns since."""

    def __init__(self) -> None:
        """Nothing is written yet."""
        super().__init__()
        self.image: Json | None = None  # None: the turns are all there are
        self.since: list[Turn] = []
        self.keeps_all = False
        """Whether every turn is kept, for a transcript."""
        self.all: list[Turn] = []
        self.seen: dict[str, int] = {}
        """How often each kind of fact and decision stood in a turn."""
        self.decided_at = Instant(0)
        """When something was last decided that is more than housekeeping."""

    def append(self, turn: Turn) -> None:
        """Enter a turn."""
        super().append(turn)
        self.since.append(turn)
        if self.keeps_all:
            self.all.append(turn)
        for record in (*turn.events, *turn.decisions):
            name = type(record).__name__
            self.seen[name] = self.seen.get(name, 0) + 1
        if any(not isinstance(d, _HOUSEKEEPING) for d in turn.decisions):
            self.decided_at = turn.now

    def keep(self, state: ClusterState) -> None:
        """Take a snapshot when many turns have gone by."""
        if len(self.since) >= SNAPSHOT_EVERY:
            self.image = snapshot_to_json(snapshot(state))
            self.since.clear()


@dataclass(slots=True)
class Process:
    """The controller's process: whether it lives, and what is about to end it."""

    board: Switchboard | None = None  # None: it is down
    lives: int = 0
    fuse: int | None = None  # None: nothing is about to end it; else requests until then
    burnt: bool = False
    """It has died within the turn that is being performed."""
    unanswered: dict[RequestId, ev.Event] = field(default_factory=dict)
    """What users asked for and heard no answer to."""
    away: Millis = Millis(1)
    """How long it is down, the next time that it goes."""
    reached: Counter[str] = field(default_factory=Counter)
    """Situations that it has been in, and how often."""
    repairs: bool = False
    """It has just come back, and asks again for what nobody has confirmed."""


class ProtocolWorld(World):
    """Everything of one run at the protocol's fidelity."""

    journal: MemoryJournal
    fleet: ProtocolFleet

    def __init__(self, scenario: Scenario, *, audit_every_turn: bool) -> None:
        """A world at time 0, with the scenario's first facts delivered."""
        self.process = Process()
        self.model: ControllerModel = scenario.controller
        self.faults = 0
        """Crashes and stalls so far."""
        self._settled_at: Instant | None = None  # None: something goes on
        super().__init__(scenario, audit_every_turn=audit_every_turn)

    def _make_journal(self) -> MemoryJournal:
        return MemoryJournal()

    def _make_fleet(self) -> ProtocolFleet:
        scenario, process = self.scenario, self.process
        network = Network(self.clock, self.dice, scenario.network)
        return ProtocolFleet(
            self.clock,
            self.dice,
            self.recorder,
            self._deliver,
            network,
            scenario.runtime,
            lambda: process.board,
        )

    def _stop_if_done(self) -> None:
        if self.scenario.calm_after is None:
            super()._stop_if_done()
        elif not self._more and not self._unfinished and self._settled_at is None:
            # A world that calms down is watched until it has settled.
            at = Instant(max(self.clock.now, self.scenario.calm_after) + SETTLING)
            self._settled_at = at
            self.clock.turn_at(at, self._time_is_up)

    def _begin(self) -> None:
        self.process.board = Switchboard(self)
        super()._begin()
        self._recur(lambda model: model.crashes, "crash", self._strike, 0)
        self._recur(lambda model: model.stalls, "stall", self._stand_still, 0)
        if self.scenario.calm_after is not None:
            self.clock.later(Millis(self.scenario.calm_after), self._calm_down)

    # ---- the process, as the switchboard sees it -------------------------------------------

    @property
    def state(self) -> ClusterState:
        """What the controller has on its books."""
        return self.controller.state

    def awake_at(self) -> Instant | None:
        """When the process hears what it is told: now, later, or (None) it is not there."""
        if self.process.board is None:
            return None
        return self._awake_at if self._awake_at is not None else self.clock.now

    def take(self, event: ev.Event) -> None:
        """Put a fact into the next turn."""
        self._deliver(event)

    def _deliver(self, event: ev.Event) -> None:
        if self.process.board is not None:
            super()._deliver(event)

    def ask(self, request: RequestId, event: ev.Event) -> None:
        """A user asks for something, again and again until it is answered."""
        self.process.unanswered[request] = event

        def try_it() -> None:
            if request in self.process.unanswered:
                self._deliver(event)
                self.clock.later(RETRY_SUBMIT, try_it)

        try_it()

    # ---- turns -----------------------------------------------------------------------------

    def _take_turn(self, now: Instant) -> None:
        super()._take_turn(now)
        self.journal.keep(self.controller.state)
        self.process.reached["held by a quota"] += bool(self.controller.state.waiting.held)
        if self.process.fuse is not None:
            self.process.burnt = True  # It had less to ask for than it was given time for.
        if self.process.burnt:
            self.process.reached["died within a turn"] += 1
            self._crash()
        elif self.process.board is not None:
            self.process.board.turned()

    def _perform(self, effect: ef.Effect) -> None:
        process = self.process
        if process.fuse is not None:
            process.fuse -= 1
            if process.fuse < 0:
                process.fuse = None
                process.burnt = True
        if process.burnt:
            return
        match effect:
            case ef.Reply(request, answer):
                process.unanswered.pop(request, None)
                process.reached["refused request"] += isinstance(answer, ef.Rejected)
                super()._perform(effect)
            case ef.RefuseWorker():
                assert process.board is not None
                process.board.refuse(effect)
            case ef.Acknowledge(worker):
                assert process.board is not None
                process.board.wake(worker)
            case _:
                super()._perform(effect)

    def reconfigure(self, spec: ClusterSpec) -> None:
        """Let the controller load another configuration, now and at each of its starts."""
        self.process.reached["edited"] += 1
        super().reconfigure(spec)

    # ---- crashes and stalls ----------------------------------------------------------------

    def _recur(
        self,
        which: Callable[[ControllerModel], Recurring | None],
        stream: str,
        strike: Callable[[int, Millis], None],
        number: int,
    ) -> None:
        recurring = which(self.model)
        if recurring is None:
            return
        span = self.dice.draw(recurring.every, f"{stream} comes", number)

        def come() -> None:
            now = which(self.model)
            if now is not None:
                lasts = self.dice.draw(now.lasts, f"{stream} lasts", number)
                strike(number, Millis(max(1, lasts)))
                self._recur(which, stream, strike, number + 1)

        self.clock.later(Millis(max(1, span)), come)

    def _strike(self, number: int, away: Millis) -> None:
        if self.process.board is None:
            return
        self.faults += 1
        self.process.away = away
        if self.dice.chance(self.model.between, "crash between", number):
            self.process.fuse = self.dice.pick(MOST_PERFORMED, "crash after", number)
        else:
            self._crash()

    def _crash(self) -> None:
        process = self.process
        process.fuse, process.burnt = None, False
        if process.board is None:
            return
        process.board.hang_up()
        process.board = None
        self._inbox.clear()
        self._deadline = None
        self._stalled_since = self._awake_at = None
        self.clock.later(process.away, self._recover)

    def _recover(self) -> None:
        process = self.process
        process.lives += 1
        was, image = self.controller.state, self.journal.image
        self.controller = recover(
            iter(self.journal.since), None if image is None else snapshot_from_json(image)
        )
        was.now = self.controller.state.now  # A wake-up that decided nothing is not on record.
        before = was.digest()
        self.auditor = self.auditor.after_restart(self.controller.state, before)
        process.reached["came back to work"] += self.fleet.running > 0
        process.board = Switchboard(self)
        self._deliver(ev.ControllerRestarted())
        self._deliver(ev.ConfigLoaded(self.config))
        process.repairs = True

    def _ring(self, event: Event) -> None:
        super()._ring(event)
        if self.process.repairs and self.process.board is not None and not self._inbox:
            self.process.repairs = False
            for effect in self.controller.unfinished():
                self._perform(effect)

    def _stand_still(self, number: int, span: Millis) -> None:
        del number
        if self.process.board is not None and self._awake_at is None:
            self.faults += 1
            self.stall(Instant(self.clock.now + span))

    # ---- the second phase ------------------------------------------------------------------

    def _calm_down(self) -> None:
        self.model = KIND_CONTROLLER
        self.fleet.calm()
        self.cloud.calm_down()

    def _wrong(self) -> Iterator[str]:
        model = self.scenario.runtime.unkillable
        worst = model.span.sample(_ALMOST_ONE) if model.probability else Millis(0)
        yield from what_is_wrong(
            Evidence(
                self.controller.state,
                self.fleet.truth,
                self.cloud.machines,
                tuple(self._unfinished),
                self.scenario.calm_after,
                self._settled_at is not None and self.clock.now >= self._settled_at,
                self.journal.decided_at,
                worst,
                self._is_faultless(),
                self.clock.now,
            )
        )

    def _is_faultless(self) -> bool:
        """Whether no model and no script says that anything goes wrong, but for what users do."""
        scenario = self.scenario
        kind = CloudModel(boot=scenario.cloud.boot, delete=scenario.cloud.delete)
        models = (scenario.cloud, scenario.network, scenario.runtime, scenario.controller)
        asked = (FaultKind.SUBMIT_STOP, FaultKind.EDIT_CONFIG)
        return models == (kind, KIND_NETWORK, KIND_RUNTIME, KIND_CONTROLLER) and all(
            fault.kind in asked for fault in scenario.faults
        )

    # ---- what it came to -------------------------------------------------------------------

    def faults_injected(self) -> int:
        """How much went wrong: messages, containers, agents, the controller, slices."""
        ended = ("preempted", "failed")
        lost = sum(
            row.created is None or row.outcome in ended for row in self.measures.slices.values()
        )
        return self.faults + self.fleet.faults + self.fleet.network.faults + lost

    def census(self) -> dict[str, int]:
        """How often each kind of thing happened, by name."""
        counts = Counter(self.journal.seen)
        counts.update(self.process.reached)
        counts["machine rebooted"] = self.fleet.reboots
        counts["gave up"] = self.fleet.exits
        counts["message fault"] = self.fleet.network.faults
        counts["agent took up"] = sum(site.lives - 1 for site in self.fleet.sites.values())
        for job in self.controller.state.jobs.values():
            counts[f"job {job.state.value}"] += 1
            counts["child"] += job.spec.parent is not None
            for task in job.tasks:
                for attempt in task.attempts:
                    if attempt.cause is not None:
                        counts[f"cause {attempt.cause.value}"] += 1
        counts["two at once"] = overlaps(self.fleet.truth)
        return dict(counts)
