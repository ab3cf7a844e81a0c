"""The run as Chrome trace events, for Perfetto: what each slice and each host did, and when.

A scale group is a process. Each slice has a thread for its own life and, under it, one for each
host; tasks that share a host at one time get threads of their own, for events of one thread must
nest. An arrow leads from each attempt to the next one of the same task. Counters are the samples of
the time series. Times are whole microseconds of simulated time.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from sim.ledger import end_of
from sim.measure import AttemptRow, Measures, SliceRow
from sim.report_data import verdicts_seen
from sim.results import chip_seconds

Event = Mapping[str, object]

_COUNTERS_PID = 1
_MICROS = 1000


@dataclass(frozen=True, slots=True)
class _Track:
    """Where an event is drawn."""

    pid: int
    tid: int


@dataclass(slots=True)
class _Layout:
    """Which track each attempt is on, and the names of all tracks."""

    processes: dict[str, int] = field(default_factory=dict)
    lives: dict[str, _Track] = field(default_factory=dict)
    attempts: dict[int, _Track] = field(default_factory=dict)
    """By the attempt's position among the rows."""
    names: list[tuple[_Track, str]] = field(default_factory=list)

    def add(self, group: str, name: str) -> _Track:
        """A new thread in a group's process."""
        pid = self.processes.setdefault(group, _COUNTERS_PID + 1 + len(self.processes))
        track = _Track(pid, len(self.names) + 1)
        self.names.append((track, name))
        return track


def trace_events(measures: Measures) -> Iterator[Event]:
    """All events of a run: names, then the slices' lives, attempts, arrows and counters."""
    layout = _layout(measures)
    yield from _names(layout)
    for row in measures.slices.values():
        yield from _life(row, layout.lives[row.slice], measures)
    for position, track in layout.attempts.items():
        yield from _attempt(measures.attempts[position], track)
    yield from _arrows(measures.attempts, layout)
    yield from _counters(measures)


def _layout(measures: Measures) -> _Layout:
    """Threads in order of the slices, and below each those of its hosts."""
    layout = _Layout()
    for group in measures.group_price_per_hour:
        layout.processes[group] = _COUNTERS_PID + 1 + len(layout.processes)
    hosted: dict[str, dict[int, list[int]]] = {}
    for position, attempt in enumerate(measures.attempts):
        hosted.setdefault(attempt.slice, {}).setdefault(attempt.host, []).append(position)
    for row in measures.slices.values():
        layout.lives[row.slice] = layout.add(row.group, row.slice)
        for host, positions in sorted(hosted.get(row.slice, {}).items()):
            _lay_out_host(layout, row, host, [(p, measures.attempts[p]) for p in positions])
    return layout


def _lay_out_host(
    layout: _Layout, row: SliceRow, host: int, attempts: Sequence[tuple[int, AttemptRow]]
) -> None:
    """Each attempt on the first thread of the host that is free when it starts."""
    lanes: list[tuple[int, _Track]] = []
    for position, attempt in sorted(attempts, key=lambda one: (one[1].start, one[1].end, one[0])):
        for number, (busy_until, track) in enumerate(lanes):
            if busy_until <= attempt.start:
                lanes[number] = (attempt.end, track)
                layout.attempts[position] = track
                break
        else:
            more = f" #{len(lanes) + 1}" if lanes else ""
            track = layout.add(row.group, f"{row.slice} host {host}{more}")
            lanes.append((attempt.end, track))
            layout.attempts[position] = track


def _names(layout: _Layout) -> Iterator[Event]:
    yield _metadata("process_name", _Track(_COUNTERS_PID, 0), name="whole cluster")
    for group, pid in layout.processes.items():
        yield _metadata("process_name", _Track(pid, 0), name=f"group {group}")
    for track, name in layout.names:
        yield _metadata("thread_name", track, name=name)
        yield _metadata("thread_sort_index", track, sort_index=track.tid)


def _metadata(kind: str, track: _Track, **values: str | int) -> Event:
    return {"ph": "M", "name": kind, "pid": track.pid, "tid": track.tid, "args": values}


