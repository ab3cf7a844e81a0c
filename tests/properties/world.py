"""The world as it really is, for the properties: a tiny cloud, its hosts, and what ran on them.

Nothing here believes the controller. Machines exist or not, containers run or not, and each end is
on record with its true cause. Requests of the controller wait in lists until somebody (a rule, or
the well-behaved world at the end) answers, loses or garbles them. A host keeps its ending reports
until they are acknowledged, starts no attempt twice, and makes what it runs equal to what it is
told should run.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from iris.core import effects as ef
from iris.core import events as ev
from iris.core.events import CloudState
from iris.core.ids import GroupName, SliceId, TaskId, WorkerId, Zone, worker_id
from iris.core.instant import Instant
from iris.core.lifecycle import AttemptState
from iris.core.records import Worker
from iris.core.resources import Resources
from iris.core.retry import EndCause

Key = tuple[TaskId, int]
"""A task and the number of its attempt."""

ENDS: Final = {
    EndCause.EXIT_ZERO: AttemptState.SUCCEEDED,
    EndCause.EXIT_NONZERO: AttemptState.FAILED,
    EndCause.OUT_OF_MEMORY: AttemptState.FAILED,
    EndCause.LAUNCH: AttemptState.WORKER_FAILED,
    EndCause.BUILD: AttemptState.FAILED,
    EndCause.PREEMPTION: AttemptState.PREEMPTED,
}
"""Ends that a container comes to by itself, and how a worker reports each."""


@dataclass
class Host:
    """One VM and the agent on it."""

    slice: SliceId
    index: int
    address: str
    offers: Resources
    lives: int = 1
    """Counts the runs of the agent's process."""
    alive: bool = True
    cut: bool = False
    """The network between it and the controller is gone."""
    running: dict[Key, AttemptState] = field(default_factory=dict)
    """Containers that exist: building or running."""
    deaf: dict[Key, None] = field(default_factory=dict)
    """Containers that do not obey a stop."""
    ended: dict[Key, ev.AttemptReport] = field(default_factory=dict)
    """Ends that were not acknowledged yet."""
    known: dict[Key, None] = field(default_factory=dict)
    """Attempts that it ever started, or was told to stop: none of them is started again."""
    acted_on: int = 0

    @property
    def worker(self) -> WorkerId:
        """Who it is to the controller."""
        return worker_id(self.slice, self.index)

    @property
    def incarnation(self) -> str:
        """The name of this run of the agent."""
        return f"{self.slice}/{self.index}#{self.lives}"

    def start(self, key: Key) -> None:
        """Start a container, unless this attempt was started here before."""
        if key not in self.known:
            self.known[key] = None
            self.running[key] = AttemptState.BUILDING

    def report(self) -> tuple[ev.AttemptReport, ...]:
        """All that there is to say of attempts."""
        going = (ev.AttemptReport(*key, state) for key, state in self.running.items())
        return (*going, *self.ended.values())


@dataclass
class Machine:
    """A slice in the cloud."""

    slice: SliceId
    group: GroupName
    zone: Zone
    state: CloudState = CloudState.CREATING
    hosts: list[Host] = field(default_factory=list)


