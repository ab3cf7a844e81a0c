"""Capacity: each group with its slices by state, what wants it, and why it gets no more; below, unmet demand."""

from collections.abc import Sequence
from dataclasses import dataclass

from iris.core.ids import GroupName, JobId
from iris.core.lifecycle import SliceState
from iris.core.spec import GroupSpec
from iris.core.state import ClusterState
from iris.core.views import GateView, GroupView, gate_views, group_views
from iris.dashboard import reasons
from iris.dashboard.page import Asked, Json, Page, list_of
from iris.dashboard.recent import Entry
from iris.dashboard.rows import Rows, SliceRow, cut, slice_row
from iris.dashboard.subject import Subject
from iris.rpc import kinds_cluster
from iris.rpc.codec import group_to_wire

_LOG = 8
"""Decisions that are shown of each group."""
_UNMET = 50


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group, with what the autoscaler thinks of it."""

    spec: GroupSpec
    slices: Sequence[tuple[SliceState, int]]
    existing: int
    idle: int
    told: reasons.GroupTold
    gates: Sequence[GateView]
    """Of its zones, those that are shut or narrowed."""
    entries: Sequence[Entry]
    lost: int
    """Of its last slices, how many were lost or refused."""
    remembered: int
    per_hour: int
    """What its slices cost now, in millionths of a dollar."""


@dataclass(frozen=True, slots=True)
class Unmet:
    """Work of one kind that waits."""

    job: JobId
    """The first of it."""
    units: int
    user: str
    told: reasons.Told


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the page shows."""

    groups: Sequence[GroupRow]
    unmet: Sequence[Unmet]
    found: Rows[SliceRow]
    only: SliceState | None  # None: all that may exist
    group: str
    views: Sequence[GroupView]
    """Of the same groups."""


async def load(subject: Subject, asked: Asked) -> Capacity:
    """All groups, and a page of slices."""
    unmet, entries = _unmet(subject), _entries(subject)
    await asked.breath.draw_in_time()
    state, query = subject.state, asked.query
    views, told, gates = group_views(state), reasons.of_groups(state), gate_views(state)
    prices = subject.recent.costs.per_hour(state)
    rows = [
        _row(state, it, gates, entries.get(it.group, []), prices.get(it.group, 0)) for it in told
    ]
    only, group = query.choice("state", SliceState), query.text("group")
    slices = [
        slice_
        for slice_ in reversed(state.slices.values())
        if group in ("", slice_.group)
        and (slice_.state is only if only is not None else slice_.state is not SliceState.GONE)
    ]
    shown = cut(slices, query.page)
    found = Rows([slice_row(it) for it in shown.rows], shown.page, shown.pages, shown.total)
    return Capacity(rows, unmet, found, only, group, views)


def _row(
    state: ClusterState,
    told: reasons.GroupTold,
    gates: Sequence[GateView],
    entries: Sequence[Entry],
    per_hour: int,
) -> GroupRow:
    spec = state.groups[told.group]
    tally = state.fleet.get(spec.name, {})
    lives = state.lives.get(spec.name, ())
    return GroupRow(
        spec=spec,
        slices=[
            (it, tally[it]) for it in SliceState if tally.get(it) and it is not SliceState.GONE
        ],
        existing=state.existing(spec.name),
        idle=len(state.idle.get(spec.name, ())),
        told=told,
        gates=[
            gate
            for gate in gates
            if gate.accelerator_type == spec.accelerator_type
            and gate.zone in spec.zones
            and (gate.blocked_until is not None or gate.level)
        ],
        entries=entries,
        lost=sum(life.end is not SliceState.DELETING for life in lives),
        remembered=len(lives),
        per_hour=per_hour,
    )


def _entries(subject: Subject) -> dict[GroupName, list[Entry]]:
    """The last decisions about the slices of each group."""
    found: dict[GroupName, list[Entry]] = {}
    for entry in subject.recent.entries(subject.state):
        if entry.group is not None and entry.rule.startswith("slice"):
            rows = found.setdefault(entry.group, [])
            if len(rows) < _LOG:
                rows.append(entry)
    return found


def _unmet(subject: Subject) -> list[Unmet]:
    """The kinds of work that wait, the largest first."""
    state = subject.state
    queues = sorted(state.waiting.queues.items(), key=lambda it: -len(it[1]))[:_UNMET]
    heads = {state.job_by_number[queue.head().job].id: (key, queue) for key, queue in queues}
    told = reasons.headlines(state, heads, subject.now())
    return [
        Unmet(job, len(queue), key.user or state.jobs[job].spec.user, told[job])
        for job, (key, queue) in heads.items()
    ]


def told(model: Capacity) -> Json:
    """The same for programs."""
    items = [
        kinds_cluster.group(group_to_wire(view, row.told.sentences))
        for view, row in zip(model.views, model.groups, strict=True)
    ]
    return list_of("Group", items, len(items))


PAGE = Page("/capacity", "capacity.html", "Capacity", load, told)
