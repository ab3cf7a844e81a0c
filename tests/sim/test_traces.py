"""Traces are read by the letter of their formats, and a wrong row is refused at its line."""

import gzip
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sim.model import Trace, TraceUnit
from sim.traces import BadTrace, TraceJobs, read_capacity, read_jobs
from tests.sim.real_traces import real_trace

CPU_COLUMNS = {"submit_s": "submit_s", "duration_s": "duration_s", "cpu": "cpu"}


@dataclass
class Shelf:
    """Writes files and reads them back."""

    folder: Path
    written: list[Path] = field(default_factory=list)

    def put(self, text: str, name: str = "jobs.csv") -> Path:
        path = self.folder / name
        raw = text.encode()
        path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
        self.written.append(path)
        return path

    def csv(self, text: str, columns: dict[str, str] | None = None) -> TraceJobs:
        unit = TraceUnit.GPU if columns and "gpus" in columns else TraceUnit.CPU
        return read_jobs(Trace(self.put(text), "csv", unit, columns or CPU_COLUMNS, 8))

    def swf(self, *rows: str) -> TraceJobs:
        path = self.put("; Version: 2\n" + "\n".join(rows) + "\n", "jobs.swf")
        return read_jobs(Trace(path, "swf", TraceUnit.CPU, {}, 8))


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def columns_of(jobs: TraceJobs) -> list[tuple[int, int, int]]:
    return list(zip(jobs.submit_ms, jobs.run_ms, jobs.width_milli, strict=True))


def test_a_csv_row_is_read_to_the_millisecond(shelf: Shelf) -> None:
    jobs = shelf.csv("submit_s,duration_s,cpu\n0,60.0,4\n1.2345,0.0004,0.5\n2,1e3,1\n")
    assert columns_of(jobs) == [(0, 60_000, 4_000), (1_235, 0, 500), (2_000, 1_000_000, 1_000)]
    assert jobs.users == ()


def test_a_sliver_of_a_cpu_is_not_rounded_to_nothing(shelf: Shelf) -> None:
    assert list(shelf.csv("submit_s,duration_s,cpu\n0,1,0.0001\n").width_milli) == [1]


def test_rows_are_sorted_by_submission_and_ties_keep_the_order_of_the_file(shelf: Shelf) -> None:
    jobs = shelf.csv("submit_s,duration_s,cpu\n5,1,1\n0,2,2\n5,3,3\n0,4,4\n")
    assert list(jobs.run_ms) == [2_000, 4_000, 1_000, 3_000]
    assert list(jobs.width_milli) == [2_000, 4_000, 1_000, 3_000]


def test_renamed_shuffled_and_further_columns_do_no_harm(shelf: Shelf) -> None:
    renamed = {"submit_s": "t", "duration_s": "duration_s", "gpus": "num_gpus", "user": "vc"}
    text = "note,num_gpus,t,vc,duration_s\nx,8,3,team a,7\n\n# a comment\ny,2,4,,9\nz,1,5,@b,1\n"
    jobs = shelf.csv(text, renamed)
    assert columns_of(jobs) == [(3_000, 7_000, 8_000), (4_000, 9_000, 2_000), (5_000, 1_000, 1_000)]
    assert jobs.users == ("team_a", "", "_b")


def test_comments_before_the_header_and_a_byte_order_mark_are_skipped(shelf: Shelf) -> None:
    jobs = shelf.csv("\ufeff# made by hand\nsubmit_s , duration_s,cpu\r\n1,2,3\r\n")
    assert columns_of(jobs) == [(1_000, 2_000, 3_000)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("2,1,0", "0 processors"),
        ("2,1,-4", "-4 processors"),
        ("2,-1,1", "run time -1"),
        ("-2,1,1", "submit time -2"),
        ("2,nan,1", "run time nan"),
        ("inf,1,1", "submit time inf"),
        ("2,1e300,1", "run time 1e+300"),
        ("2,1,inf", "inf processors"),
        ("2,one,1", "no number"),
        ("2,1,", "no number"),
        ("2,1", "2 columns are too few"),
    ],
)
def test_a_wrong_row_is_refused_at_its_line(shelf: Shelf, row: str, reason: str) -> None:
    with pytest.raises(BadTrace) as refusal:
        shelf.csv(f"submit_s,duration_s,cpu\n1,1,1\n\n# note\n{row}\n3,1,1\n")
    (problem,) = refusal.value.problems
    assert problem.line == 5
    assert reason in problem.message
    assert f"jobs.csv:5: {problem.message}" in str(refusal.value)


def test_several_wrong_rows_are_told_together_up_to_ten(shelf: Shelf) -> None:
    with pytest.raises(BadTrace) as refusal:
        shelf.csv("submit_s,duration_s,cpu\n" + "1,1,0\n" * 3)
    assert [problem.line for problem in refusal.value.problems] == [2, 3, 4]
    with pytest.raises(BadTrace) as refusal:
        shelf.csv("submit_s,duration_s,cpu\n" + "1,1,0\n" * 300)
    assert len(refusal.value.problems) == 10


