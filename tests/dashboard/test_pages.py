"""Every page of a simulated fleet: it answers, leads on, tells programs the same, and shows markup as text."""

import json
import re
from collections.abc import Iterator
from html import unescape
from http import HTTPStatus
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from iris.cluster.wheels import checked_out_files
from iris.core.ids import JobId
from iris.core.instant import DAY, HOUR, MINUTE, Instant
from iris.core.lifecycle import JobState
from iris.dashboard.assets import load_assets, load_manifest
from iris.dashboard.pages import PAGES
from iris.dashboard.query import ROWS
from iris.dashboard.subject import Kind
from iris.dashboard.words import moment
from sim.on_stage import Stage
from tests.benchmarks.crowds import Crowd, jobs
from tests.dashboard.stages import FLEET, LONG, STUCK, TRAIN, Still, browser_of, stage_of
from tests.harness import cpu_group
from tests.harness import fleet as fleet_of
from tests.tidy.tree import ROOT

LINK = re.compile(r'(?:href|src)="([^"]*)"')


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return stage_of(tmp_path_factory.mktemp("stage"), FLEET, hours=5.2)


@pytest.fixture(scope="module")
def fleet(stage: Stage) -> TestClient:
    return browser_of(stage)


def links(html: str) -> Iterator[str]:
    """The addresses of this dashboard that a page leads to, without their anchors."""
    for found in LINK.findall(html):
        target = unescape(found).partition("#")[0]
        if target:
            yield target


def test_every_link_of_every_page_leads_somewhere(fleet: TestClient) -> None:
    seen, waiting = {"/"}, ["/"]
    by_shape: dict[str, int] = {}
    while waiting:
        url = waiting.pop()
        answer = fleet.get(url)
        assert answer.status_code == HTTPStatus.OK, (url, answer.text)
        if not answer.headers["content-type"].startswith("text/html"):
            continue
        for target in links(answer.text):
            url_of = target if target.startswith("/") else url.partition("?")[0] + target
            shape = re.sub(r"[0-9]+|(?<==)[^&]*", "N", url_of)
            by_shape[shape] = by_shape.get(shape, 0) + 1
            if url_of not in seen and by_shape[shape] <= 2:  # Two of a kind are enough.
                seen.add(url_of)
                waiting.append(url_of)
    asked = {page.path.partition("{")[0] for page in PAGES} - {
        "/simulations/runs/",
        "/simulations/compare",
    }
    assert [path for path in asked if not any(url.startswith(path) for url in seen)] == []
    assert {"/stop/jobs", "/terminate/slices", "/drain/workers"} <= {
        "/".join(url.split("/")[:3]) for url in seen
    }


TEXT = re.compile(r"<td[^>]*>(?:<a[^>]*>)?([^<\n]*)")

EXAMPLES = [
    "/", "/jobs", "/jobs?state=failed", f"/jobs{TRAIN}", f"/jobs{STUCK}", f"/tasks{TRAIN}:0", "/capacity",
    f"/timeline/job{TRAIN}", "/workers", "/decisions", "/users", "/controller", "/simulations",
]  # fmt: skip


@pytest.mark.parametrize("url", EXAMPLES)
def test_a_page_holds_nothing_that_its_policy_forbids(fleet: TestClient, url: str) -> None:
    answer = fleet.get(url)
    html = answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert not re.search(r"<script(?![^>]*\bsrc=)", html)
    assert not re.search(r"\son\w+\s*=|\sstyle\s*=|javascript:", html)
    assert not [link for link in LINK.findall(html) if link.startswith(("http:", "https:", "//"))]
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; fleet" in html
    assert "object at 0x" not in html


KINDS = {
    "/": "Overview", "/jobs": "JobList", f"/jobs{TRAIN}": "Job", f"/tasks{TRAIN}:0": "Task", "/capacity": "GroupList",
    "/timeline/slice/iris-cpu-1": "EventList", "/workers": "WorkerList", "/decisions": "DecisionList",
    "/users": "Usage", "/controller": "Controller",
    "/simulations": "SimulationList",
}  # fmt: skip


@pytest.mark.parametrize(("url", "kind"), KINDS.items())
def test_programs_are_told_the_same(fleet: TestClient, url: str, kind: str) -> None:
    told = fleet.get(f"/api/v1{'/overview' if url == '/' else url}.json").json()
    assert (told["schema"], told["kind"]) == ("iris/v1", kind)
    if kind.endswith("List"):
        assert len(told["items"]) <= ROWS
        assert told["total"] >= len(told["items"])