class World:
    """The cloud, its machines, and every container that ever ran."""

    def __init__(self, shapes: dict[GroupName, tuple[int, Resources]]) -> None:
        self.shapes = shapes
        """How many hosts a slice of each group has, and what each offers."""
        self.machines: dict[SliceId, Machine] = {}
        self.creates: list[ef.CreateSlice] = []
        self.deletes: list[ef.DeleteSlice] = []
        self.listings: list[tuple[ef.ObserveSlices, Instant]] = []
        self.mail: list[ef.StartAttempt | ef.StopAttempt | ef.Acknowledge] = []
        """Messages to hosts that are on their way."""
        self.history: dict[Key, EndCause] = {}
        """How each container really ended."""
        self.replies: dict[str, ef.Accepted | ef.Rejected] = {}

    # ---- the controller's requests ---------------------------------------------------------

    def perform(self, effect: ef.Effect, now: Instant) -> None:
        """Take a request in; it is answered when somebody gets to it."""
        match effect:
            case ef.CreateSlice():
                self.creates.append(effect)
            case ef.DeleteSlice():
                self.deletes.append(effect)
            case ef.ObserveSlices():
                self.listings.append((effect, now))
            case ef.StartAttempt() | ef.StopAttempt() | ef.Acknowledge():
                self.mail.append(effect)
            case ef.ForgetJobs():
                pass
            case ef.Reply(request, answer):
                self.replies[request] = answer
            case ef.RefuseWorker(slice, host, incarnation):
                for refused in self.hosts():
                    if (refused.slice, refused.index) == (slice, host):
                        if refused.incarnation == incarnation:
                            self.stop_all(refused)

    def create(self, request: ef.CreateSlice) -> None:
        """The machines of a slice come to be, unless they are there already."""
        if request.slice in self.machines:
            return
        count, offers = self.shapes[request.group]
        machine = Machine(request.slice, request.group, request.zone)
        machine.hosts = [
            Host(request.slice, i, f"{request.slice}.{i}", offers) for i in range(count)
        ]
        self.machines[request.slice] = machine

    def remove(self, slice_: SliceId) -> None:
        """A slice is no more, and nothing on it runs."""
        machine = self.machines.pop(slice_, None)
        if machine is not None:
            for host in machine.hosts:
                self.kill(host)

    def kill(self, host: Host) -> None:
        """A host dies with everything on it."""
        host.alive = False
        for key in list(host.running):
            self._end(host, key, EndCause.HOST_LOST)

    def deliver(self, message: ef.StartAttempt | ef.StopAttempt | ef.Acknowledge) -> None:
        """A message reaches the host that it names, if that is still the one it is meant for."""
        host = self.host(message.worker)
        if host is None or not host.alive or host.incarnation != message.incarnation:
            return
        key = (message.task, message.attempt)
        match message:
            case ef.StartAttempt():
                if message.version > host.acted_on:
                    host.start(key)
            case ef.StopAttempt():
                self.stop(host, key)
            case ef.Acknowledge():
                host.ended.pop(key, None)

    # ---- containers ------------------------------------------------------------------------

    def end(self, host: Host, key: Key, cause: EndCause) -> ev.AttemptReport:
        """A container ends by itself."""
        self._end(host, key, cause)
        report = ev.AttemptReport(*key, ENDS[cause], cause)
        host.ended[key] = report
        return report

    def stop(self, host: Host, key: Key) -> None:
        """A container is stopped, if it obeys; one that is not there is said not to be there."""
        host.known[key] = None
        if key in host.deaf:
            return
        if key in host.running:
            self._end(host, key, EndCause.REQUESTED)
        if key not in host.ended:
            host.ended[key] = ev.AttemptReport(*key, AttemptState.KILLED)

    def stop_all(self, host: Host) -> None:
        """Whatever runs on a host is ended, without a word to anybody."""
        for key in list(host.running):
            self._end(host, key, EndCause.REQUESTED)

    def _end(self, host: Host, key: Key, cause: EndCause) -> None:
        del host.running[key]
        host.deaf.pop(key, None)
        self.history[key] = cause

    def reboot(self, host: Host) -> None:
        """A host starts anew: its containers are gone, its agent remembers what it had carried out."""
        for key in list(host.running):
            self._end(host, key, EndCause.HOST_LOST)
        host.lives += 1

    def obey(self, host: Host, worker: Worker, wanted: dict[Key, bool]) -> None:
        """The answer to a whole report: what should run here (true) or stop (false), and nothing else."""
        for key in [k for k in host.running if k not in wanted]:
            self.stop(host, key)
        for key, run in wanted.items():
            if run and key not in host.ended:
                host.start(key)
            elif not run:
                self.stop(host, key)
        host.acted_on = worker.version

    # ---- looking ---------------------------------------------------------------------------

    def hosts(self) -> Iterator[Host]:
        """Every host of every machine."""
        for machine in self.machines.values():
            yield from machine.hosts

    def host(self, worker: WorkerId) -> Host | None:
        """The host behind a worker's name."""
        return next((h for h in self.hosts() if h.worker == worker), None)

    def listing(self, names: tuple[SliceId, ...]) -> tuple[ev.SliceSighting, ...]:
        """What the cloud has now, of these names or (none named) of all."""
        return tuple(
            ev.SliceSighting(m.slice, m.state, m.group, m.zone)
            for m in self.machines.values()
            if not names or m.slice in names
        )

    def containers(self) -> Iterator[tuple[Host, Key]]:
        """Everything that runs."""
        for host in self.hosts():
            for key in host.running:
                yield host, key
