"""A run written by hand, small enough to do its sums on paper.

Two groups are used and one is not. `/alice/train` is preempted once and tried again; `/bob/etl`
succeeds at once; `/bob/probe` needs no chips and fails on an accelerator slice; `/carol/late` never
starts; `/carol/oops` is killed waiting.
"""

from iris.core.instant import Instant
from iris.core.lifecycle import AttemptState, JobState
from iris.core.reasons import Verdict
from sim.measure import AttemptRow, JobRow, Measures, Sample, SliceRow, Waits

TPU_CHIPS = 16_000
CPU_CORES = 16_000


def at(seconds: float) -> Instant:
    """An instant, in seconds for the reader's sake."""
    return Instant(round(seconds * 1000))


def chip_time(chips: int, seconds: float) -> int:
    """Milli-chip-milliseconds."""
    return round(chips * 1000 * seconds * 1000)


def example() -> Measures:
    """The whole run: 7,200 seconds."""
    return Measures(
        scenario="example",
        seed=7,
        jobs={row.job: row for row in _jobs()},
        attempts=_attempts(),
        slices={row.slice: row for row in _slices()},
        samples=_samples(),
        waits=_waits(),
        group_price_per_hour={"tpu": 9_600_000, "cpu": 1_000_000, "spare": 5_000_000},
        now=at(7200),
        turns=120,
        events=340,
        digest="00ff",
        invariants_checked=99,
        wall_s=0.25,
    )


def _jobs() -> list[JobRow]:
    train = JobRow("/alice/train", "alice", "interactive", "train", 1, TPU_CHIPS, at(0))
    train.first_running, train.end, train.state = at(170), at(5000), JobState.SUCCEEDED
    train.attempts, train.preempted = 2, 1
    train.useful, train.lost = chip_time(16, 4100), chip_time(16, 580)
    etl = JobRow("/bob/etl", "bob", "batch", "etl", 1, 4000, at(0))
    etl.first_running, etl.end, etl.state = at(65), at(1065), JobState.SUCCEEDED
    etl.attempts, etl.useful = 1, chip_time(4, 1000)
    probe = JobRow("/bob/probe", "bob", "batch", "probe", 1, 500, at(100))
    probe.first_running, probe.end, probe.state = at(4010), at(4100), JobState.FAILED
    probe.attempts = probe.failed = 1
    late = JobRow("/carol/late", "carol", "interactive", "late", 2, TPU_CHIPS, at(200))
    oops = JobRow("/carol/oops", "carol", "interactive", "oops", 1, 1000, at(300))
    oops.end, oops.state = at(400), JobState.KILLED
    return [train, etl, probe, late, oops]


def _attempts() -> list[AttemptRow]:
    return [
        AttemptRow(
            "/alice/train", 0, 0, "iris-tpu-0", 0, TPU_CHIPS, at(160), at(170), at(3600),
            AttemptState.PREEMPTED, chip_time(16, 3000), chip_time(16, 440),
        ),
        AttemptRow(
            "/bob/etl", 0, 0, "iris-cpu-0", 0, 4000, at(65), at(65), at(1065),
            AttemptState.SUCCEEDED, chip_time(4, 1000), 0,
        ),
        AttemptRow(
            "/alice/train", 0, 1, "iris-tpu-1", 0, TPU_CHIPS, at(3760), at(3770), at(5000),
            AttemptState.SUCCEEDED, chip_time(16, 1100), chip_time(16, 140),
        ),
        AttemptRow(
            "/bob/probe", 0, 0, "iris-tpu-1", 0, 0, at(4000), at(4010), at(4100),
            AttemptState.FAILED, 0, 0,
        ),
    ]  # fmt: skip


def _slices() -> list[SliceRow]:
    first = SliceRow("iris-tpu-0", "tpu", "zone-a", TPU_CHIPS, at(0), at(10), at(160), at(3600))
    first.outcome, first.busy = "preempted", chip_time(16, 3440)
    second = SliceRow("iris-tpu-1", "tpu", "zone-b", TPU_CHIPS, at(3600), at(3610), at(3760))
    second.busy, second.idle = chip_time(16, 1240), chip_time(16, 2200)
    refused = SliceRow("iris-tpu-2", "tpu", "zone-a", TPU_CHIPS, at(3600), end=at(3600))
    refused.outcome = "stockout"
    stillborn = SliceRow("iris-tpu-3", "tpu", "zone-a", TPU_CHIPS, at(4000), at(4010))
    stillborn.end, stillborn.outcome = at(4500), "failed"
    machine = SliceRow("iris-cpu-0", "cpu", "zone-a", CPU_CORES, at(0), at(5), at(65), at(2000))
    machine.outcome, machine.busy = "deleted", chip_time(4, 1000)
    machine.idle = chip_time(16, 1935) - chip_time(4, 1000)
    return [first, second, refused, stillborn, machine]


def _samples() -> list[Sample]:
    return [
        Sample(at(0), 2, 0, 0, 0, 0, 20_000, ()),
        Sample(at(10), 2, 0, 0, 0, 32_000, 20_000, ()),
        Sample(at(65), 1, 1, 4000, 12_000, 16_000, 16_000, (("cpu", 1),)),
        Sample(at(160), 0, 2, 20_000, 12_000, 0, 0, (("tpu", 1), ("cpu", 1))),
        Sample(at(3600), 1, 0, 0, 0, 0, 16_000, ()),
        Sample(at(3760), 0, 1, 16_000, 0, 0, 0, (("tpu", 1),)),
        Sample(at(5000), 0, 0, 0, 16_000, 0, 0, (("tpu", 1),)),
    ]


def _waits() -> list[Waits]:
    return [
        Waits(at(0), ((Verdict.WAITING_FOR_SLICES, 2),)),
        Waits(at(65), ((Verdict.WAITING_FOR_SLICES, 1),)),
        Waits(at(160), ()),
        Waits(at(3600), ((Verdict.BACKOFF, 1),)),
        Waits(at(3760), ()),
    ]
