"""The controller under test, driven turn by turn, and everything that must hold after each of them."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from iris.core import decisions as de
from iris.core import effects as ef
from iris.core import events as ev
from iris.core.controller import Controller
from iris.core.ids import GroupName, Zone
from iris.core.instant import MINUTE, Instant, Millis
from iris.core.invariants import Auditor
from iris.core.lifecycle import AttemptState, TaskState
from iris.core.record import Turn, to_json, turn_from_json
from iris.core.replay import recover
from iris.core.resources import Resources
from iris.core.retry import EndCause
from iris.core.snapshot import restore, snapshot, snapshot_from_json, snapshot_to_json
from iris.core.soundness import GIVEN_UP
from iris.core.spec import AutoscalerPolicy, ClusterSpec, GroupSpec, RetentionPolicy
from tests.checks import untraced
from tests.properties.world import Host, Key, World

GIB: Final = 1 << 30
WAKES_OF_ONE_INSTANT: Final = 3
"""How often in a row the controller may ask to be woken at once before it must be quiet."""


def _group(name: str, accelerator: str | None, hosts: int, chips: int, **more: object) -> GroupSpec:
    gpu = accelerator == "H100"
    group = GroupSpec(
        name=GroupName(name),
        accelerator_type="cpu" if accelerator is None else f"H100:{chips}" if gpu else accelerator,
        accelerator=accelerator,
        family=(accelerator or "cpu").rpartition("-")[0] or "cpu",
        hosts=hosts,
        host=Resources(chips=chips, cpu=4_000, memory=16 * GIB),
        max_slices=2,
        zones=(Zone("us-a"), Zone("us-b")),
    )
    return replace(group, **more)  # type: ignore[arg-type]  # names of fields


GROUPS: Final = (
    _group("pod", "v5litepod-16", 2, 4, preemptible=True, reservation="rack"),
    _group("small", "v5litepod-4", 1, 4, reservation="rack", zones=(Zone("us-a"),)),
    _group("gpu", "H100", 1, 8, preemptible=True, zones=(Zone("us-b"),)),
    _group("cpu", None, 1, 0, buffer_slices=1),
)
SPEC: Final = ClusterSpec(
    GROUPS,
    autoscaler=AutoscalerPolicy(
        idle_timeout=Millis(3 * MINUTE),
        observe_interval=Millis(10 * MINUTE),
        tombstone_age=Millis(20 * MINUTE),
        boot_timeout=Millis(20 * MINUTE),
    ),
    retention=RetentionPolicy(ended_jobs=4),
    reservations=(("rack", 24),),
)


class Cluster:
    """A controller with its journal, a world around it, and an auditor over both."""

    def __init__(self) -> None:
        self.now = Instant(0)
        self.controller = Controller()
        self.auditor = Auditor(self.controller.state, every_turn=True)
        self.journal: list[Turn] = []
        self.world = World({g.name: (g.hosts, g.host) for g in GROUPS})
        self.inbox: list[ev.Event] = []
        self.past: list[ev.Event] = []
        """What hosts once said, and the network may say again."""
        self.checks = True

    # ---- turns -----------------------------------------------------------------------------

    def tell(self, *events: ev.Event) -> None:
        """Facts for the next turn."""
        self.inbox.extend(events)
        for event in events:
            if isinstance(event, (ev.WorkerReported, ev.WorkerRegistered, ev.SliceAccepted)):
                self.past.append(event)

    def turn(self, *, perform: bool = True) -> Sequence[de.Decision]:
        """One turn with all that was told; `perform`: or the controller dies before it acts."""
        events, self.inbox = self.inbox, []
        twin = self.controller.clone()
        decisions, effects = self.controller.step(self.now, events)
        turn = Turn(self.now, tuple(events), tuple(decisions))
        if events or decisions:
            self.journal.append(turn)
            untraced(self.auditor.check)(turn)
        if perform:
            for effect in effects:
                self.world.perform(effect, self.now)
        self._check_twin(twin, turn, effects)
        self._check()
        return decisions

    def advance(self, span: int) -> None:
        """Let time pass, waking the controller whenever it asked for it."""
        end = Instant(self.now + span)
        wakes = 0
        while True:
            at = self.controller.next_deadline()
            if at is None or at > end:
                break
            wakes = wakes + 1 if at <= self.now else 0
            assert wakes <= WAKES_OF_ONE_INSTANT, f"V-25 never quiet at {self.now}"
            self.now = max(self.now, at)
            self.turn()
        self.now = end
        self.turn()

    def restart(self) -> None:
        """The controller is gone, and another recovers from its journal."""
        assert self.inbox == [], "what was not learned yet is lost with the process"
        recovered = self.recovered()
        self.controller = recovered
        self.auditor = Auditor(recovered.state, every_turn=True)
        self.tell(ev.ControllerRestarted())
        self.turn()
        for effect in self.controller.unfinished():
            self.world.perform(effect, self.now)

    def wanted(self, host: Host) -> dict[Key, bool]:
        """What a host should run (true) and stop (false), by the controller's books."""
        state = self.controller.state
        return {
            (task, number): state.tasks[task].attempts[number].state is not AttemptState.STOPPING
            for task, number in state.workers[host.worker].attempts.items()
        }

    # ---- what must hold --------------------------------------------------------------------

    @untraced
    def _check_twin(self, twin: Controller, turn: Turn, effects: Sequence[ef.Effect]) -> None:
        """A copy decides the same, the record reads back the same, and a second step is empty."""
        decided, asked = twin.step(turn.now, turn.events)
        assert tuple(decided) == turn.decisions, f"a copy decides otherwise: {decided}\n{turn}"
        assert list(asked) == list(effects), "a copy of the controller asks for something else"
        assert twin.digest() == self.controller.digest(), "a copy ends in another state"
        for settled in (twin, self.controller.clone()):
            again, more = settled.step(turn.now)
            assert list(again) == [], f"V-25 decided without news: {again}\n{turn}"
            assert list(more) == [], f"V-25 asked for without news: {more}"
        written = json.dumps(to_json(turn))
        assert turn_from_json(json.loads(written)) == turn

    @untraced
    def _check(self) -> None:
        assert not self.auditor.violated, "\n".join(
            [*self.auditor.sentences, str(self.journal[-1:])]
        )
        self._check_successes()
        self._check_containers()

    def _check_successes(self) -> None:
        """What the controller calls a success really ended well."""
        for task in self.controller.state.tasks.values():
            if task.state is TaskState.SUCCEEDED:
                key = (task.id, task.attempts[-1].number)
                assert self.world.history.get(key) is EndCause.EXIT_ZERO, f"{key} did not succeed"

    def _check_containers(self) -> None:
        """V-02: one container of a task at most, except on slices that were given up."""
        state = self.controller.state
        where: dict[str, Key] = {}
        for host, key in self.world.containers():
            slice_ = state.slices.get(host.slice)
            if slice_ is None or slice_.state in GIVEN_UP:
                continue
            assert key[0] not in where, f"V-02 {key} runs beside {where[key[0]]}"
            where[key[0]] = key

    @untraced
    def recovered(self) -> Controller:
        """The controller that the journal leads to: it is in the very state that this one is in."""
        recovered = recover(self.journal)
        recovered.replay(
            Turn(self.controller.state.now, (), ())
        )  # A wake-up without news is not written.
        assert recovered.digest() == self.controller.digest(), "V-17 recovery: another state"
        return recovered

    @untraced
    def check_journal(self) -> None:
        """The journal, and a snapshot, lead to the very state."""
        state = self.controller.state
        self.recovered()
        image = snapshot_from_json(json.loads(json.dumps(snapshot_to_json(snapshot(state)))))
        assert restore(image).digest() == state.digest(), "a snapshot holds another state"