def _life(row: SliceRow, track: _Track, measures: Measures) -> Iterator[Event]:
    """The slice from the request to its end, with its phases inside."""
    end = end_of(row, measures)
    facts = {"zone": row.zone, "outcome": row.outcome, "chips": row.chips_milli / 1000}
    yield _span(track, row.slice, (row.requested, end), "slice", facts)
    created = row.created if row.created is not None else end
    ready = row.ready if row.ready is not None else end
    phases = (("requested", row.requested, created), ("booting", created, ready))
    for name, start, until in (*phases, ("ready", ready, end)):
        if until > start:
            yield _span(track, name, (start, until), "phase", {})
    if row.outcome in ("preempted", "failed"):
        yield {
            "ph": "i",
            "s": "t",
            "name": row.outcome,
            "cat": "slice",
            "ts": end * _MICROS,
            "pid": track.pid,
            "tid": track.tid,
            "args": {"zone": row.zone},
        }


def _attempt(attempt: AttemptRow, track: _Track) -> Iterator[Event]:
    outcome = attempt.outcome.value if attempt.outcome is not None else "unfinished"
    facts = {
        "job": attempt.job,
        "outcome": outcome,
        "useful_chip_s": chip_seconds(attempt.useful),
        "lost_chip_s": chip_seconds(attempt.lost),
    }
    name = f"{attempt.job}:{attempt.index}@{attempt.attempt}"
    yield _span(track, name, (attempt.start, attempt.end), "attempt", facts)
    running = attempt.running if attempt.running is not None else attempt.end
    if running > attempt.start:
        yield _span(track, "starting", (attempt.start, running), "phase", {})


def _span(
    track: _Track, name: str, span: tuple[int, int], category: str, facts: Mapping[str, object]
) -> Event:
    start, end = span
    return {
        "ph": "X",
        "name": name,
        "cat": category,
        "ts": start * _MICROS,
        "dur": (end - start) * _MICROS,
        "pid": track.pid,
        "tid": track.tid,
        "args": facts,
    }


def _arrows(attempts: Sequence[AttemptRow], layout: _Layout) -> Iterator[Event]:
    """From each attempt that was followed by another to that other one."""
    tries: dict[tuple[str, int], list[int]] = {}
    for position in layout.attempts:
        tries.setdefault((attempts[position].job, attempts[position].index), []).append(position)
    number = 0
    for positions in tries.values():
        positions.sort(key=lambda position: attempts[position].attempt)
        for before, after in pairwise(positions):
            number += 1
            # An arrow belongs to the event that encloses its instant; at the very end none does. The next
            # attempt may begin before the last is known to be over, and no arrow leads back in time.
            arrive = attempts[after].start * _MICROS
            end = min(attempts[before].end * _MICROS - 1, arrive)
            leave = max(attempts[before].start * _MICROS, end)
            yield _arrow("s", number, leave, layout.attempts[before])
            yield {**_arrow("f", number, arrive, layout.attempts[after]), "bp": "e"}


def _arrow(phase: str, number: int, at: int, track: _Track) -> Event:
    return {
        "ph": phase,
        "id": number,
        "name": "retry",
        "cat": "retry",
        "ts": at,
        "pid": track.pid,
        "tid": track.tid,
    }


def _counters(measures: Measures) -> Iterator[Event]:
    """The time series, and what the existing slices cost."""
    for sample in measures.samples:
        yield _count(sample.at, "tasks", pending=sample.pending_tasks, running=sample.running_tasks)
        amounts = (sample.busy, sample.idle, sample.booting)
        busy, idle, booting = (amount / 1000 for amount in amounts)
        yield _count(sample.at, "chips", busy=busy, idle=idle, booting=booting)
        yield _count(sample.at, "chips wanted", wanted=sample.wanted / 1000)
    seen = verdicts_seen(measures)
    for look in measures.waits:
        units = dict(look.units)
        yield _count(look.at, "waiting for", **{it.value: units.get(it, 0) for it in seen})
    changes: list[tuple[int, int]] = []
    for row in measures.slices.values():
        if row.created is not None:
            price = measures.group_price_per_hour.get(row.group, 0)
            changes += [(row.created, price), (end_of(row, measures), -price)]
    rate = 0
    for at, change in sorted(changes):
        rate += change
        yield _count(at, "dollars per hour", dollars=rate / 1_000_000)


def _count(at: int, name: str, **values: float) -> Event:
    return {
        "ph": "C",
        "name": name,
        "ts": at * _MICROS,
        "pid": _COUNTERS_PID,
        "tid": 0,
        "args": values,
    }