def test_the_list_of_jobs_is_paged_and_filtered_by_its_address(
    fleet: TestClient, stage: Stage
) -> None:
    state = stage.state
    whole = fleet.get("/api/v1/jobs.json").json()
    assert whole["total"] == len(state.jobs) > 2 * ROWS
    second = fleet.get("/api/v1/jobs.json?page=2").json()["items"]
    order = [job.id for job in sorted(state.jobs.values(), key=lambda job: -job.number)]
    assert [item["id"] for item in second] == order[ROWS : 2 * ROWS]
    failed = fleet.get("/api/v1/jobs.json?state=failed").json()
    assert {item["id"] for item in failed["items"]} == set(state.by_state[JobState.FAILED])
    assert failed["total"] > 0
    bobs = fleet.get("/api/v1/jobs.json?user=bob&name=late").json()["items"]
    assert bobs
    assert all(item["id"].startswith("/bob/late") for item in bobs)
    assert LONG in fleet.get("/jobs").text


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("/jobs?state=lost", "state: 'lost' is none of pending, running"),
        ("/jobs?page=-1", "page: '-1' is no whole number"),
        ("/jobs?page=99999999999999999999", "is no whole number from 0 to"),
        (f"/jobs?name={'x' * 201}", "201 characters are more than 200"),
        (f"/tasks{TRAIN}:0?attempt=1e3", "attempt: '1e3' is no whole number"),
    ],
)
def test_a_question_that_cannot_be_is_refused_in_a_sentence(
    fleet: TestClient, url: str, said: str
) -> None:
    answer = fleet.get(url)
    assert answer.status_code == HTTPStatus.BAD_REQUEST
    assert said in unescape(answer.text)
    assert fleet.get(f"/api/v1{url.replace('?', '.json?')}").json()["message"]


@pytest.mark.parametrize(
    "url",
    ["/jobs/alice/nothing", "/tasks/alice/nothing:0", f"/tasks{TRAIN}:99", "/slices/none", "/workers/none",
     f"/tasks{TRAIN}:0?attempt=77", "/simulations/runs/none", "/stop/jobs/alice/nothing", "/nothing"],
)  # fmt: skip
def test_what_is_not_there_is_not_found(fleet: TestClient, url: str) -> None:
    assert fleet.get(url).status_code == HTTPStatus.NOT_FOUND


@pytest.mark.parametrize(
    "url",
    [
        "/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/app.py", "/static/manifest.json",
        "/simulations/files/../../etc/passwd", "/simulations/files/..%2f..%2fetc/passwd",
        "/simulations/files/%2e%2e/report.html", "/simulations/files/a/other.json", "/tasks/../../etc/passwd:0",
        "/tasks/alice/..%2f..%2fx:0", "/jobs/..%2f..%2fetc",
    ],
)  # fmt: skip
def test_no_path_leads_out_of_what_is_shown(tmp_path: Path, url: str) -> None:
    (tmp_path / "runs" / "a").mkdir(parents=True)
    (tmp_path / "runs" / "a" / "summary.json").write_text("{}")
    (tmp_path / "runs" / "a" / "other.json").write_text("outside")
    (tmp_path / "report.html").write_text("outside")
    client = browser_of(stage_of(tmp_path, FLEET, runs=tmp_path / "runs"))
    answer = client.get(url)
    assert answer.status_code == HTTPStatus.NOT_FOUND
    assert "outside" not in answer.text


def test_runs_studies_and_comparisons_are_told_and_what_is_none_is_no_trouble(
    tmp_path: Path,
) -> None:
    held, lost = {"holds": True}, {"holds": False}
    for name, summary in {
        "run": {"scenario": "night", "seed": 7, "partial": False, "expect": [held, lost, held]},
        "study": {"scenario": "day", "seed": {"values": [3, 4, 5]}, "expect": [held]},
        "cut": {"scenario": "night", "seed": 8, "partial": True, "expect": [lost]},
        "broken": {"invariants": {"violated": 2}},
        "comparison": {"a": {"scenario": "night"}, "b": {"scenario": "day"}},
        "foreign": {"scenario": 5, "seed": "x", "expect": "?"},
        "list": [1],
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "summary.json").write_text(json.dumps(summary))
    client = browser_of(stage_of(tmp_path, FLEET, runs=tmp_path))
    rows = client.get("/simulations").text.partition("<tbody>")[2].split("<tr>")[1:]
    told = {cells[0]: cells[1:4] for cells in ([*TEXT.findall(row)] for row in rows)}
    assert told == {
        "run": ["night", "1 of 3 expectations false", "7"],
        "study": ["day", "as expected", "3 to 5"],
        "cut": ["night", "partial: it was interrupted", "8"],
        "broken": ["", "an invariant was violated", ""],
        "comparison": ["night against day", "", ""],
        "foreign": ["", "", ""],
    }
    for name in told:
        assert "summary.json</a>" in client.get(f"/simulations/runs/{name}").text
    file = client.get("/simulations/files/run/summary.json")
    assert file.json()["seed"] == 7
    assert file.headers["content-disposition"].startswith("attachment")
    assert client.get("/simulations/runs/list").status_code == HTTPStatus.NOT_FOUND


def test_what_somebody_types_comes_back_as_text(fleet: TestClient) -> None:
    answer = fleet.get("/jobs", params={"name": '"><script>alert(1)</script>', "user": "'<b>"})
    assert "<script>alert" not in answer.text
    assert "&#34;&gt;&lt;script&gt;" in answer.text


