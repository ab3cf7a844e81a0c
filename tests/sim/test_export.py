"""The files of `--out`: whole or untouched, and a trace that a viewer accepts."""

import csv
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris.core.lifecycle import AttemptState
from iris.core.reasons import WAITS
from sim import export
from sim.export import FILES, Output, json_text, prepare_directory, write_outputs
from sim.measure import Measures
from sim.results import aggregate, summarize
from sim.trace_events import trace_events
from tests.sim.example_run import at, example
from tests.sim.example_study import example_scenario

Event = Mapping[str, object]


def output(*runs: Measures) -> Output:
    scenario = example_scenario("jobs.unfinished == 1")
    summaries = [summarize(run, scenario.expect) for run in runs]
    results = summaries[0] if len(runs) == 1 else aggregate(summaries)
    return Output(scenario, results, runs, "iris sim example.yaml --seed 7")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the example: to be read, not to be touched."""
    folder = tmp_path_factory.mktemp("written")
    write_outputs(folder, output(example()))
    return folder


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_all_files_are_written_and_nothing_else_is_left(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "down"
    paths = write_outputs(folder, output(example()))
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert paths == [folder / name for name in FILES]


def test_the_summary_is_what_json_prints(written: Path) -> None:
    text = (written / "summary.json").read_text(encoding="utf-8")
    assert text == json_text(output(example()).results)
    assert json.loads(text)["jobs"]["succeeded"] == 2


def test_a_number_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_text({"cost_usd": float("nan")})


def test_a_job_is_a_row_with_its_waits(written: Path) -> None:
    train, _, probe, late, _ = table(written / "jobs.csv")
    assert train["job"] == "/alice/train"
    assert (train["queue_wait_s"], train["completion_s"]) == ("170.0", "5000.0")
    assert (train["chips"], train["lost_chip_s"]) == ("16.0", str(16 * 580.0))
    assert (probe["state"], probe["completion_s"], probe["end_s"]) == ("failed", "", "4100.0")
    assert (late["first_running_s"], late["end_s"], late["state"]) == ("", "", "pending")


def test_a_slice_is_a_row_whose_parts_add_up(written: Path) -> None:
    rows = table(written / "slices.csv")
    assert [row["slice"] for row in rows] == list(example().slices)
    for row in rows:
        parts = (row["boot_chip_s"], row["busy_chip_s"], row["idle_chip_s"])
        assert sum(map(float, parts)) == float(row["provisioned_chip_s"])
    refused = rows[2]
    assert (refused["outcome"], refused["created_s"], refused["cost_usd"]) == (
        "stockout",
        "",
        "0.0",
    )


def test_the_time_series_has_a_column_for_every_group(written: Path) -> None:
    rows = table(written / "timeseries.csv")
    assert list(rows[0])[-3:] == ["slices_tpu", "slices_cpu", "slices_spare"]
    assert [row["slices_tpu"] for row in rows] == ["0", "0", "0", "1", "0", "1", "1"]
    assert rows[3]["busy_chips"] == "20.0"


def test_what_waits_has_a_column_for_everything_that_may_be_waited_for(written: Path) -> None:
    rows = table(written / "waiting.csv")
    assert [row["t_s"] for row in rows] == ["0.0", "65.0", "160.0", "3600.0", "3760.0"]
    assert [row["waiting_for_slices"] for row in rows] == ["2", "1", "0", "0", "0"]
    assert [row["backoff"] for row in rows] == ["0", "0", "0", "1", "0"]
    assert len(rows[0]) == 2 + len(WAITS)


def test_replications_share_the_tables_told_apart_by_seed(tmp_path: Path) -> None:
    second = replace(example(), seed=8)
    write_outputs(tmp_path, output(example(), second))
    for name in ("jobs.csv", "slices.csv", "timeseries.csv", "waiting.csv"):
        seeds = [row["seed"] for row in table(tmp_path / name)]
        assert seeds == ["7"] * (len(seeds) // 2) + ["8"] * (len(seeds) // 2)
    assert json.loads((tmp_path / "summary.json").read_text())["replications"] == 2


def test_equal_runs_give_equal_files(written: Path, tmp_path: Path) -> None:
    write_outputs(tmp_path, output(example()))
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (written / name).read_bytes()


def test_a_failure_leaves_the_old_files_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_outputs(tmp_path, output(example()))
    before = {name: (tmp_path / name).read_bytes() for name in FILES}

    def full(*_: object) -> str:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(export, "render_report", full)
    with pytest.raises(OSError, match="no space left"):
        write_outputs(tmp_path, output(replace(example(), seed=99)))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_file_in_the_place_of_the_folder_is_refused_and_kept(tmp_path: Path) -> None:
    place = tmp_path / "report"
    place.write_text("mine")
    with pytest.raises(FileExistsError):
        prepare_directory(place)
    assert place.read_text() == "mine"


def events_of(measures: Measures, phase: str) -> list[Event]:
    return [event for event in trace_events(measures) if event["ph"] == phase]


def whole(value: object) -> int:
    assert type(value) is int, value
    return value


def spans_by_track(measures: Measures) -> dict[tuple[int, int], list[tuple[int, int]]]:
    tracks: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for event in events_of(measures, "X"):
        start, length = whole(event["ts"]), whole(event["dur"])
        track = (whole(event["pid"]), whole(event["tid"]))
        tracks.setdefault(track, []).append((start, start + length))
    return tracks


def crowded(spans: list[tuple[int, int]]) -> Measures:
    """The example with many small attempts on one host."""
    measures = example()
    first = measures.attempts[1]
    measures.attempts += [
        replace(first, job="/eve/many", index=index, start=at(start), running=None,
                end=at(start + length))
        for index, (start, length) in enumerate(spans)
    ]  # fmt: skip
    return measures


@given(st.lists(st.tuples(st.integers(65, 1900), st.integers(0, 100)), max_size=12))
def test_the_events_of_a_track_nest(spans: list[tuple[int, int]]) -> None:
    for track, intervals in spans_by_track(crowded(spans)).items():
        for one in intervals:
            for other in intervals:
                apart = one[1] <= other[0] or other[1] <= one[0]
                inside = (one[0] <= other[0] and other[1] <= one[1]) or (
                    other[0] <= one[0] and one[1] <= other[1]
                )
                assert apart or inside, (track, one, other)


def test_a_retry_is_an_arrow_from_inside_one_attempt_to_the_start_of_the_next() -> None:
    (start,), (finish,) = events_of(example(), "s"), events_of(example(), "f")
    assert start["id"] == finish["id"]
    assert finish["bp"] == "e"
    first, second = (
        next(e for e in events_of(example(), "X") if e["name"] == f"/alice/train:0@{number}")
        for number in (0, 1)
    )
    assert (start["pid"], start["tid"]) == (first["pid"], first["tid"])
    assert whole(first["ts"]) <= whole(start["ts"]) < whole(first["ts"]) + whole(first["dur"])
    assert (finish["pid"], finish["tid"]) == (second["pid"], second["tid"])
    assert finish["ts"] == second["ts"] == 3_760_000_000


def test_every_retry_has_its_arrow_and_no_two_share_an_id() -> None:
    measures = example()
    first = measures.attempts[0]
    again = replace(first, index=1, outcome=AttemptState.EVICTED)
    measures.attempts += [replace(again, attempt=number) for number in range(4)]
    begins, ends = events_of(measures, "s"), events_of(measures, "f")
    assert [event["id"] for event in begins] == [event["id"] for event in ends] == [1, 2, 3, 4]
    # Attempts may overlap on the books, as these do, and no arrow leads back in time.
    for begin, end in zip(begins, ends, strict=True):
        assert whole(begin["ts"]) <= whole(end["ts"])


def test_every_track_with_events_has_a_name() -> None:
    named = {(e["pid"], e["tid"]) for e in events_of(example(), "M") if e["name"] == "thread_name"}
    processes = {e["pid"] for e in events_of(example(), "M") if e["name"] == "process_name"}
    for track in spans_by_track(example()):
        assert track in named
        assert track[0] in processes


def test_the_counters_are_the_time_series() -> None:
    measures = example()
    counters = [event for event in events_of(measures, "C") if event["name"] == "chips"]
    assert [(whole(event["ts"]), event["args"]) for event in counters] == [
        (
            sample.at * 1000,
            {
                "busy": sample.busy / 1000,
                "idle": sample.idle / 1000,
                "booting": sample.booting / 1000,
            },
        )
        for sample in measures.samples
    ]

    waiting = [event for event in events_of(measures, "C") if event["name"] == "waiting for"]
    assert [(whole(event["ts"]) // 1_000_000, event["args"]) for event in waiting][2:4] == [
        (160, {"waiting_for_slices": 0, "backoff": 0}),
        (3600, {"waiting_for_slices": 0, "backoff": 1}),
    ]


def test_the_counted_cost_per_hour_follows_the_slices() -> None:
    costs = [e for e in events_of(example(), "C") if e["name"] == "dollars per hour"]
    by_second = {whole(event["ts"]) // 1_000_000: event["args"] for event in costs}
    assert by_second[10] == {"dollars": 10.6}
    assert by_second[7200] == {"dollars": 0.0}


def test_the_trace_file_is_json_with_whole_microseconds(written: Path) -> None:
    trace = json.loads((written / "trace.json").read_text(encoding="utf-8"))
    assert trace["traceEvents"] == [dict(event) for event in trace_events(example())]
    for event in trace["traceEvents"]:
        assert type(event["pid"]) is int
        assert type(event["tid"]) is int
        assert event["ph"] == "M" or type(event["ts"]) is int
