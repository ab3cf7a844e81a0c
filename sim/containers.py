"""The containers of simulated hosts, each with an agent over a network: what launches, stops, outlives.

A fleet whose hosts speak the protocol. Work itself goes as in `sim.fleet`; what differs is who starts
and stops it (the agent, as it was told), and what can go wrong on the way.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from iris.core.agent import Discard, Ended, Fact, Found, Kill, Launch, Request, Started, Terminate
from iris.core.effects import StartAttempt, StopAttempt
from iris.core.events import Event, WorkerRegistered
from iris.core.ids import JobId, TaskId, WorkerId
from iris.core.instant import Instant, Millis
from iris.core.lifecycle import AttemptState
from iris.core.retry import EndCause
from sim.clockwork import Clockwork
from sim.dice import Dice
from sim.fleet import Fleet
from sim.hosts import Host, Run
from sim.network import Line, Network
from sim.outpost import Outpost
from sim.protocol_model import KIND_RUNTIME, RuntimeModel
from sim.recorder import Recorder
from sim.switchboard import Switchboard

Key = tuple[TaskId, int]
"""A task, and the number of an attempt at it."""

_FOR_GOOD = Millis(1 << 50)


@dataclass(slots=True)
class Container:
    """One container, as it really was: the world's own record."""

    task: TaskId
    attempt: int
    worker: WorkerId
    began: Instant
    ran: Instant | None = None  # None: its user's code never ran
    ended: Instant | None = None  # None: it is there
    cause: EndCause | None = None  # None: it has not ended by itself
    asked: Instant | None = None  # None: nobody asked it to end
    """When it got its first SIGTERM."""
    killed: Instant | None = None  # None: it got no SIGKILL
    bereft: Instant | None = None  # None: its agent saw it to its end, and reported it
    """When its agent died or its machine fell silent first, with it there or not yet reported."""
    unheard: Millis = Millis(0)
    """The longest that it ran under a living agent that heard no controller."""


@dataclass(slots=True)
class Site:
    """What a host has beside its runs: a line, an agent, and ended containers that are still there."""

    host: Host
    line: Line
    outpost: Outpost
    dirty: bool
    lives: int = 1
    launched: dict[Key, Container] = field(default_factory=dict)
    """Containers that are there and have not ended."""
    ended: dict[Key, EndCause] = field(default_factory=dict)
    """How containers ended that were not removed."""
    kept: dict[Key, Container] = field(default_factory=dict)
    """These containers."""


