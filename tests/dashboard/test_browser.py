"""Every page in a real browser: it loads, complains of nothing, asks nobody else, fits, and follows what happens."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import pytest
from playwright.sync_api import Browser, expect

from iris.core.ids import JobId, SliceId, TaskId
from iris.core.lifecycle import JobState
from iris.core.state import ClusterState
from iris.dashboard.subject import Viewer
from tests.benchmarks.crowds import Crowd, jobs
from tests.dashboard.browsing import NARROW, WIDE, Served, chromium, served, visit
from tests.dashboard.stages import FLEET, LONG, STUCK, TRAIN, Still, stage_of
from tests.dashboard.test_doors import ADMIN, ALICE, door
from tests.harness import cpu_group
from tests.harness import fleet as fleet_of

LOOKS: Final[tuple[tuple[tuple[int, int], Literal["light", "dark"], str], ...]] = (
    (NARROW, "dark", "rgb(21, 21, 28)"),
    (WIDE, "light", "rgb(251, 251, 253)"),
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("fleet")
    for name in ("first", "second"):
        run = folder / "runs" / name
        run.mkdir(parents=True)
        summary = '{"scenario": "small", "seed": 1, "jobs": {"succeeded": 4}, "cost_usd": 2.5}'
        (run / "summary.json").write_text(summary)
        (run / "report.html").write_text("<script>document.write('drawn')</script>")
    stage = stage_of(folder, FLEET, hours=5.2, runs=folder / "runs")
    with served(stage) as found:
        yield found


CUT: Final = """() => [document.documentElement, ...document.querySelectorAll(".wide:not(:has(.chart)), main, header")]
    .filter(it => it.scrollWidth > it.clientWidth + 1).map(it => it.outerHTML.slice(0, 200))"""
"""What is wider than what is seen of it; charts scroll in their boxes, and say so."""


def pages_of(fleet: Served) -> list[str]:
    """One of each kind."""
    state = fleet.subject.state
    slice_, worker = next(reversed(state.slices)), next(iter(state.workers))
    return [
        "/", "/jobs", f"/jobs{TRAIN}", f"/jobs{STUCK}", f"/tasks{TRAIN}:0", "/capacity", f"/slices/{slice_}",
        "/workers", f"/workers/{worker}", "/decisions", "/users", "/endpoints", "/controller", "/simulations",
        "/simulations/compare?one=first&other=second", "/simulations/speed", f"/stop/jobs{TRAIN}",
    ]  # fmt: skip


def test_every_page_loads_fits_and_asks_nobody_else(browser: Browser, fleet: Served) -> None:
    with visit(browser, fleet.url) as window:
        for path in pages_of(fleet):
            page = window.to(path)
            assert page.locator("h1").count() == 1, path
            for (width, height), scheme, back in LOOKS:
                page.set_viewport_size({"width": width, "height": height})
                page.emulate_media(color_scheme=scheme)
                assert page.evaluate(CUT) == [], path
                assert page.evaluate("getComputedStyle(document.body).backgroundColor") == back


def test_a_report_runs_its_own_scripts_and_reaches_nothing_of_ours(
    browser: Browser, fleet: Served
) -> None:
    with visit(browser, fleet.url) as window:
        page = window.to("/simulations/runs/first")
        frame = page.frame_locator("iframe")
        expect(frame.locator("body")).to_have_text("drawn")
        inside = page.frames[1]
        assert (
            inside.evaluate(
                "() => { try { return parent.document.title } catch { return 'shut' } }"
            )
            == "shut"
        )


def test_a_page_follows_what_happens_and_keeps_what_its_reader_did(
    browser: Browser, tmp_path: Path
) -> None:
    with (
        served(stage_of(tmp_path, FLEET, hours=0.5)) as young,
        visit(browser, young.url) as window,
    ):
        page = window.to("/jobs")
        count = len(young.subject.state.jobs)
        expect(page.get_by_text(f"all {count}")).to_be_visible()
        page.get_by_label("name").fill("half a wor")
        page.evaluate("window.untouched = true")
        page.evaluate("getSelection().selectAllChildren(document.querySelector('#live h1'))")
        page.evaluate("scrollTo(0, 300)")
        young.advance(1)
        now = len(young.subject.state.jobs)
        assert now > count
        expect(page.get_by_text(f"all {now}")).to_be_visible()
        expect(page.get_by_label("name")).to_have_value("half a wor")
        expect(page.get_by_label("name")).to_be_focused()
        assert page.evaluate("window.untouched")
        assert page.evaluate("getSelection().toString()") == "Jobs"
        # Its rows stay where they are though others come above.
        assert page.evaluate("scrollY") >= 300
        page.goto(f"{young.url}/capacity")
        page.get_by_text("cpu: why, and what was decided").click()
        opened = page.locator("#why-cpu")
        expect(opened).to_have_attribute("open", "")
        expect(page.locator("#link")).to_have_text("live")
        turns = page.locator(".strip").inner_text()
        young.advance(1)
        expect(page.locator(".strip")).not_to_have_text(turns)
        expect(opened).to_have_attribute("open", "")


class Talking(Still):
    """Every task and every machine has this log."""

    def __init__(self, state: ClusterState, path: Path) -> None:
        """As it is on disk."""
        super().__init__(state)
        self._path = path

    async def log(self, task: TaskId, attempt: int, viewer: Viewer) -> Path | None:
        del task, attempt, viewer
        return self._path

    async def machine_log(self, slice_: SliceId, host: int, viewer: Viewer) -> bytes:
        del slice_, host, viewer
        return self._path.read_bytes()


BELOW: Final = "it => it.scrollHeight - it.scrollTop - it.clientHeight"
"""So many pixels of a log are below what is seen of it."""


def test_a_log_is_followed_at_its_end_until_its_reader_scrolls_up(
    browser: Browser, tmp_path: Path
) -> None:
    path = tmp_path / "0.log"

    def write(first: int, last: int) -> None:
        with path.open("a") as file:
            file.writelines(f"line {number}\n" for number in range(first, last))

    script = fleet_of(cpu_group(min_slices=1))
    job = script.submit("talker")
    script.running(job)
    write(0, 100)
    talking = Talking(script.controller.state, path)
    with served(talking) as found, visit(browser, found.url) as window:
        box = window.to(f"/tasks{job}:0#log").locator("#lines")
        assert box.evaluate("it => it.scrollHeight > 2 * it.clientHeight")
        assert box.evaluate(BELOW) < 8
        write(100, 200)
        expect(box.get_by_text("line 199")).to_be_in_viewport()
        assert box.evaluate(BELOW) < 8
        box.evaluate("it => it.scrollTop = 300")
        write(200, 300)
        expect(box).to_contain_text("line 299")
        assert box.evaluate("it => it.scrollTop") == 300
        script.finish(job)
        window.to(f"/tasks{job}:0?attempt=0&end=1")
        assert box.evaluate(BELOW) < 8
        window.to(f"/tasks{job}:0?attempt=0&at=0")
        assert box.evaluate("it => it.scrollTop") == 0
        window.to("/slices/iris-cpu-1?log=0")
        write(300, 400)
        expect(box.get_by_text("line 399")).to_be_attached()
        assert box.evaluate(BELOW) < 8


def test_the_cause_of_trouble_is_two_clicks_away(browser: Browser, fleet: Served) -> None:
    with visit(browser, fleet.url) as window:
        page = window.to("/")
        page.locator(".attention a", has_text="late-").first.click()
        expect(page.locator("#why")).to_contain_text("timeout")
        page.goto(fleet.url)
        page.locator("tr", has_text=STUCK).get_by_role("link", name=STUCK).click()
        expect(page.locator("#why")).to_contain_text("stockout")
        page.goto(fleet.url)
        page.locator("tr", has_text=TRAIN).get_by_role("link", name=TRAIN).click()
        expect(page.locator("#why")).to_contain_text("2 of max_slices 2 exist")
        page.goto(fleet.url)
        page.locator(".attention a", has_text="scarce").first.click()
        expect(page.locator("#why-scarce")).to_contain_text("stockout")


def test_a_page_goes_by_keys_alone(browser: Browser, fleet: Served) -> None:
    with visit(browser, fleet.url) as window:
        page = window.to("/")
        page.keyboard.press("2")
        page.wait_for_url("**/jobs")
        page.keyboard.press("n")
        page.wait_for_url("**page=2")
        page.keyboard.press("/")
        expect(page.get_by_label("name")).to_be_focused()
        page.keyboard.type("stuck")
        page.keyboard.press("Enter")
        page.wait_for_url("**name=stuck*")
        expect(page.get_by_role("link", name=STUCK)).to_be_visible()
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the page")).to_be_focused()
        page.goto(f"{fleet.url}/workers")
        page.get_by_role("link", name="Skip the boxes").press("Enter")
        page.keyboard.press("Tab")
        expect(page.locator("#rows a").first).to_be_focused()
        page.get_by_role("button", name="system theme").press("Enter")
        page.get_by_role("button", name="light theme").press("Enter")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 21, 28)"
        page.reload()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 21, 28)"


def test_a_list_of_very_many_is_read_page_by_page_and_long_names_break(browser: Browser) -> None:
    crowd = Crowd(40)
    crowd.admit(jobs(2_000, user=LONG))
    with (
        served(Still(crowd.controller.state)) as found,
        visit(browser, found.url, NARROW) as window,
    ):
        page = window.to("/jobs?page=40")
        assert page.locator("tbody tr").count() == 50
        expect(page.get_by_text("page 40 of 40, 2,000 in all")).to_be_visible()
        assert page.evaluate(CUT) == []
        expect(page.locator("tbody tr").first.get_by_text("1 core")).to_be_in_viewport()
        name = next(iter(crowd.controller.state.jobs))
        for path in (f"/jobs{name}", "/capacity", "/"):
            window.to(path)
            assert page.evaluate(CUT) == []


def test_somebody_signs_in_stops_a_job_and_signs_out(browser: Browser, tmp_path: Path) -> None:
    stage = stage_of(tmp_path, FLEET, hours=4.4)
    running = JobId(next(iter(stage.state.by_state[JobState.RUNNING])))
    with served(stage, door()) as found, visit(browser, found.url) as window:
        page = window.page
        page.goto(f"{found.url}/jobs{running}")
        page.get_by_label("Your token").fill("alices-wrong-token")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("not known")
        window.troubles.clear()  # The browser tells its console of every refusal.
        page.get_by_label("Your token").fill(ADMIN)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"**/jobs{running}")
        page.get_by_role("link", name="Stop this job").click()
        expect(page.get_by_role("heading")).to_have_text(f"Stop {running}?")
        page.get_by_role("button", name="Stop it").click()
        page.wait_for_url(f"**/jobs{running}")
        found.advance(0.1)
        expect(page.locator("h1 .state")).to_have_text("killed")
        assert ALICE not in page.content()
        assert page.evaluate("document.cookie") == ""
        page.get_by_role("button", name="sign out").click()
        page.wait_for_url("**/sign-in")
        page.goto(f"{found.url}/jobs")
        expect(page.get_by_role("button", name="Sign in")).to_be_visible()
        page.get_by_label("Your token").fill(ADMIN)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/jobs")
        expect(page.locator("#link")).to_have_text("live")
        page.context.clear_cookies()  # As if the session's time was up.
        found.advance(0.1)
        expect(page.get_by_role("link", name="Sign in again")).to_be_visible()
        expect(page.locator("#link")).to_have_text("signed out")
        # As a browser tells of a refusal.
        assert all(" 401 " in trouble for trouble in window.troubles)
        window.troubles.clear()