def test_the_cause_of_trouble_is_two_clicks_from_the_overview(fleet: TestClient) -> None:
    overview = fleet.get("/").text
    late = {link for link in links(overview) if re.fullmatch(r"/jobs/bob/late-\d+", link)}
    assert late
    assert all("timeout" in fleet.get(link).text for link in late)
    assert f"/jobs{STUCK}" in set(links(overview)) | set(
        links(fleet.get("/jobs?state=pending").text)
    )
    stuck = fleet.get(f"/jobs{STUCK}").text
    assert 'id="why"' in stuck
    assert "stockout" in stuck
    assert "/capacity#why-scarce" in unescape(overview)
    assert "stockout" in fleet.get("/capacity").text


def test_what_happened_is_told_newest_first_page_by_page() -> None:
    script = fleet_of(cpu_group(min_slices=1))
    for number in range(60):
        script.running(script.submit(f"job-{number}")).finish(JobId(f"/alice/job-{number}"))
    client = browser_of(Still(script.controller.state, script.journal))
    first = client.get("/timeline/slice/iris-cpu-1").text
    assert first.index("/alice/job-59:0 was placed on it") < first.index(
        "/alice/job-50:0 was placed"
    )
    assert "asked for in us-a" in client.get("/timeline/group/cpu?before=9").text
    told = client.get("/api/v1/timeline/job/alice/job-3.json").json()
    assert [it["text"] for it in told["items"]][-1] == "alice submitted it: 1 x, interactive"
    assert (told["kind"], told["before"]) == ("EventList", None)
    (older,) = re.findall(r'href="(\?before=[0-9]+)">older', first)
    second = client.get(f"/timeline/slice/iris-cpu-1{older}").text
    assert "/alice/job-0:0 was placed on it" in second
    assert "/alice/job-59:0" not in second
    for wrong in ("/timeline/zone/us-a", "/timeline/job", "/timeline/x/y"):
        assert client.get(wrong).status_code == HTTPStatus.NOT_FOUND
    assert client.get("/timeline/job/a/b?before=x").status_code == HTTPStatus.BAD_REQUEST


def test_an_instant_is_told_to_the_second() -> None:
    at = Instant(2 * DAY + 3 * HOUR + 59 * MINUTE + 1_999)
    assert moment(Kind.SIMULATION, at) == "t=2d 3h 59m 1s"
    assert moment(Kind.SIMULATION, Instant(DAY)) == "t=1d"
    assert moment(Kind.LIVE, at) == "1970-01-03 03:59:01"


def test_nothing_walks_over_rows_that_are_not_on_the_page() -> None:
    crowd = Crowd(40)
    crowd.admit(jobs(2_000))
    client = browser_of(Still(crowd.controller.state))
    html = client.get("/jobs?state=pending&page=3").text
    assert html.count("<tr id=") == ROWS
    assert "page 3 of 40, 2,000 in all" in html
    assert client.get("/jobs?state=pending&page=41").text.count("<tr id=") == 0


def test_pages_of_an_empty_cluster_say_that_there_is_nothing(tmp_path: Path) -> None:
    cpu = {"accelerator_type": "cpu", "vm": {"cpu": 1, "memory": "1GB"}, "max_slices": 1}
    nothing = {"cluster": {"scale_groups": {"cpu": cpu}}, "workload": [], "cloud": {}}
    bare = {**FLEET, **nothing}
    client = browser_of(stage_of(tmp_path, bare))
    for page in PAGES:
        if "{" not in page.path and "compare" not in page.path:
            assert client.get(page.path).status_code == HTTPStatus.OK
    assert "No jobs here yet" in client.get("/jobs").text
    assert "There is no worker here" in client.get("/workers").text
    assert "No such decision was made" in client.get("/decisions").text


def test_a_fragment_is_the_changing_part_and_is_not_sent_twice(fleet: TestClient) -> None:
    first = fleet.get("/jobs", headers={"HX-Request": "true"})
    assert first.text.startswith('<div id="live"')
    mark = {"HX-Request": "true", "If-None-Match": first.headers["etag"]}
    assert fleet.get("/jobs", headers=mark).status_code == HTTPStatus.NOT_MODIFIED
    whole = fleet.get("/jobs", headers={"If-None-Match": first.headers["etag"]})
    assert whole.status_code == HTTPStatus.OK
    assert first.text in whole.text


def test_what_pages_are_made_of_is_in_the_wheel() -> None:
    packed = checked_out_files(ROOT)
    for name in (*load_assets(), *load_manifest()):
        assert f"iris/dashboard/static/{name}" in packed
    for page in PAGES:
        assert f"iris/dashboard/templates/{page.template}" in packed


def test_files_of_others_are_the_very_files_of_their_packages() -> None:
    manifest, assets = load_manifest(), load_assets()
    assert {name for name in manifest if name in assets} == {"htmx.min.js", "hx-sse.min.js"}
    for name, entry in manifest.items():
        if name in assets:
            assert assets[name].digest == entry["sha256"], name
        assert entry["licence"] in {"0BSD", "MIT"}
    own = {name: it.content.decode() for name, it in assets.items() if name not in manifest}
    for name, text in own.items():
        outside = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+", text))
        assert outside <= {"http://www.w3.org"}, name
