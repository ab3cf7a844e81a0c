"""The page: it says whether it can be trusted, asks nobody for anything, and is well-formed."""

import functools
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from iris import __version__
from iris.yaml_source import parse_mapping
from sim.export import FILES
from sim.ledger import parts_of
from sim.measure import Measures, SliceRow
from sim.report import render_report
from sim.report_charts import charts
from sim.report_data import (
    GANTT_SLICES,
    chips_over_time,
    gantt_segments,
    most_lost,
    queue_over_time,
    time_unit,
    wait_curve,
    waited,
    waits_by_group,
    waits_over_time,
    worst_slices,
)
from sim.report_page import POLICY
from sim.results import aggregate, summarize
from sim.scenario import scenario_in
from tests.sim.example_run import TPU_CHIPS, at, chip_time, example
from tests.sim.example_study import example_scenario

EXPECTED = ("jobs.unfinished == 0", "queue_wait_s.p95 < 2h")
VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """What a browser would see: tags that are open, addresses, text outside of scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.badly_closed: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text: list[str] = []
        self.data: dict[str, str] = {}
        self._data_id: str | None = None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self._data_id = dict(attrs).get("id")

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.badly_closed.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            if self._data_id is not None:
                self.data[self._data_id] = data
        elif not self.open or self.open[-1] != "style":
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def page_of(measures: Measures, *expected: str, command: str = "") -> Page:
    scenario = example_scenario(*expected)
    results = summarize(measures, scenario.expect)
    return Page(render_report(measures, results, scenario, command))


@functools.cache
def page_of_example(*expected: str) -> Page:
    return page_of(example(), *expected)


def test_the_page_is_well_formed_and_forbids_every_request() -> None:
    page = page_of_example(*EXPECTED)
    assert page.open == page.badly_closed == []
    names = {name for _, name, _ in page.attributes}
    assert not names & {"src", "srcset", "action", "data", "background"}
    links = {value for _, name, value in page.attributes if name == "href"}
    assert links == {*FILES} - {"report.html"}, "files beside it, asked for by whoever clicks"
    assert ("meta", "content", POLICY) in page.attributes
    assert POLICY.startswith("default-src 'none';")
    assert "http" not in POLICY


def test_style_and_specs_name_no_address() -> None:
    html = render_report(example(), summarize(example(), ()), example_scenario())
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    assert "url(" not in style
    assert "@import" not in style
    assert "://" not in Page(html).data["chart-specs"]


def test_the_header_says_what_was_run_and_how_to_repeat_it() -> None:
    words = page_of(example(), command="iris sim 'a b.yaml' --seed 7").words
    assert "repeat it with iris sim 'a b.yaml' --seed 7" in words
    for fact in ("seed 7", "simulated 2h", "config c0ffeec0ffee", f"iris {__version__}"):
        assert fact in words


def test_a_sound_and_whole_run_has_no_red_band() -> None:
    assert ("div", "class", "band") not in page_of_example().attributes


def test_a_partial_run_says_so_in_a_red_band() -> None:
    measures = example()
    measures.partial = True
    page = page_of(measures)
    assert ("div", "class", "band") in page.attributes
    assert "This run was interrupted" in page.words


def test_a_violated_invariant_is_told_before_any_number() -> None:
    measures = example()
    measures.invariants_violated, measures.violations = 2, ["a worker holds more than it has"]
    words = page_of(measures, *EXPECTED).words
    told = words.index("trust no number below. a worker holds more than it has")
    assert told < words.index("Verdict")


def test_the_verdict_gives_each_expectation_with_its_margin() -> None:
    words = page_of_example(*EXPECTED).words
    assert "false jobs.unfinished == 0 1 against 0: 1 apart" in words
    assert "holds queue_wait_s.p95 < 2h 3,910 against 7,200: 3,290 apart, 45.7%" in words


def test_a_false_expectation_is_told_with_what_weighs_most_in_its_figure() -> None:
    falsehoods = {
        "jobs.unfinished == 0": "1 of 3 that did not succeed are failed",
        "queue_wait_s.p95 < 1": "58.4% of all waiting was waiting_for_slices: it waits for slices",
        "completion_s.mean < 1": "3.9% of the completions is time before the first start; 11.8% of",
        "1 < work.goodput_fraction": "most of what was not kept is idle, 40.2%: ready, and nothing",
        "cost_usd < 1": "the dearest group, tpu, cost $20.45, $9.52 of it for time",
        "attempts.preempted == 0": "most slices were taken of tpu: 1, 0.469 an hour of one",
        "groups.cpu.utilisation > 0.9": "most of what was not kept is idle, 84.5%",
    }
    words = page_of(example(), *falsehoods).words
    for told in falsehoods.values():
        assert told in words
    assert "of all waiting" not in page_of_example("queue_wait_s.p95 < 2h").words, "it holds"


def test_what_work_waited_for_is_told_over_time_and_in_all() -> None:
    measures = replace(
        example(), explanations=[("/a", ("/a is pending: <no room>.", "Next: room."))]
    )
    first, second = waited(measures)
    assert (first.verdict.value, first.time, first.peak) == ("waiting_for_slices", 225_000, 2)
    assert (second.verdict.value, second.time, second.peak) == ("backoff", 160_000, 1)
    measures.warm_up = at(100)
    assert waited(measures)[1].time == 60_000
    rows = waits_over_time(measures, spans=7200)
    seen = {(row["verdict"], row["at"]): row["units"] for row in rows}
    assert [seen["waiting_for_slices", s / 3600] for s in (0, 64, 65, 160)] == [2, 2, 1, 0]
    words = page_of(measures).words
    assert "backoff it waits until slices may be asked for again 0.0 72.7% 1" in words
    assert "/a is pending: <no room>. Next: room." in words


def test_nothing_that_a_scenario_says_becomes_markup() -> None:
    measures = example()
    evil = '</script><script>alert("x")</script><em>'
    measures.attempts = [replace(a, job=evil, slice="iris-tpu-1") for a in measures.attempts]
    measures.jobs["/alice/train"].job = evil
    measures.jobs["/alice/train"].user = evil
    measures.violations = [evil]
    scenario = replace(example_scenario(), name=evil)
    page = Page(render_report(measures, summarize(measures, ()), scenario, evil))
    assert page.open == page.badly_closed == []
    assert "em" not in page.tags
    assert page.tags.count("script") == 2, "our data and our code"
    assert page.words.count(evil) >= 5
    assert evil in str(json.loads(page.data["chart-specs"]))


def test_replications_show_intervals_and_name_the_seed_of_the_charts() -> None:
    measures = example()
    scenario = example_scenario(*EXPECTED)
    other = replace(example(), seed=8)
    results = aggregate([summarize(run, scenario.expect) for run in (measures, other)])
    words = Page(render_report(measures, results, scenario)).words
    assert "Over 2 replications, with 95 % intervals of the mean" in words
    assert "seeds 7 to 8" in words
    assert "false jobs.unfinished == 0 0 of 2; means: 1 against 0" in words
    assert "are of seed 7" in words


def test_without_the_extra_the_charts_are_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "altair", None)
    page = page_of(example(), *EXPECTED)
    assert page.data == {}
    assert "script" not in page.tags
    assert page.open == page.badly_closed == []
    uses = "useful lost restart idle stranded drain booting wanted"
    assert f"{uses} pending, mean" in page.words


def test_an_empty_run_has_a_page() -> None:
    page = page_of(Measures(scenario="empty", seed=0))
    assert page.open == page.badly_closed == []
    assert "0 of 0" in page.words


def specs_of(measures: Measures, *expected: str) -> Mapping[str, Mapping[str, object]]:
    scenario = example_scenario(*expected)
    drawn = charts(measures, summarize(measures, scenario.expect))
    assert drawn is not None
    return drawn.specs


def test_the_charts_are_the_same_every_time_and_each_has_a_place_in_the_page() -> None:
    assert specs_of(example()) == specs_of(example())
    page = page_of_example()
    places = {value for tag, name, value in page.attributes if (tag, name) == ("div", "id")}
    assert places == {f"chart-{name}" for name in json.loads(page.data["chart-specs"])}


def test_the_library_draws_every_chart() -> None:
    import altair
    import vl_convert

    version = ".".join(altair.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    titles = {
        "time": ("Chips by use", "Queue: mean", "Why: what", "Preemptions", "Slices: what"),
        "waits": ("Queue wait: ",),
        "waits-by-group": ("Queue wait by the group", ">tpu<", ">cpu<"),
        "slowdown": ("Slowdown: ",),
        "goodput": ("Goodput and badput",),
    }
    specs = specs_of(example(), *EXPECTED)
    assert set(specs) == set(titles)
    for name, spec in specs.items():
        tables = spec["datasets"]
        assert isinstance(tables, dict)
        named = set(re.findall(r'"data": {"name": "([^"]*)"}', json.dumps(spec)))
        assert named == {table for table, rows in tables.items() if rows}
        picture = vl_convert.vegalite_to_svg(json.dumps(spec), vl_version=version)
        assert all(title in picture for title in titles[name])


def test_a_limit_on_the_wait_is_marked_in_its_curve() -> None:
    marked = json.dumps(specs_of(example(), *EXPECTED)["waits"])
    assert '"wait_s": 7200.0, "expr": "queue_wait_s.p95 < 2h"' in marked
    assert "rule" not in json.dumps(specs_of(example())["waits"])


def test_the_script_holds_the_library_and_our_drawing() -> None:
    drawn = charts(example(), summarize(example(), ()))
    assert drawn is not None
    assert "chart-specs" in drawn.script
    assert len(drawn.script) > 500_000


def test_chips_over_time_add_up_to_the_samples() -> None:
    rows = chips_over_time(example(), spans=7200)
    seen = {(row["use"], row["at"]): row["chips"] for row in rows}
    unit = time_unit(example())
    assert unit.name == "hours"
    hour = 200_000 / unit.millis
    assert [seen[use, hour] for use in ("useful", "idle", "booting")] == [20.0, 12.0, 0.0]
    assert seen["useful", 2.0] == 0.0, "the last step reaches the end"


def test_what_attempts_held_is_drawn_with_the_area_of_the_ledger() -> None:
    measures = example()
    measures.attempts[0].restart = chip_time(16, 10)
    rows = chips_over_time(measures, spans=7200)
    parts = parts_of(measures)
    for use in ("useful", "lost", "restart"):
        steps = [row["chips"] for row in rows if row["use"] == use][:-1]
        assert sum(map(float, map(str, steps))) * 1_000_000 == parts[use]


def test_the_peak_of_the_queue_survives_the_cut() -> None:
    assert [row["peak"] for row in queue_over_time(example(), spans=2)] == [2, 1, 1]


def test_the_wait_curve_climbs_to_the_whole_of_each_band() -> None:
    rows = wait_curve(example())
    batch = [(row["wait_s"], row["share"]) for row in rows if row["band"] == "batch"]
    assert batch == [(65.0, 0.0), (65.0, 0.5), (3910.0, 1.0)]
    assert [row["share"] for row in rows if row["band"] == "interactive"] == [0.0, 1.0]

    apart = waits_by_group(example())
    told = {(row["group"], row["band"]): row["wait_s"] for row in apart if row["share"] == 1.0}
    assert told == {("tpu", "interactive"): 170.0, ("cpu", "batch"): 65.0, ("tpu", "batch"): 3910.0}
    assert "bounded slowdown all 5 2 1.06 1.22 1.22 1.22 1.22" in page_of_example().words


def test_a_wait_of_nothing_can_be_drawn_on_a_log_axis() -> None:
    measures = example()
    measures.jobs["/bob/etl"].first_running = at(0)
    assert min(float(str(row["wait_s"])) for row in wait_curve(measures)) == 1.0


def test_the_gantt_shows_phases_and_how_attempts_ended() -> None:
    segments = gantt_segments(example())
    kinds = [(row["slice"], row["kind"]) for row in segments]
    assert ("iris-tpu-3", "booting") in kinds
    assert ("iris-tpu-0", "preempted") in kinds
    assert "iris-tpu-2" not in {row["slice"] for row in segments}, "it never existed"


def test_members_of_a_gang_are_one_bar() -> None:
    measures = example()
    measures.attempts += [replace(measures.attempts[0], index=i, host=i) for i in (1, 2, 3)]
    assert len(gantt_segments(measures)) == len(gantt_segments(example()))


def test_of_many_slices_those_are_drawn_that_wasted_most() -> None:
    measures = example()
    for number in range(400):
        row = SliceRow(f"s{number}", "tpu", "z", TPU_CHIPS, at(0), at(0), at(0), at(number))
        measures.slices[row.slice] = row
    drawn = [row.slice for row in worst_slices(measures)]
    assert len(drawn) == GANTT_SLICES
    assert "s399" in drawn
    assert "s0" not in drawn
    assert "Of 404 slices the 300 that wasted most are drawn." in page_of(measures).words


def test_the_jobs_that_lost_most_come_first_and_those_that_lost_nothing_not_at_all() -> None:
    measures = example()
    measures.jobs["/bob/probe"].lost = measures.jobs["/alice/train"].lost + 1
    assert [job.job for job in most_lost(measures)] == ["/bob/probe", "/alice/train"]


def test_the_page_holds_configuration_and_sources_with_overrides_and_no_token(
    tmp_path: Path,
) -> None:
    (tmp_path / "stock.csv").write_text("# of a zone, 2024\nt_s,capacity\n0,1\n")
    text = """
name: shown
cluster:
  scale_groups: {cpu: {accelerator_type: cpu, vm: {cpu: 2, memory: 8GB}, max_slices: 1, zones: [a]}}
  auth: {tokens: {alice: "do-not-tell-0123456789"}}
cloud: {boot: 3m, capacity: {a: {trace: stock.csv}}}
workload: [{name: a, count: 1, arrivals: {every: 1s}, resources: {cpu: 1}, run_time: {constant: 1s}}]
"""
    document = parse_mapping(text, "shown.yaml")
    document.override("cluster.scale_groups.cpu.max_slices", "7")
    scenario = scenario_in(document, tmp_path / "shown.yaml")
    measures = Measures(scenario="shown", seed=0)
    html = render_report(measures, summarize(measures, ()), scenario)
    words = Page(html).words
    assert "max_slices: 7 zones: - a" in words
    assert 'boot {"boot": "3m"} preemption the cloud takes nothing by itself' in words
    assert "stock.csv of a zone, 2024 " in words
    assert "do-not-tell" not in html