class ProtocolFleet(Fleet):
    """Hosts with real agents, that hear and are heard over the network only."""

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        clock: Clockwork,
        dice: Dice,
        recorder: Recorder,
        deliver: Callable[[Event], None],
        network: Network,
        model: RuntimeModel,
        switchboard: Callable[[], Switchboard | None],
    ) -> None:
        """Hosts whose agents reach a controller through its switchboard, while it has one."""
        super().__init__(clock, dice, recorder, deliver, Millis(0))
        self.clock = clock
        self.network = network
        self.model = model
        self.switchboard = switchboard
        self.sites: dict[WorkerId, Site] = {}
        self.truth: list[Container] = []
        """Every container that ever was."""
        self.faults = 0
        """Launches, stops and agents that went wrong so far."""
        self.reboots = 0
        self.exits = 0
        """Members of gangs that gave up because another was lost."""

    # ---- hosts -----------------------------------------------------------------------------

    def registers(self, host: Host | None, registered: WorkerRegistered) -> bool:
        """A host has come up: its agent begins to talk. A twin of another says so once, unheard."""
        if host is None:
            return False
        line = self.network.open(host.worker)
        dirty = self._dice.chance(self.model.dirty_hosts, "dirty", host.worker)
        self.faults += dirty
        site = Site(host, line, self._outpost(host, registered, line), dirty)
        self.sites[host.worker] = site
        self._die_later(site)
        site.outpost.start(())
        return True

    def _outpost(self, host: Host, registered: WorkerRegistered, line: Line) -> Outpost:
        return Outpost(
            registered,
            line,
            self,
            lambda request: self._carry_out(host, request),
            lambda: self._hears(host),
        )

    def _die_later(self, site: Site) -> None:
        deaths = self.model.agent_deaths
        if deaths is None:
            return
        name = site.host.worker
        span = self._dice.draw(deaths.every, "agent dies", name, site.lives)

        def die() -> None:
            deaths = self.model.agent_deaths
            if not site.host.alive or deaths is None:
                return
            self.faults += 1
            site.outpost.die()
            away = self._dice.draw(deaths.lasts, "agent is away", name, site.lives)
            self._bereave(site)
            rebooted = self._dice.chance(self.model.reboots, "reboot", name, site.lives)
            for key, run in list(site.host.runs.items()):
                if rebooted or run.row.running is None:  # What it was setting up is lost with it.
                    self._over(site, key, run, None)
            if rebooted:
                self.reboots += 1
                site.ended.clear()
            self._clock.later(Millis(max(1, away)), lambda: self._revive(site))

        self._clock.later(Millis(max(1, span)), die)

    def _bereave(self, site: Site) -> None:
        """From now on nobody can be blamed for what becomes of the containers of a host."""
        for container in site.launched.values():
            self._leave(container)
            self._note_silence(site, container)
        for key in site.ended:
            self._leave(site.kept[key])

    def _leave(self, container: Container) -> None:
        if container.bereft is None:
            container.bereft = self._clock.now

    def _note_silence(self, site: Site, container: Container) -> None:
        """How long a container has run under an agent that heard nobody."""
        if site.outpost.is_dead:
            return
        since = max(site.outpost.heard_at, container.began)
        container.unheard = max(container.unheard, Millis(self._clock.now - since))

    def _hears(self, host: Host) -> None:
        """The host's agent is about to hear the controller."""
        site = self.sites.get(host.worker)
        if site is not None:
            for container in site.launched.values():
                self._note_silence(site, container)

    def _revive(self, site: Site) -> None:
        if not site.host.alive:
            return
        site.lives += 1
        site.outpost = site.outpost.next_life(site.lives)
        found: list[Fact] = [Found(*key) for key in (*site.host.runs, *site.ended)]
        found += [Ended(*key, cause) for key, cause in site.ended.items()]
        self._die_later(site)
        site.outpost.start(found)

    def kill(self, host: Host) -> None:
        """The host dies with everything on it; members of its gangs elsewhere may notice and give up."""
        lost = [run for run in host.runs.values() if run.work.shared]
        super().kill(host)
        for run in lost:
            for member in run.work.launched.get(run.attempt, ()):
                self._miss(member)

    def _miss(self, member: Run) -> None:
        """A gang's member has lost another."""
        site = self.sites.get(member.host.worker)
        name = (member.task, member.attempt)
        alone = self.model.siblings
        if (
            site is None
            or member.over
            or not self._dice.chance(alone.probability, "gives up", *name)
        ):
            return
        self.faults += 1
        self.exits += 1
        span = self._dice.draw(alone.span, "gives up after", *name)
        self._clock.later(span, lambda: self._over(site, name, member, EndCause.EXIT_NONZERO))

    def _fall_silent(self, host: Host) -> None:
        site = self.sites.pop(host.worker, None)
        if site is not None:
            self._bereave(site)
            site.outpost.die()
            self.network.close(site.line)

    def _stands(self, run: Run) -> bool | None:
        site = self.sites.get(run.host.worker)
        if run.over:
            return None
        return site is not None and site.line.up and site.line.down

    def cut(self, host: Host, span: Millis | None) -> None:
        """Cut the host's line, for a while or for good; its tasks run on."""
        site = self.sites.get(host.worker)
        if site is not None:
            self.network.cut(site.line, span, up=True, down=True, swallows=False)

    def perform(self, request: StartAttempt | StopAttempt) -> None:
        """A worker is told all that it shall have, so it is enough that it asks now."""
        board = self.switchboard()
        if board is not None:
            board.wake(request.worker)

    def forget(self, job: JobId) -> None:
        """A job has ended for the controller; what runs of it is the agents' to end."""

    def calm(self) -> None:
        """From now on every container starts and stops as it is told."""
        self.model = KIND_RUNTIME
        self.network.calm()
        for site in self.sites.values():
            site.dirty = False
            for run in list(site.host.runs.values()):
                if run.row.running is None:
                    self._run(run)

    # ---- what agents ask for ---------------------------------------------------------------

    def _carry_out(self, host: Host, request: Request) -> None:
        site = self.sites.get(host.worker)
        if site is None:
            return
        match request:
            case Launch(wanted):
                start = StartAttempt(
                    host.worker, host.incarnation, wanted.task, wanted.attempt, wanted.rank, 0
                )
                container = Container(wanted.task, wanted.attempt, host.worker, self._clock.now)
                site.launched[wanted.task, wanted.attempt] = container
                self.truth.append(container)
                self._start(host, start)
            case Terminate(task, attempt):
                self._terminate(site, (task, attempt))
            case Kill(task, attempt):
                self._kill(site, (task, attempt))
            case Discard(task, attempt):
                site.ended.pop((task, attempt), None)
                site.kept.pop((task, attempt), None)

    def _terminate(self, site: Site, key: Key) -> None:
        name = site.host.worker
        run = site.host.runs.get(key)
        if run is not None and site.launched[key].asked is None:
            site.launched[key].asked = self._clock.now
        if run is None or self._dice.chance(self.model.deaf, "deaf", name, *key):
            self.faults += run is not None
            return
        span = self._dice.draw(self.model.stop, "stop", name, *key)
        polite = self._dice.chance(self.model.exit_zero, "exits with 0", name, *key)
        cause = EndCause.EXIT_ZERO if polite else EndCause.EXIT_NONZERO
        self._clock.later(span, lambda: self._over(site, key, run, cause))

    def _kill(self, site: Site, key: Key) -> None:
        name = site.host.worker
        run = site.host.runs.get(key)
        if run is None:
            return
        if site.launched[key].killed is None:
            site.launched[key].killed = self._clock.now
        outlives = self.model.unkillable
        span = Millis(0)
        if self._dice.chance(outlives.probability, "unkillable", name, *key):
            self.faults += 1
            span = self._dice.draw(outlives.span, "outlives", name, *key)
        self._clock.later(span, lambda: self._over(site, key, run, EndCause.EXIT_NONZERO))

    def _over(self, site: Site, key: Key, run: Run, cause: EndCause | None) -> None:
        """A container ends that has not ended yet; without a cause nothing is left of it."""
        if run.over or not site.host.alive:
            return
        self._end(run, self._kept(run, self._clock.now))
        self._note_end(site, key, cause)

    def _note_end(self, site: Site, key: Key, cause: EndCause | None) -> None:
        container = site.launched.pop(key)
        self._note_silence(site, container)
        container.cause = cause
        if cause is not None:
            site.ended[key] = cause
            site.kept[key] = container
            site.outpost.learn(Ended(*key, cause))

    # ---- how work goes ---------------------------------------------------------------------

    def _launch_span(self, run: Run) -> Millis:
        name, model = run.host.worker, self.model
        if self._dice.chance(model.wedged, "wedged", name, run.task, run.attempt):
            self.faults += 1
            return _FOR_GOOD
        span = super()._launch_span(run)
        if self._dice.chance(model.slow.probability, "slow", name, run.task, run.attempt):
            self.faults += 1
            span = Millis(span + self._dice.draw(model.slow.span, "slower", name, run.task))
        return span

    def _run(self, run: Run) -> None:
        site = self.sites.get(run.host.worker)
        if run.over or site is None or run.row.running is not None:
            return
        name, key = run.host.worker, (run.task, run.attempt)
        if site.dirty or self._dice.chance(self.model.refused, "refused", name, *key):
            self.faults += 1
            self._over(site, key, run, EndCause.LAUNCH)
            return
        super()._run(run)

    def _report(self, host: Host, run: Run, state: AttemptState, cause: EndCause | None) -> None:
        site = self.sites.get(host.worker)
        key = (run.task, run.attempt)
        if site is None:
            return
        if state is AttemptState.RUNNING:
            site.launched[key].ran = self._clock.now
            site.outpost.learn(Started(*key))
        else:
            self._note_end(site, key, cause)

    def _end(self, run: Run, kept: int) -> None:
        super()._end(run, kept)
        site = self.sites.get(run.host.worker)
        if site is not None:
            site.launched[run.task, run.attempt].ended = self._clock.now