def test_gpus_are_whole(shelf: Shelf) -> None:
    columns = {"submit_s": "submit_s", "duration_s": "duration_s", "gpus": "gpus"}
    with pytest.raises(BadTrace, match=r"1\.5 gpus; it must be a whole number"):
        shelf.csv("submit_s,duration_s,gpus\n1,1,1.5\n", columns)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("# only a comment\n", "is empty"),
        ("submit_s,duration_s,cpu\n", "has no jobs"),
        ("submit_s,runtime,cpu\n1,1,1\n", "no column `duration_s`, only submit_s, runtime, cpu"),
        ('submit_s,duration_s,cpu\n1,1,"' + "x" * 200_000 + "\n", "no CSV"),
    ],
)
def test_a_file_without_jobs_or_columns_is_refused(shelf: Shelf, text: str, reason: str) -> None:
    with pytest.raises(BadTrace) as refusal:
        shelf.csv(text)
    assert reason in str(refusal.value)


def test_a_file_that_is_not_there_or_not_readable_is_refused(shelf: Shelf) -> None:
    with pytest.raises(BadTrace, match="no such file"):
        read_jobs(Trace(shelf.folder / "none.csv", "csv", TraceUnit.CPU, CPU_COLUMNS, 8))
    with pytest.raises(BadTrace, match="cannot be read"):
        read_jobs(Trace(shelf.folder, "csv", TraceUnit.CPU, CPU_COLUMNS, 8))
    broken = shelf.folder / "broken.csv.gz"
    broken.write_bytes(gzip.compress(b"submit_s,duration_s,cpu\n" + b"1,1,1\n" * 99)[:30])
    with pytest.raises(BadTrace, match="cannot be read"):
        read_jobs(Trace(broken, "csv", TraceUnit.CPU, CPU_COLUMNS, 8))
    latin = shelf.folder / "latin.csv"
    latin.write_bytes(b"submit_s,duration_s,cpu\n1,1,1\xe9\n")
    with pytest.raises(BadTrace, match="cannot be read"):
        read_jobs(Trace(latin, "csv", TraceUnit.CPU, CPU_COLUMNS, 8))


def test_a_gzipped_file_is_the_same_file(shelf: Shelf) -> None:
    text = "submit_s,duration_s,cpu\n1,2,3\n"
    packed = Trace(shelf.put(text, "jobs.csv.gz"), "csv", TraceUnit.CPU, CPU_COLUMNS, 8)
    assert columns_of(read_jobs(packed)) == columns_of(shelf.csv(text))


def test_a_file_that_changed_is_read_again(shelf: Shelf) -> None:
    assert len(shelf.csv("submit_s,duration_s,cpu\n1,2,3\n")) == 1
    assert len(shelf.csv("submit_s,duration_s,cpu\n1,2,3\n4,5,6\n")) == 2


SWF_REST = "-1 -1 -1 1 7 2 -1 -1 -1 -1 -1"


def test_swf_takes_requested_processors_else_allocated(shelf: Shelf) -> None:
    jobs = shelf.swf(
        f"1 0 -1 10 128 -1 -1 -1 {SWF_REST[3:]}",
        f"2 5 -1 20 64 -1 -1 32 {SWF_REST[3:]}",
        f"3 6 -1 30 16 -1 -1 0 {SWF_REST[3:]}",
    )
    assert columns_of(jobs) == [
        (0, 10_000, 128_000),
        (5_000, 20_000, 32_000),
        (6_000, 30_000, 16_000),
    ]
    assert jobs.users == ("user7", "user7", "user7")


def test_swf_rows_of_unknown_time_or_width_are_left_out_and_counted(shelf: Shelf) -> None:
    jobs = shelf.swf(
        "1 0 -1 -1 4 -1 -1 -1",
        "2 1 -1 10 -1 -1 -1 -1",
        "3 2 -1 10 0 -1 -1 0",
        "4 3 -1 0 4 -1 -1 -1",
    )
    assert columns_of(jobs) == [(3_000, 0, 4_000)]
    assert jobs.left_out == 3


def test_swf_without_one_known_job_is_refused(shelf: Shelf) -> None:
    with pytest.raises(BadTrace, match="run time is -1 s on 4 processors") as refusal:
        shelf.swf("1 0 -1 -1 4 -1 -1 -1", "2 0 -1 5 0 -1 -1 -1")
    (problem,) = refusal.value.problems
    assert (problem.line, problem.source) == (2, "1 0 -1 -1 4 -1 -1 -1")


@pytest.mark.parametrize("row", ["1 0 -1", "1 zero -1 4 4 -1 -1 -1", "1 0 -1 4 4 -1 -1 x"])
def test_a_row_that_is_no_swf_is_refused_at_its_line(shelf: Shelf, row: str) -> None:
    with pytest.raises(BadTrace) as refusal:
        shelf.swf("1 0 -1 4 4 -1 -1 -1", row)
    assert [problem.line for problem in refusal.value.problems] == [3]


