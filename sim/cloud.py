"""The fake cloud: what it does with creates, deletes and listings, and what it takes away.

It is as unkind as its model says and no kinder. Its books are the truth: `machines` holds every
slice that exists, whether or not its answer ever reached the controller. Each fault model of the
scenario (F-01 to F-13) is one small decision at the place where the real cloud makes it.
"""

from collections.abc import Callable

from iris.core import effects as ef
from iris.core import events as ev
from iris.core.events import CloudState, CreateFailure
from iris.core.ids import GroupName, SliceId, Zone
from iris.core.instant import Instant, Millis
from iris.core.spec import GroupSpec
from sim.boot import Booting
from sim.dice import Remaining
from sim.hosts import Host
from sim.listing import Listings
from sim.machine import Machine, Surroundings
from sim.model import CloudModel
from sim.stock import Stock, odds_of
from sim.strangers import Strangers

LATE_FAILURES = frozenset({CreateFailure.STOCKOUT, CreateFailure.INTERNAL, CreateFailure.UNKNOWN})
"""Refusals that are told in the operation, after the call was accepted."""


class FakeCloud:
    """A cloud behind the same requests and facts as a real one."""

    def __init__(
        self,
        model: CloudModel,
        groups: dict[GroupName, GroupSpec],
        around: Surroundings,
    ) -> None:
        """A cloud of these groups that behaves as the model says."""
        self.model = model
        self.groups = groups
        self.clock = around.clock
        self.dice = around.dice
        self.fleet = around.fleet
        self.recorder = around.recorder
        self.deliver = around.deliver
        self.stock = Stock(model, self.dice)
        self.machines: dict[SliceId, Machine] = {}
        self._in_zone: dict[Zone, dict[SliceId, Machine]] = {}
        """Those of each zone that hold stock: all but the preempted."""
        self.calm = False
        self.hung_until: Instant | None = None  # None: calls return
        self._calls = 0
        self._created: dict[tuple[GroupName, Zone], int] = {}
        self._losses = 0
        self._booting = Booting(self)
        self._listings = Listings(self)

    def start(self) -> None:
        """Let the cloud's own life begin: its capacity moves, and other hands meddle."""
        for zone, steps in self.model.capacity.items():
            for number, (at, _) in enumerate(steps):
                if at > self.clock.now:
                    self.clock.later(
                        Millis(at - self.clock.now),
                        lambda zone=zone, number=number: self._shrink(zone, number),  # type: ignore[misc]
                    )
        Strangers(self).start()

    def calm_down(self) -> None:
        """From now on it does what it is asked, at once, and takes nothing; what is under way goes on."""
        self.calm = True
        self.model = CloudModel(boot=self.model.boot, delete=self.model.delete)
        self.stock = Stock(self.model, self.dice)
        self.hung_until = None

    def _shrink(self, zone: Zone, number: int) -> None:
        """A step of the zone's capacity: what goes is drawn from all that there was, ours or not.

        Measured series count machines that were held and lost, so a step from 80 to 40 takes each
        held slice with even odds, also where fewer than 40 are held; what is then still too many
        goes, too.
        """
        if self.calm:
            return
        steps = self.model.capacity[zone]
        before = steps[number - 1][1] if number else 0
        held = [m for m in self._in_zone.get(zone, {}).values() if not m.noticed]
        left = len(held)
        lost = 0
        for drawn in range(max(0, before - steps[number][1])):
            key = (zone, number, drawn)
            if self.dice.pick(before - drawn, "capacity goes", *key) < left:
                left -= 1
                lost += 1
        limit = self.stock.limit(zone, self.clock.now)
        if limit is not None:
            lost = max(lost, len(held) - limit)
        if lost > 0:
            self.take(self.choose(self.takeable(zone), lost, f"capacity/{zone}/{number}"))

    # ---- calls -----------------------------------------------------------------------------

    def perform(self, request: ef.CreateSlice | ef.DeleteSlice | ef.ObserveSlices) -> None:
        """Take a call; its answer comes later, or never."""
        self._calls += 1
        call = self._calls
        now = self.clock.now
        if self.hung_until is not None and now < self.hung_until:
            return
        if self.dice.chance(self.model.hang, "hang", call):
            return
        zone = None if isinstance(request, ef.ObserveSlices) else request.zone
        latency = self.model.slow_zones.get(zone, self.model.call) if zone else self.model.call
        delay = self.dice.draw(latency, "call", call)
        match request:
            case ef.CreateSlice():
                group = self.groups[request.group]
                self.recorder.slice_requested(request.slice, group, request.zone, now)
                self.clock.later(delay, lambda: self._create(request, call))
            case ef.DeleteSlice():
                self.clock.later(delay, lambda: self._delete(request, call))
            case _:
                self.clock.later(delay, lambda: self._observe(request, call, now))

    # ---- creating --------------------------------------------------------------------------

    def _create(self, request: ef.CreateSlice, call: int) -> None:
        if request.slice in self.machines:
            self.deliver(ev.SliceAccepted(request.slice))
            return
        group = self.groups[request.group]
        kind = group.accelerator_type
        recorded = self.stock.answer_on_record(request.zone, kind, self.clock.now)
        if recorded is None:
            reason = self._refusal(group, request.zone, call)
        else:
            there = self._in_zone.get(request.zone, {}).values()
            reason = recorded.to(sum(m.group.accelerator_type == kind for m in there))
        answers = self.model.create_answers
        if reason is None:
            self._booting.accept(self.add_machine(request.slice, group, request.zone), call)
            return
        if self.dice.chance(answers.failed_but_lives, "failed lives", call):
            machine = self.add_machine(request.slice, group, request.zone)
            self.boot(machine, self._booting.span_of(machine))
        told_after = recorded.after if recorded is not None else self._verdict(reason, call)
        self._refuse(request.slice, reason, told_after)

    def _refusal(self, group: GroupSpec, zone: Zone, call: int) -> CreateFailure | None:
        present, chips = self.present(zone)
        reason = self.stock.refusal(group, zone, present, chips, self.clock.now)
        if reason is not None:
            return reason
        if self._reservation_is_short(group):
            return CreateFailure.STOCKOUT
        drawn = self.dice.uniform("create fails", call)
        for probability, failure in odds_of(self.model.create_failures):
            if drawn < probability:
                return failure
            drawn -= probability
        return None

    def _reservation_is_short(self, group: GroupSpec) -> bool:
        if group.reservation is None or group.reservation not in self.model.reservations:
            return False
        used = sum(
            m.group.chips
            for m in self.machines.values()
            if m.group.reservation == group.reservation
        )
        return used + group.chips > self.model.reservations[group.reservation]

    def _verdict(self, reason: CreateFailure, call: int) -> Millis:
        """How long after the call a refusal is told."""
        if reason not in LATE_FAILURES:
            return Millis(0)
        return self.dice.draw(self.model.verdict, "verdict", call)

    def _refuse(self, name: SliceId, reason: CreateFailure, verdict: Millis) -> None:
        def tell() -> None:
            if name not in self.machines:
                self.recorder.slice_refused(name, reason.value)
            self.deliver(ev.SliceCreateFailed(name, reason, "as the scenario has it"))

        if verdict:
            self.deliver(ev.SliceAccepted(name))
        self.clock.later(verdict, tell)

    def add_machine(self, name: SliceId, group: GroupSpec, zone: Zone) -> Machine:
        """A slice begins to exist, and to cost."""
        now = self.clock.now
        key = (group.name, zone)
        number = self._created.get(key, 0)
        self._created[key] = number + 1
        machine = Machine(name, number, group, zone, now)
        machine.history.append((now, CloudState.CREATING))
        self.machines[name] = machine
        self._in_zone.setdefault(zone, {})[name] = machine
        self.recorder.slice_requested(name, group, zone, now)
        self.recorder.slice_created(name, now)
        return machine

    def boot(self, machine: Machine, span: Millis) -> None:
        """Let its hosts come up after a while."""
        self._booting.boot(machine, span)

    def present(self, zone: Zone) -> tuple[int, int]:
        """Slices, and chips, that hold stock in a zone."""
        there = self._in_zone.get(zone, {}).values()
        if zone not in self.model.quota:
            return len(there), 0
        return len(there), sum(m.group.chips for m in there)

    # ---- the life of a machine -------------------------------------------------------------

    def came_up(self, machine: Machine, age: Millis = Millis(0)) -> None:
        """Every host has come up, now or so long ago: its lifetime begins, or goes on."""
        machine.ready = True
        self._set(machine, CloudState.READY)
        self.recorder.slice_ready(machine.name, self.clock.now)
        if not machine.group.preemptible:
            return
        key = (machine.group.name, machine.zone, machine.number)
        lifetime = self.model.lifetime_of(machine.group.name, machine.zone)
        spans: list[Millis] = []
        if lifetime is not None:
            left = Remaining(lifetime, age) if age else lifetime
            spans.append(self.dice.draw(left, "lifetime", *key))
        if self.model.lifetime_max is not None:
            spans.append(Millis(max(0, self.model.lifetime_max - age)))
        if spans:
            self.clock.later(min(spans), lambda: self._expire(machine))
        if self.model.false_notice is not None:
            self._false_alarm(machine, 0)

    def _false_alarm(self, machine: Machine, number: int) -> None:
        assert self.model.false_notice is not None
        span = self.dice.draw(self.model.false_notice, "false notice", machine.name, number)

        def alarm() -> None:
            if machine.state is CloudState.READY and not self.calm:
                self.deliver(ev.PreemptionNoticed(machine.name))
                self._false_alarm(machine, number + 1)

        self.clock.later(max(Millis(1), span), alarm)

    def _expire(self, machine: Machine) -> None:
        """A lifetime is over: the cloud takes the slice, and perhaps others of its zone with it."""
        if machine.state is not CloudState.READY or machine.noticed or self.calm:
            return
        bulk = self.model.bulk
        more = min(self.dice.geometric(bulk.mean, "bulk", machine.name), bulk.max) - 1
        others: list[Machine] = []
        if more > 0:
            others = [m for m in self.takeable(machine.zone) if m is not machine]
        self.take([machine, *self.choose(others, more, f"bulk/{machine.name}")])

    def takeable(self, zone: Zone) -> list[Machine]:
        """Slices of a zone that the cloud may preempt."""
        return [
            m
            for m in self._in_zone.get(zone, {}).values()
            if m.group.preemptible
            and not m.noticed
            and m.state in (CloudState.READY, CloudState.CREATING)
        ]

    def choose(self, machines: list[Machine], count: int, stream: str) -> list[Machine]:
        """Some of these machines, drawn without bias."""
        left = list(machines)
        return [
            left.pop(self.dice.pick(len(left), stream, number))
            for number in range(min(count, len(left)))
        ]

    def take(self, machines: list[Machine], notice: Millis | None = None) -> None:
        """Preempt slices: announce it, by default if the model has a notice, then let them die."""
        notice = self.model.notice if notice is None else notice
        for machine in machines:
            machine.noticed = True
            if not notice:
                continue
            if not self.dice.chance(self.model.notice_lost, "notice lost", machine.name):
                for host in machine.hosts:
                    host.doomed_for = notice
                self.deliver(ev.PreemptionNoticed(machine.name))
        if notice:
            self.clock.later(notice, lambda: self._taken(machines))
        else:
            self._taken(machines)

    def _taken(self, machines: list[Machine]) -> None:
        zones: dict[Zone, None] = {}
        for machine in machines:
            if machine.state in (CloudState.READY, CloudState.CREATING):
                zones[machine.zone] = None
                self._end(machine, "preempted")
        for zone in zones:
            self._losses += 1
            self.stock.lost(zone, self._losses, self.present(zone)[0], self.clock.now)

    def _end(self, machine: Machine, outcome: str) -> None:
        """The machine dies, all at once or host by host, and the cloud says what it says of it."""
        fate = self.dice.uniform("vanishing", machine.name)
        odds = self.model.vanishing
        gap = self.model.host_by_host
        at = Millis(0)
        for host in machine.hosts:
            if gap is not None and host.index:
                at = Millis(at + self.dice.draw(gap, "host by host", machine.name, host.index))
                self.clock.later(at, lambda host=host: self.kill_host(host))  # type: ignore[misc]
            else:
                self.kill_host(host)
        self.clock.later(
            at, lambda: self.recorder.slice_ended(machine.name, self.clock.now, outcome)
        )
        if fate < odds.not_found:
            self.forget(machine)
        elif outcome != "preempted" or fate < odds.not_found + odds.other_state:
            self._set(machine, CloudState.OTHER)
        else:
            self._set(machine, CloudState.PREEMPTED)

    def lose(self, machines: list[Machine]) -> None:
        """These die at once and without a word, preemptible or not, as in the outage of a zone."""
        for machine in machines:
            if machine.state in (CloudState.READY, CloudState.CREATING):
                machine.noticed = True
                self._end(machine, "failed")

    def tell_of(self, machine: Machine) -> None:
        """Say unasked what has become of a machine."""
        self.deliver(self._listings.some((machine.name,), self.clock.now))

    def kill_host(self, host: Host) -> None:
        """One host dies, and its address is free; its slice goes on being called what it was."""
        if host.alive:
            self.fleet.kill(host)
            self._booting.released(host.address)

    def _set(self, machine: Machine, state: CloudState) -> None:
        machine.state = state
        machine.sighting = None
        if state is CloudState.PREEMPTED:
            self._in_zone[machine.zone].pop(machine.name, None)
        machine.history.append((self.clock.now, state))

    def forget(self, machine: Machine) -> None:
        """The machine is listed no more."""
        machine.history.append((self.clock.now, None))
        self.machines.pop(machine.name, None)
        self._in_zone[machine.zone].pop(machine.name, None)
        self._listings.remember(machine)

    # ---- deleting --------------------------------------------------------------------------

    def _delete(self, request: ef.DeleteSlice, call: int) -> None:
        machine = self.machines.get(request.slice)
        odds = self.model.deletes
        if machine is None:
            self.deliver(ev.SliceDeleted(request.slice))
        elif self.dice.chance(odds.refused, "delete refused", call):
            self.deliver(ev.SliceDeleteFailed(request.slice, "as the scenario has it"))
        elif self.dice.chance(odds.lies, "delete lies", call):
            self.deliver(ev.SliceDeleted(request.slice))
        elif not self.dice.chance(odds.lost, "delete lost", call):
            self.remove(machine, lambda: self.deliver(ev.SliceDeleted(request.slice)))

    def remove(self, machine: Machine, then: Callable[[], None]) -> None:
        """Take a machine down, on a request or by another hand."""
        if machine.state is CloudState.DELETING:
            return
        was = machine.state
        self._set(machine, CloudState.DELETING)
        span = self.dice.draw(self.model.delete, "delete", machine.name)

        def gone() -> None:
            for host in machine.hosts:
                self.kill_host(host)
            if was in (CloudState.CREATING, CloudState.READY, CloudState.REPAIRING):
                outcome = "deleted" if machine.ready else "failed"
                self.recorder.slice_ended(machine.name, self.clock.now, outcome)
            self.forget(machine)
            then()

        self.clock.later(span, gone)

    # ---- listing ---------------------------------------------------------------------------

    def _observe(self, request: ef.ObserveSlices, call: int, asked_at: Instant) -> None:
        lists = self.model.lists
        if self.dice.chance(lists.error, "list fails", call):
            self.deliver(ev.SlicesObserved((), asked_at, complete=False, error="the call failed"))
        elif request.slices:
            self.deliver(self._listings.some(request.slices, asked_at))
        else:
            self.deliver(self._listings.all(call, asked_at))
