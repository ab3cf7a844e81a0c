"""The files of `--out DIR`: all of them are written, or those that were there stay as they were.

Everything is first written into a hidden folder inside DIR (inside, so that it is on the same disk
even where DIR is a mount), then each file takes the place of the old one by a rename. With
replications the tables hold the rows of every run, told apart by their `seed`; the trace and the
report's charts are of the first.

Times are seconds of simulated time, amounts chips and chip-seconds; an empty cell has no value.
"""

import csv
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from iris.core.reasons import WAITS, Verdict
from sim.apart import apart, ignore_interrupt
from sim.ledger import boot_time, existing_time
from sim.measure import JobRow, Measures, Sample, SliceRow
from sim.model import Scenario
from sim.report import render_report
from sim.report_charts import charts, pictures
from sim.report_validity import FILES_BESIDE
from sim.results import chip_seconds, cost_usd, seconds
from sim.trace_events import trace_events

FILES = (*FILES_BESIDE, "report.html")
Cell = str | int | float | None

_JOB_COLUMNS = (
    "seed", "job", "user", "band", "entry", "replicas", "chips", "submit_s", "first_running_s",
    "end_s", "state", "queue_wait_s", "completion_s", "attempts", "preempted", "evicted",
    "failed", "worker_failed", "useful_chip_s", "lost_chip_s",
)  # fmt: skip
_SLICE_COLUMNS = (
    "seed", "slice", "group", "zone", "chips", "requested_s", "created_s", "ready_s", "end_s",
    "outcome", "provisioned_chip_s", "boot_chip_s", "busy_chip_s", "idle_chip_s", "cost_usd",
)  # fmt: skip
_SAMPLE_COLUMNS = (
    "seed", "t_s", "pending_tasks", "running_tasks", "busy_chips", "idle_chips",
    "booting_chips", "wanted_chips",
)  # fmt: skip


