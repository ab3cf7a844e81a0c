"""The ledger: where every provisioned chip-second went; useful, lost, idle or boot.

The parts are integers in milli-chip-milliseconds and come from sources that do not know each
other: useful and lost from the attempts, idle from what each slice counted as it happened, boot
and provisioned from the slices' instants. None is the remainder of the others, so their sum can be
wrong, and is checked.

With a warm-up, time before it counts nowhere. That cut is exact for time; only an attempt that
straddles the warm-up has its useful and lost parts taken as even over its time, rounded so that
their sum stays exact.

`parts_of` tells the same time in finer parts, which add up to these.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sim.measure import AttemptRow, Measures, SliceRow


@dataclass(frozen=True, slots=True)
class Ledger:
    """Where the provisioned accelerator time went, in milli-chip-milliseconds."""

    useful: int
    lost: int
    idle: int
    boot: int
    provisioned: int

    @property
    def gap(self) -> int:
        """What the four parts leave unexplained; 0 unless somebody miscounted."""
        return self.provisioned - self.useful - self.lost - self.idle - self.boot


def ledger_of(measures: Measures) -> Ledger:
    """The sums over all slices and attempts after the warm-up."""
    slices = [row for row in measures.slices.values() if row.created is not None]
    parts = [_kept_work(attempt, measures.warm_up) for attempt in measures.attempts]
    used_before = busy_before(measures)
    return Ledger(
        useful=sum(useful for useful, _ in parts),
        lost=sum(lost for _, lost in parts),
        idle=sum(_idle(row, measures, used_before.get(row.slice, 0)) for row in slices),
        boot=sum(row.chips_milli * boot_time(row, measures) for row in slices),
        provisioned=sum(row.chips_milli * existing_time(row, measures) for row in slices),
    )


PARTS: Mapping[str, str] = {
    "useful": "work that was kept",
    "lost": "work thrown away: since the last checkpoint, or done again",
    "restart": "launching, waiting for the rest of a gang, restoring",
    "idle": "ready, and nothing waits that needs it",
    "stranded": "ready, and what waits does not fit",
    "drain": "ready, and to be given back",
    "provision": "paid, and not yet ready",
}
"""The fine parts of the ledger; lost and restart are its `lost`, provision is its `boot`, and idle,
stranded and drain its `idle`."""


def parts_of(measures: Measures, group: str | None = None) -> dict[str, int]:
    """The fine parts by name, in milli-chip-milliseconds; of all groups, or of one.

    What is stranded is told by the kind of accelerator: idle chips of one while a task waits that
    asks for it. Idle cores of machines with accelerators are in no part of the ledger.
    """
    slices = [
        row
        for row in measures.slices.values()
        if row.created is not None and group in (None, row.group)
    ]
    names = {row.slice for row in slices}
    attempts = [one for one in measures.attempts if one.slice in names]
    used_before = busy_before(measures)
    idle = sum(_idle(row, measures, used_before.get(row.slice, 0)) for row in slices)
    stranded, drain = sum(row.stranded for row in slices), sum(row.drain for row in slices)
    useful, lost, restart = _spent(attempts, measures.warm_up)
    return {
        "useful": useful,
        "lost": lost - restart,
        "restart": restart,
        "idle": idle - stranded - drain,
        "stranded": stranded,
        "drain": drain,
        "provision": sum(row.chips_milli * boot_time(row, measures) for row in slices),
    }


def _spent(attempts: Iterable[AttemptRow], warm_up: int) -> tuple[int, int, int]:
    """What attempts kept, what they lost, and what of that was restart, after the warm-up."""
    useful = lost = restart = 0
    for attempt in attempts:
        kept, thrown = _kept_work(attempt, warm_up)
        useful, lost = useful + kept, lost + thrown
        before = max(0, warm_up - attempt.start) * attempt.chips_milli
        restart += min(thrown, max(0, attempt.restart - before))
    return useful, lost, restart


def ledger_gap(measures: Measures, ledger: Ledger) -> list[str]:
    """Nothing, or the one sentence that says how far the ledger is off, and on which slice first.

    Slices are held to it one by one, for two errors may cancel out in the sums.
    """
    used: dict[str, int] = {}
    for attempt in measures.attempts:
        used[attempt.slice] = used.get(attempt.slice, 0) + attempt.useful + attempt.lost
    rows = measures.slices.values()
    wrong = [gap for row in rows if (gap := _slice_gap(row, measures, used.get(row.slice, 0)))]
    if not wrong and ledger.gap == 0:
        return [
            f"the part of the ledger called {name} is {amount} milli-chip-milliseconds"
            for name, amount in parts_of(measures).items()
            if amount < 0
        ]
    first = wrong[0] if wrong else "every slice adds up, so attempts name slices that never were"
    return [
        f"the ledger is off by {ledger.gap} milli-chip-milliseconds: useful {ledger.useful} + "
        f"lost {ledger.lost} + idle {ledger.idle} + boot {ledger.boot} against provisioned "
        f"{ledger.provisioned}; {len(wrong)} of {len(rows)} slices do not add up: {first}"
    ]


def existing_time(row: SliceRow, measures: Measures) -> int:
    """Milliseconds after the warm-up for which a slice was paid."""
    if row.created is None:
        return 0
    return _overlap(row.created, end_of(row, measures), measures.warm_up)


def boot_time(row: SliceRow, measures: Measures) -> int:
    """Milliseconds after the warm-up from its creation until it was ready, or ended unready."""
    if row.created is None:
        return 0
    ready = row.ready if row.ready is not None else end_of(row, measures)
    return _overlap(row.created, ready, measures.warm_up)


def ready_time(row: SliceRow, measures: Measures) -> int:
    """Milliseconds after the warm-up for which a slice was ready."""
    return existing_time(row, measures) - boot_time(row, measures)


def end_of(row: SliceRow, measures: Measures) -> int:
    """When a slice ended, or where the simulation stopped."""
    return row.end if row.end is not None else measures.now


def busy_before(measures: Measures) -> dict[str, int]:
    """By slice, what attempts used of it before the warm-up."""
    used: dict[str, int] = {}
    for attempt in measures.attempts:
        if attempt.start < measures.warm_up:
            before = attempt.chips_milli * (min(attempt.end, measures.warm_up) - attempt.start)
            used[attempt.slice] = used.get(attempt.slice, 0) + before
    return used


def _slice_gap(row: SliceRow, measures: Measures, used: int) -> str:
    """Empty, or what does not add up on one slice over its whole life."""
    start = row.created if row.created is not None else end_of(row, measures)
    ready = row.ready if row.ready is not None else end_of(row, measures)
    boot = row.chips_milli * (ready - start)
    whole = row.chips_milli * (end_of(row, measures) - start)
    if used != row.busy:
        return f"{row.slice} counted {row.busy} busy, its attempts {used}"
    if boot + row.idle + used != whole:
        return f"{row.slice} has {boot} boot + {row.idle} idle + {used} busy of {whole}"
    return ""


def _overlap(start: int, end: int, since: int) -> int:
    return max(0, end - max(start, since))


def _kept_work(attempt: AttemptRow, warm_up: int) -> tuple[int, int]:
    """The useful and the lost part of an attempt that lie after the warm-up."""
    if attempt.start >= warm_up:
        return attempt.useful, attempt.lost
    if attempt.end <= warm_up:
        return 0, 0
    length, before = attempt.end - attempt.start, warm_up - attempt.start
    all_before = (attempt.useful + attempt.lost) * before // length
    useful_before = attempt.useful * before // length
    return attempt.useful - useful_before, attempt.lost - (all_before - useful_before)


def _idle(row: SliceRow, measures: Measures, used_before: int) -> int:
    """The slice's own count of idle time, less what of it lies before the warm-up."""
    if row.ready is None or row.ready >= measures.warm_up:
        return row.idle
    ready_before = min(end_of(row, measures), measures.warm_up) - row.ready
    return row.idle - (row.chips_milli * ready_before - used_before)