def steps_of(shelf: Shelf, text: str, scale: float = 1.0) -> list[tuple[int, int]]:
    return [(at, slices) for at, slices in read_capacity(shelf.put(text, "zone.csv"), scale)]


def test_capacity_steps_are_sorted_and_the_last_row_of_an_instant_counts(shelf: Shelf) -> None:
    text = '# {"source": "x"}\nt_s,capacity\n0,80\n60,70\n120,80\n60,75\n120,10\n90.5,1\n'
    assert steps_of(shelf, text) == [(0, 80), (60_000, 75), (90_500, 1), (120_000, 10)]


def test_capacity_is_scaled_and_rounded(shelf: Shelf) -> None:
    assert steps_of(shelf, "t_s,capacity\n0,24\n10,26\n20,3\n", 0.1) == [
        (0, 2), (10_000, 3), (20_000, 0),
    ]  # fmt: skip


def test_times_that_lost_digits_are_put_back_on_the_sampling_grid(shelf: Shelf) -> None:
    rows = "t_s,capacity\n195,1\n1.17136e+06,0\n"
    exact = round(1_171_360 / 195) * 195
    assert exact != 1_171_360
    assert steps_of(shelf, '# {"gap_s": 195, "n": 20158}\n' + rows) == [
        (195_000, 1), (exact * 1000, 0),
    ]  # fmt: skip
    assert steps_of(shelf, rows) == [(195_000, 1), (1_171_360_000, 0)]
    assert steps_of(shelf, "# gap_s 195\n" + rows)[1] == (1_171_360_000, 0)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("", 0, "is empty; the first line must be t_s,capacity"),
        ("t_s,nodes\n0,1\n", 1, "must have the columns t_s and capacity, not t_s, nodes"),
        ("# c\nt_s,capacity\n", 0, "has no rows"),
        ("# c\nt_s,capacity\n0,1\n5,-1\n", 4, "not negative"),
        ("t_s,capacity\n-5,1\n", 2, "not negative"),
        ("t_s,capacity\n5,many\n", 2, "no row of two numbers"),
        ("t_s,capacity\n5\n", 2, "no row of two numbers"),
        ("t_s,capacity\n5,nan\n", 2, "time 5 s, capacity nan; a time and a capacity are finite"),
    ],
)
def test_a_wrong_capacity_trace_is_refused(shelf: Shelf, text: str, line: int, reason: str) -> None:
    with pytest.raises(BadTrace) as refusal:
        steps_of(shelf, text)
    assert refusal.value.problems[0].line == line
    assert reason in refusal.value.problems[0].message


def test_the_nasa_log_is_read_whole() -> None:
    path = real_trace("jobs/NASA-iPSC-1993-3.1-cln.swf.gz")
    jobs = read_jobs(Trace(path, "swf", TraceUnit.CPU, {}, 8))
    assert (len(jobs), jobs.left_out) == (18_239, 0)
    assert sum(1 for run in jobs.run_ms if run == 0) == 173
    assert max(jobs.width_milli) == 128_000
    work = sum(run * width for run, width in zip(jobs.run_ms, jobs.width_milli, strict=True))
    # The published utilisation of 128 processors over the published makespan.
    assert work / 1e6 / (128 * 7_949_022) == pytest.approx(0.4661, abs=5e-5)


def test_the_philly_trace_is_read_whole() -> None:
    path = real_trace("jobs/philly_82k.csv.gz")
    columns = {"submit_s": "submit_s", "duration_s": "duration_s", "gpus": "num_gpus", "user": "vc"}
    jobs = read_jobs(Trace(path, "csv", TraceUnit.GPU, columns, 8))
    assert len(jobs) == 82_247
    assert list(jobs.submit_ms) == sorted(jobs.submit_ms)
    assert jobs.width_milli.count(1_000) == 76_627
    assert jobs.width_milli.count(12_000) == 7
    assert len(dict.fromkeys(jobs.users)) == 15


def test_the_out_of_order_capacity_trace_is_read() -> None:
    steps = read_capacity(real_trace("spot_capacity/bamboo__gcp_v100x1-east1c.csv"))
    times = [at for at, _ in steps]
    assert times == sorted(dict.fromkeys(times))
    settled = [slices for at, slices in steps if at >= 363_000]
    assert (min(settled), max(settled), settled[-1]) == (30, 80, 80)


def test_a_probed_capacity_trace_lies_on_its_grid() -> None:
    name = "spot_capacity/skypilot__availability__1-node__aws-02-15-2023__us-east-1a_v100_1.csv"
    steps = read_capacity(real_trace(name))
    assert all(at % 195_000 == 0 for at, _ in steps)
    end = 195_000 * 20_158
    bounds = [*(at for at, _ in steps[1:]), end]
    spans = zip(steps, bounds, strict=True)
    up = sum((until - at) * slices for (at, slices), until in spans)
    assert up / end == pytest.approx(0.17, abs=0.005)