def json_text(results: Mapping[str, object]) -> str:
    """The results as `--json` and `summary.json` hold them; refuses what is not finite."""
    return json.dumps(results, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def prepare_directory(directory: Path) -> None:
    """Make sure, before a long run, that DIR is a folder in which files can be made."""
    directory.mkdir(parents=True, exist_ok=True)
    Path(tempfile.mkdtemp(prefix=".iris-", dir=directory)).rmdir()


@dataclass(frozen=True, slots=True)
class Output:
    """What the files are made of: a scenario, its results and the runs behind them."""

    scenario: Scenario
    results: Mapping[str, object]
    """Of one run, or of replications."""
    runs: Sequence[Measures]
    """One for each replication, in order of the seeds; at least one."""
    command: str = ""
    """The command line that repeats it, for the header of the report."""
    plots: bool = False
    """Whether the report's charts are wanted as pictures, too, in a folder `plots`."""


def write_outputs(directory: Path, output: Output) -> list[Path]:
    """Write all files into `directory`, which is made when missing; returns their paths."""
    written = write_together(directory, FILES, lambda folder: _write_all(folder, output))
    if output.plots:
        folder = directory / "plots"
        drawn = charts(output.runs[0], output.results)
        found = pictures(drawn) if drawn is not None else {}
        names = [f"{name}.png" for name in found]
        written += write_together(folder, names, lambda staging: _write_pictures(staging, found))
    return written


def write_outputs_apart(directory: Path, output: Output) -> list[Path]:
    """The same, done by a process of its own, for whoever has other things to do meanwhile."""
    write = partial(write_outputs, directory)
    [[(_, written)]] = apart(write, iter([output]), 1, ignore_interrupt)
    return written.result()


def _write_pictures(folder: Path, found: Mapping[str, bytes]) -> None:
    for name, picture in found.items():
        (folder / f"{name}.png").write_bytes(picture)


def write_together(
    directory: Path, names: Sequence[str], write: Callable[[Path], None]
) -> list[Path]:
    """Have all files written, each by its name, or leave those that are there as they are."""
    prepare_directory(directory)
    staging = Path(tempfile.mkdtemp(prefix=".iris-", dir=directory))
    try:
        write(staging)
        for name in names:
            os.replace(staging / name, directory / name)
    finally:
        shutil.rmtree(staging)
    return [directory / name for name in names]


def _write_all(folder: Path, output: Output) -> None:
    runs, first = output.runs, output.runs[0]
    groups = list(first.group_price_per_hour)
    (folder / "summary.json").write_text(json_text(output.results), encoding="utf-8")
    write_table(folder / "jobs.csv", _JOB_COLUMNS, _job_cells(runs))
    write_table(folder / "slices.csv", _SLICE_COLUMNS, _slice_cells(runs))
    columns = (*_SAMPLE_COLUMNS, *(f"slices_{group}" for group in groups))
    write_table(folder / "timeseries.csv", columns, _sample_cells(runs, groups))
    columns = ("seed", "t_s", *(verdict.value for verdict in Verdict if verdict in WAITS))
    write_table(folder / "waiting.csv", columns, _waiting_cells(runs))
    _write_trace(folder / "trace.json", trace_events(first))
    html = render_report(first, output.results, output.scenario, output.command)
    (folder / "report.html").write_text(html, encoding="utf-8")


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """A CSV file of a header and rows."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def _write_trace(path: Path, events: Iterable[Mapping[str, object]]) -> None:
    """An event a line: a trace of millions is never in memory as text, and diffs by line."""
    with path.open("w", encoding="utf-8") as file:
        file.write('{"displayTimeUnit": "ms", "traceEvents": [')
        for position, event in enumerate(events):
            file.write(",\n" if position else "\n")
            file.write(json.dumps(event, ensure_ascii=False, allow_nan=False))
        file.write("\n]}\n")


def _job_cells(runs: Sequence[Measures]) -> Iterator[Sequence[Cell]]:
    for run in runs:
        for job in run.jobs.values():
            yield (run.seed, *_job(job))


def _job(job: JobRow) -> Sequence[Cell]:
    succeeded = job.state.value == "succeeded"
    return (
        job.job,
        job.user,
        job.band,
        job.entry,
        job.replicas,
        job.chips_milli / 1000,
        seconds(job.submit),
        _span(0, job.first_running),
        _span(0, job.end),
        job.state.value,
        _span(job.submit, job.first_running),
        _span(job.submit, job.end) if succeeded else None,
        job.attempts,
        job.preempted,
        job.evicted,
        job.failed,
        job.worker_failed,
        chip_seconds(job.useful),
        chip_seconds(job.lost),
    )


def _slice_cells(runs: Sequence[Measures]) -> Iterator[Sequence[Cell]]:
    for run in runs:
        # The whole life of a slice, whatever the warm-up: a table of rows leaves nothing out.
        whole = Measures(
            scenario=run.scenario,
            seed=run.seed,
            now=run.now,
            group_price_per_hour=run.group_price_per_hour,
        )
        for row in run.slices.values():
            yield (run.seed, *_slice(row, whole))


def _slice(row: SliceRow, run: Measures) -> Sequence[Cell]:
    return (
        row.slice,
        row.group,
        row.zone,
        row.chips_milli / 1000,
        seconds(row.requested),
        _span(0, row.created),
        _span(0, row.ready),
        _span(0, row.end),
        row.outcome,
        chip_seconds(row.chips_milli * existing_time(row, run)),
        chip_seconds(row.chips_milli * boot_time(row, run)),
        chip_seconds(row.busy),
        chip_seconds(row.idle),
        cost_usd(row, run),
    )


def _sample_cells(runs: Sequence[Measures], groups: Sequence[str]) -> Iterator[Sequence[Cell]]:
    for run in runs:
        for sample in run.samples:
            yield (run.seed, *_sample(sample, groups))


def _sample(sample: Sample, groups: Sequence[str]) -> Sequence[Cell]:
    ready = dict(sample.slices)
    return (
        seconds(sample.at),
        sample.pending_tasks,
        sample.running_tasks,
        sample.busy / 1000,
        sample.idle / 1000,
        sample.booting / 1000,
        sample.wanted / 1000,
        *(ready.get(group, 0) for group in groups),
    )


def _waiting_cells(runs: Sequence[Measures]) -> Iterator[Sequence[Cell]]:
    """What waits from one look until the next, in tasks and gangs."""
    for run in runs:
        for look in run.waits:
            units = dict(look.units)
            each = (units.get(verdict, 0) for verdict in Verdict if verdict in WAITS)
            yield (run.seed, seconds(look.at), *each)


def _span(start: int, end: int | None) -> float | None:
    return None if end is None else seconds(end - start)
