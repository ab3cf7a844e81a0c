"""The rules: all that users, hosts, the cloud, the network and the operator may do, in any order."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from iris.core import effects as ef
from iris.core import events as ev
from iris.core.events import CloudState, CreateFailure
from iris.core.ids import RequestId, SliceId, UserName
from iris.core.instant import HOUR, MINUTE, SECOND, Instant, Millis
from iris.core.lifecycle import AttemptState
from iris.core.resources import Resources
from iris.core.retry import EndCause
from iris.core.spec import (
    Backfill,
    Band,
    Constraint,
    ConstraintOp,
    JobSpec,
    Order,
    SchedulerPolicy,
)
from tests.properties.cluster import GIB, GROUPS, SPEC, Cluster
from tests.properties.settling import behave, settle
from tests.properties.world import ENDS, Host, Key

_Item = TypeVar("_Item")

NUMBERS = st.integers(0, 7)
"""Which of several: by number, counted round."""

KINDS = {
    "gang": {"replicas": 2, "coscheduled": True, "accelerator": "v5litepod-16"},
    "lone": {"replicas": 1, "coscheduled": True, "accelerator": "v5litepod-4"},
    "chips": {"replicas": 2, "accelerator": "v5litepod-4"},
    "gpus": {"replicas": 3, "accelerator": "H100"},
    "wide": {"replicas": 1, "accelerator": "H100"},
    "cpu": {"replicas": 3},
    "big": {"replicas": 1},
    "pair": {"replicas": 1, "coscheduled": True},
}
NEEDS = {
    "gang": Resources(chips=4, cpu=2_000, memory=GIB),
    "lone": Resources(chips=4, cpu=1_000, memory=GIB),
    "chips": Resources(chips=2, cpu=1_000, memory=GIB),
    "gpus": Resources(chips=3, cpu=1_000, memory=GIB),
    "wide": Resources(chips=8, cpu=4_000, memory=GIB),
    "cpu": Resources(cpu=1_500, memory=GIB),
    "big": Resources(cpu=4_000, memory=GIB),
    "pair": Resources(cpu=3_000, memory=GIB),
}
CONSTRAINTS = st.sampled_from(
    [
        (),
        (),
        (),
        (Constraint("zone", ConstraintOp.IN, ("us-a",)),),
        (Constraint("preemptible", ConstraintOp.IN, ("false",), soft=True),),
        (Constraint("zone", ConstraintOp.IN, ("moon",)),),
    ]
)
POLICIES = st.builds(
    SchedulerPolicy,
    order=st.sampled_from(Order),
    backfill=st.sampled_from([Backfill.HOLD, Backfill.HOLD, Backfill.GREEDY, Backfill.NONE]),
    eviction=st.sampled_from([True, True, False]),
)
SPANS = st.sampled_from([1, SECOND, 10 * SECOND, MINUTE, 3 * MINUTE, 10 * MINUTE, HOUR])
REFUSALS = st.sampled_from([r for r in CreateFailure if r is not CreateFailure.BAD_REQUEST])


def pick(items: Sequence[_Item], number: int) -> _Item:
    """One of several."""
    return items[number % len(items)]


class Faults(RuleBasedStateMachine):
    """A cluster to which anything may happen."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = Cluster()
        self.world = self.cluster.world
        self.spec = SPEC
        self.requests = 0
        self.submitted: list[JobSpec] = []
        self.together = 0
        """So many more rules have no turn of their own: their facts come in one."""

    # ---- helpers ---------------------------------------------------------------------------

    def facts(self, *events: ev.Event) -> None:
        """These facts were learned."""
        self.cluster.tell(*events)
        if self.together:
            self.together -= 1
        else:
            self.cluster.turn()

    def request(self) -> RequestId:
        """A request's name that was not used before."""
        self.requests += 1
        return RequestId(f"r{self.requests}")

    def speakers(self) -> list[Host]:
        """Hosts whose words arrive."""
        return [h for h in self.world.hosts() if h.alive and not h.cut]

    def containers(self) -> list[tuple[Host, Key]]:
        """What runs on hosts that are alive."""
        return [(h, k) for h, k in self.world.containers() if h.alive]

    def say(self, host: Host, *reports: ev.AttemptReport) -> None:
        """A host reports on attempts, if it is heard."""
        if not host.cut:
            self.facts(ev.WorkerReported(host.worker, host.incarnation, reports))

    # ---- the start, and the operator -------------------------------------------------------

    @initialize(policy=POLICIES, listed=st.booleans())
    def begin(self, policy: SchedulerPolicy, listed: bool) -> None:
        self.spec = replace(SPEC, scheduler=policy)
        self.facts(ev.ConfigLoaded(self.spec))
        if listed:
            self.answer_listing(0, "whole")

    @rule(
        group=NUMBERS,
        edit=st.sampled_from(
            ["remove", "shrink", "grow", "floor", "zone", "retype", "policy", "same"]
        ),
        policy=POLICIES,
    )
    def edit_config(self, group: int, edit: str, policy: SchedulerPolicy) -> None:
        groups = list(self.spec.groups)
        at = group % max(1, len(groups))
        if edit == "same" or not groups:
            groups = list(GROUPS)
        elif edit == "remove":
            del groups[at]
        elif edit == "policy":
            self.spec = replace(self.spec, scheduler=policy)
        else:
            old = groups[at]
            groups[at] = {
                "shrink": replace(old, max_slices=max(1, old.max_slices - 1), min_slices=0),
                "grow": replace(old, max_slices=old.max_slices + 1),
                "floor": replace(old, min_slices=1 - old.min_slices),
                "zone": replace(old, zones=old.zones[:1]),
                "retype": replace(
                    old, accelerator_type=f"{old.accelerator_type}x", hosts=3 - old.hosts
                ),
            }[edit]
        self.spec = replace(self.spec, groups=tuple(groups))
        self.world.shapes.update({g.name: (g.hosts, g.host) for g in groups})
        self.facts(ev.ConfigLoaded(self.spec))

    @precondition(lambda self: self.world.machines)
    @rule(number=NUMBERS)
    def operator_terminates(self, number: int) -> None:
        machine = pick(list(self.world.machines.values()), number)
        self.facts(ev.SliceTerminateRequested(self.request(), machine.slice))

    @rule(number=NUMBERS, keep=SPANS)
    def operator_creates(self, number: int, keep: Millis) -> None:
        group = pick(GROUPS, number)
        self.facts(ev.SliceCreateRequested(self.request(), group.name, keep))

    @precondition(lambda self: self.world.machines)
    @rule(number=NUMBERS, resume=st.booleans())
    def operator_drains(self, number: int, resume: bool) -> None:
        host = pick(list(self.world.hosts()), number)
        self.facts(ev.WorkerDrainRequested(host.worker, resume))

    # ---- users -----------------------------------------------------------------------------

    @rule(
        kind=st.sampled_from(sorted(KINDS)),
        user=st.sampled_from(["ann", "bob"]),
        band=st.sampled_from(Band),
        constraints=CONSTRAINTS,
        budgets=st.tuples(st.integers(0, 2), st.sampled_from([0, 1, 100])),
        timeouts=st.tuples(
            st.sampled_from([None, None, 5 * MINUTE]), st.sampled_from([None, None, 2 * MINUTE])
        ),
        parent=st.one_of(st.none(), st.none(), NUMBERS),
    )
    def submit(  # noqa: PLR0913
        self,
        kind: str,
        user: str,
        band: Band,
        constraints: tuple[Constraint, ...],
        budgets: tuple[int, int],
        timeouts: tuple[Millis | None, Millis | None],
        parent: int | None,
    ) -> None:
        jobs = list(self.cluster.controller.state.jobs)
        spec = JobSpec(
            user=UserName(user),
            name=f"{kind}{len(self.submitted)}",
            parent=pick(jobs, parent) if parent is not None and jobs else None,
            resources=NEEDS[kind],
            band=band,
            constraints=constraints,
            max_retries_failure=budgets[0],
            max_retries_preemption=budgets[1],
            scheduling_timeout=timeouts[0],
            timeout=timeouts[1],
        )
        spec = replace(spec, **KINDS[kind])  # type: ignore[arg-type]  # names of fields
        self.submitted.append(spec)
        self.facts(ev.JobSubmitted(RequestId(f"job{len(self.submitted)}"), spec))

    @precondition(lambda self: self.submitted)
    @rule(number=NUMBERS)
    def submit_again(self, number: int) -> None:
        at = number % len(self.submitted)
        self.facts(ev.JobSubmitted(RequestId(f"job{at + 1}"), self.submitted[at]))

    @precondition(lambda self: self.cluster.controller.state.jobs)
    @rule(number=NUMBERS)
    def stop_job(self, number: int) -> None:
        job = pick(list(self.cluster.controller.state.jobs), number)
        self.facts(ev.JobStopRequested(self.request(), job, UserName("ann")))

    # ---- the cloud -------------------------------------------------------------------------

    @precondition(lambda self: self.world.creates)
    @rule(
        number=NUMBERS,
        how=st.sampled_from(["done", "done", "done", "silent", "accepted", "lost", "lies"]),
    )
    def answer_create(self, number: int, how: str) -> None:
        request = self.world.creates.pop(number % len(self.world.creates))
        if how in ("done", "silent", "lies"):
            self.world.create(request)
        if how == "lies":
            self.facts(ev.SliceCreateFailed(request.slice, CreateFailure.INTERNAL, "lies"))
        elif how in ("done", "accepted"):
            self.facts(ev.SliceAccepted(request.slice))

    @precondition(lambda self: self.world.creates)
    @rule(number=NUMBERS, reason=REFUSALS, late=st.booleans())
    def refuse_create(self, number: int, reason: CreateFailure, late: bool) -> None:
        request = self.world.creates.pop(number % len(self.world.creates))
        if late:
            self.facts(ev.SliceAccepted(request.slice))
        self.facts(ev.SliceCreateFailed(request.slice, reason, "no"))

    @precondition(lambda self: self.world.deletes)
    @rule(number=NUMBERS, how=st.sampled_from(["done", "done", "quiet", "failed", "lies"]))
    def answer_delete(self, number: int, how: str) -> None:
        request = self.world.deletes.pop(number % len(self.world.deletes))
        if how in ("done", "quiet"):
            self.world.remove(request.slice)
        if how == "failed":
            self.facts(ev.SliceDeleteFailed(request.slice, "not now"))
        elif how != "quiet":
            self.facts(ev.SliceDeleted(request.slice))

    @precondition(lambda self: self.world.listings)
    @rule(
        number=NUMBERS,
        how=st.sampled_from(["whole", "whole", "empty", "part", "error", "lost", "missing"]),
    )
    def answer_listing(self, number: int, how: str) -> None:
        if not self.world.listings:
            return
        request, asked_at = self.world.listings.pop(number % len(self.world.listings))
        seen = self.world.listing(request.slices)
        whole = not request.slices
        if how == "error":
            self.facts(ev.SlicesObserved((), asked_at, complete=False, error="unavailable"))
        elif how == "part":
            self.facts(ev.SlicesObserved(seen[:1], asked_at, complete=False))
        elif how == "missing":
            gone = tuple(n for n in request.slices if n not in self.world.machines)
            self.facts(ev.SlicesObserved(seen, asked_at, complete=False, missing=gone))
        elif how == "empty":
            self.facts(ev.SlicesObserved((), asked_at, complete=whole))
        elif how == "whole":
            self.facts(ev.SlicesObserved(seen, asked_at, complete=whole))

    @precondition(lambda self: self.world.machines)
    @rule(
        number=NUMBERS,
        how=st.sampled_from(["gone", "notice", "false notice", "shown", "stopped", "strange"]),
    )
    def take_slice(self, number: int, how: str) -> None:
        machine = pick(list(self.world.machines.values()), number)
        if how in ("notice", "false notice"):
            self.facts(ev.PreemptionNoticed(machine.slice))
        elif how == "gone":
            self.world.remove(machine.slice)
        else:
            machine.state = {
                "shown": CloudState.PREEMPTED,
                "stopped": CloudState.STOPPED,
                "strange": CloudState.OTHER,
            }[how]
            for host in machine.hosts:
                self.world.kill(host)

    @rule(number=NUMBERS, known=st.booleans())
    def stranger_appears(self, number: int, known: bool) -> None:
        group = pick(GROUPS, number)
        name = SliceId(f"iris-{group.name}-{900 + number}")
        zone = group.zones[0]
        if name not in self.cluster.controller.state.slices:
            self.world.create(ef.CreateSlice(name, group.name, zone))
            sighting = ev.SliceSighting(
                name, CloudState.READY, group.name if known else None, zone if known else None
            )
            self.facts(ev.SlicesObserved((sighting,), self.cluster.now, complete=False))

    # ---- hosts -----------------------------------------------------------------------------

    @precondition(lambda self: self.world.machines)
    @rule(number=NUMBERS, twisted=st.sampled_from([0, 0, 0, 0, 1, 7]))
    def register(self, number: int, twisted: int) -> None:
        """Hosts register, all of a slice, one of them under a wrong index perhaps."""
        machine = pick(list(self.world.machines.values()), number)
        machine.state = CloudState.READY
        hosts = [h for h in machine.hosts if h.alive and not h.cut]
        self.facts(*(self.registration(h, h.index + twisted) for h in reversed(hosts)))

    def registration(self, host: Host, index: int) -> ev.WorkerRegistered:
        """How a host introduces itself."""
        machine = self.world.machines[host.slice]
        return ev.WorkerRegistered(
            host.slice,
            index,
            host.incarnation if index == host.index else f"{host.incarnation}?",
            host.address if index == host.index else f"{host.address}?",
            host.offers,
            machine.group,
            machine.zone,
        )

    @precondition(lambda self: self.world.mail)
    @rule(number=NUMBERS, how=st.sampled_from(["all", "all", "one", "lost", "twice"]))
    def deliver(self, number: int, how: str) -> None:
        if how == "all":
            mail, self.world.mail = self.world.mail, []
            for message in mail:
                self.world.deliver(message)
            return
        at = number % len(self.world.mail)
        if how != "lost":
            self.world.deliver(self.world.mail[at])
        if how != "twice":
            del self.world.mail[at]

    @precondition(lambda self: self.containers())
    @rule(number=NUMBERS, told=st.booleans())
    def run(self, number: int, told: bool) -> None:
        host, key = pick(self.containers(), number)
        host.running[key] = AttemptState.RUNNING
        if told:
            self.say(host, ev.AttemptReport(*key, AttemptState.RUNNING))

    @precondition(lambda self: self.containers())
    @rule(
        number=NUMBERS,
        cause=st.sampled_from([EndCause.EXIT_ZERO, EndCause.EXIT_ZERO, *sorted(ENDS, key=str)]),
        told=st.sampled_from([True, True, False]),
    )
    def end(self, number: int, cause: EndCause, told: bool) -> None:
        host, key = pick(self.containers(), number)
        report = self.world.end(host, key, cause)
        if told:
            self.say(host, report)

    @precondition(lambda self: self.containers())
    @rule(number=NUMBERS)
    def turn_deaf(self, number: int) -> None:
        host, key = pick(self.containers(), number)
        host.deaf[key] = None

    @precondition(lambda self: self.speakers())
    @rule(number=NUMBERS, heard=st.booleans())
    def reconcile(self, number: int, heard: bool) -> None:
        """A host tells all that it has and is told all that it should have, if it hears it."""
        host = pick(self.speakers(), number)
        self.whole_report(host)
        worker = self.cluster.controller.state.workers.get(host.worker)
        if heard and not self.cluster.inbox and worker is not None:
            if worker.incarnation == host.incarnation:
                self.world.obey(host, worker, self.cluster.wanted(host))

    def whole_report(self, host: Host) -> None:
        """A host tells all that it has."""
        self.facts(
            ev.WorkerReported(
                host.worker, host.incarnation, host.report(), complete=True, acted_on=host.acted_on
            )
        )

    @precondition(lambda self: self.cluster.past)
    @rule(number=st.integers(0, 50))
    def say_again(self, number: int) -> None:
        self.facts(pick(self.cluster.past, number))

    @precondition(lambda self: self.world.machines)
    @rule(number=NUMBERS, how=st.sampled_from(["reboot", "restart", "die", "cut", "cut", "heal"]))
    def trouble(self, number: int, how: str) -> None:
        host = pick(list(self.world.hosts()), number)
        match how:
            case "reboot":
                self.world.reboot(host)
            case "restart":
                host.lives += 1
            case "die":
                self.world.kill(host)
            case "cut":
                host.cut = True
            case _:
                if host.cut and host.alive:
                    host.cut = False
                    self.facts(ev.WorkerHeard(host.worker, host.incarnation))
        if (host.cut or not host.alive) and how != "heal":
            self.facts(ev.WorkerSilent(host.worker, host.incarnation, self.cluster.now))

    # ---- time, and the controller ----------------------------------------------------------

    @rule(count=st.integers(2, 4))
    def all_at_once(self, count: int) -> None:
        self.together = count

    @rule(span=SPANS)
    def time_passes(self, span: int) -> None:
        self.cluster.advance(span)

    @rule(minutes=st.integers(1, 4), finish=st.booleans())
    def all_goes_well(self, minutes: int, finish: bool) -> None:
        """For a while the world behaves, so that faults meet a cluster at work."""
        for _ in range(minutes):
            behave(self.cluster, finish=finish)
            self.cluster.advance(MINUTE)

    @rule(span=SPANS)
    def controller_stalls(self, span: int) -> None:
        since, self.cluster.now = self.cluster.now, Instant(self.cluster.now + span)
        self.cluster.tell(ev.ControllerStalled(since))
        self.cluster.turn()

    @rule(span=SPANS, acted=st.booleans())
    def controller_crashes(self, span: int, acted: bool) -> None:
        """It dies in its turn, before it acted on it or after, and is started again later."""
        self.cluster.turn(perform=acted)
        self.cluster.now = Instant(self.cluster.now + span)
        self.cluster.restart()

    # ---- the end ---------------------------------------------------------------------------

    def teardown(self) -> None:
        self.cluster.turn()
        self.cluster.check_journal()
        if self.cluster.journal:
            settle(self.cluster)
