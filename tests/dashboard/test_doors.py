"""Who gets in, and for whom a form counts: tokens, sessions, seals, names of this machine."""

import asyncio
import time
from collections.abc import Callable
from http import HTTPStatus

import pytest
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message, Scope

from iris.cluster.controller.auth import Doorkeeper
from iris.cluster.controller.dashboard import PeopleOnly
from iris.config import Auth, Secret, SecretSource
from iris.core.ids import JobId, UserName, WorkerId
from iris.core.instant import HOUR, MINUTE
from iris.core.state import ClusterState
from iris.dashboard import breath, sessions, stream
from iris.dashboard.app import Dashboard
from iris.dashboard.query import ROWS
from sim.on_stage import OwnMachine, Stage
from tests.benchmarks.crowds import Crowd, jobs
from tests.dashboard.stages import FLEET, KEY, TRAIN, Still, browser_of, stage_of
from tests.harness import cluster, cpu_group

ALICE, ADMIN = "alices-long-token", "the-administrators-token"


def keeper(alice: str = ALICE) -> Doorkeeper:
    words = (("alice", alice), ("root", ADMIN))
    tokens = tuple((UserName(user), Secret(SecretSource.VALUE, word)) for user, word in words)
    return Doorkeeper(Auth(tokens, (UserName("root"),), None), KEY)


def door(alice: str = ALICE) -> PeopleOnly:
    return PeopleOnly(keeper(alice), KEY)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return stage_of(tmp_path_factory.mktemp("stage"), FLEET, hours=4.5)


def signed_in(stage: Stage, token: str = ALICE) -> TestClient:
    client = browser_of(stage, door())
    answer = client.post("/sign-in", data={"token": token})
    assert answer.status_code == HTTPStatus.SEE_OTHER
    return client


ADDRESSES = ["/", "/jobs", f"/jobs{TRAIN}", "/controller", f"/stop/jobs{TRAIN}"]


@pytest.mark.parametrize("url", ADDRESSES)
def test_without_a_token_a_page_is_a_sign_in(stage: Stage, url: str) -> None:
    client = browser_of(stage, door())
    answer = client.get(url)
    assert answer.status_code == HTTPStatus.SEE_OTHER
    assert answer.headers["location"].startswith("/sign-in?to=")
    assert "alice" not in client.get(answer.headers["location"]).text


@pytest.mark.parametrize("url", ["/events", "/api/v1/jobs.json", f"/api/v1/jobs{TRAIN}.json"])
def test_without_a_token_a_program_is_refused(stage: Stage, url: str) -> None:
    answer = browser_of(stage, door()).get(url)
    assert answer.status_code == HTTPStatus.UNAUTHORIZED
    assert answer.json()["kind"] == "Error"


def test_a_sign_in_leads_to_the_very_place_that_was_asked_for(stage: Stage) -> None:
    client = browser_of(stage, door())
    wanted = f"/jobs{TRAIN}?at=12&q=a%20b"
    door_ = client.get(wanted).headers["location"]
    assert client.post(door_, data={"token": ALICE}).headers["location"] == wanted


@pytest.mark.parametrize("url", ["/nothing", "/capacity/none", "/api/v1/nothing"])
def test_where_there_is_no_page_one_says_so(stage: Stage, url: str) -> None:
    answer = signed_in(stage).get(url)
    assert answer.status_code == HTTPStatus.NOT_FOUND
    assert "there is no page" in answer.text


def test_the_rest_of_a_live_page_is_told_as_a_page_when_there_is_no_more(stage: Stage) -> None:
    live = {"HX-Request": "true"}
    out = browser_of(stage, door()).get(f"/jobs{TRAIN}?q=1", headers=live)
    assert out.status_code == HTTPStatus.UNAUTHORIZED
    assert '<div id="live" data-over="signed out">' in out.text
    assert f'href="/sign-in?to=/jobs{TRAIN}%3Fq%3D1"' in out.text
    gone = signed_in(stage).get("/slices/iris-tpu-99", headers=live)
    assert gone.status_code == HTTPStatus.NOT_FOUND
    assert '<div id="live" data-over="over">' in gone.text
    page = signed_in(stage).get("/slices/iris-tpu-99")
    for told in (gone, page):
        assert 'href="/timeline/slice/iris-tpu-99"' in told.text
    assert "/timeline/" not in signed_in(stage).get("/nothing/at-all").text


@pytest.mark.parametrize("given_back", [False, True])
def test_nobody_is_alarmed_by_silence_of_what_is_given_back(*, given_back: bool) -> None:
    script = cluster(cpu_group(max_slices=1))
    job = script.submit()
    script.ready("cpu")
    script.running(job).finish(job).advance(HOUR if given_back else MINUTE)
    (worker,) = script.controller.state.workers
    script.silent(worker)
    app = Dashboard(Still(script.controller.state), OwnMachine(KEY)).app
    told = TestClient(app, base_url="http://localhost").get("/").text
    assert (f"{worker} is silent" in told) is not given_back


TOKENS = {
    "none": ("", "asks for a token", HTTPStatus.UNAUTHORIZED),
    "wrong": ("alices-long-tokem", "not known", HTTPStatus.UNAUTHORIZED),
    "task": (keeper().task_token(JobId("/alice/train-0")), "of a task", HTTPStatus.FORBIDDEN),
    "worker": (keeper().worker_token(WorkerId("iris-cpu-1-w0")), "of a worker", HTTPStatus.FORBIDDEN),
}  # fmt: skip


@pytest.mark.parametrize(("token", "said", "status"), TOKENS.values(), ids=TOKENS)
def test_only_people_are_let_in(stage: Stage, token: str, said: str, status: HTTPStatus) -> None:
    client = browser_of(stage, door())
    answer = client.post("/sign-in", data={"token": token})
    assert answer.status_code == HTTPStatus.UNAUTHORIZED
    assert said in answer.text
    assert token not in answer.text or not token
    assert "set-cookie" not in answer.headers
    bearer = client.get("/api/v1/jobs.json", headers={"Authorization": f"Bearer {token}"})
    assert bearer.status_code == status


def test_a_session_is_a_cookie_that_no_script_reads_and_no_address_holds(stage: Stage) -> None:
    client = browser_of(stage, door())
    answer = client.post("/sign-in?to=//evil.example/", data={"token": ALICE})
    assert answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert ALICE not in cookie
    page = client.get("/jobs")
    assert page.status_code == HTTPStatus.OK
    assert "alice" in page.text
    assert ALICE not in page.text


def test_a_session_ends_with_its_token_its_time_or_its_user(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = signed_in(stage)
    (name, value) = next(iter(client.cookies.items()))
    stranger = browser_of(stage, door("another-token-of-alice"))
    stranger.cookies.set(name, value)
    assert stranger.get("/jobs").status_code == HTTPStatus.SEE_OTHER
    body, _, mark = value.partition(".")
    for forged in (f"{body}.{'0' * 64}", f"{body}A.{mark}", "x", f".{mark}", ""):
        liar = browser_of(stage, door())
        liar.cookies.set(name, forged)
        assert liar.get("/jobs").status_code == HTTPStatus.SEE_OTHER
    later = time.time() + sessions.LASTS_S + 1
    monkeypatch.setattr(time, "time", lambda: later)
    assert client.get("/jobs").status_code == HTTPStatus.SEE_OTHER


def seal_of(client: TestClient, url: str) -> str:
    return client.get(url).text.partition('name="seal" value="')[2].partition('"')[0]


STOP = f"/stop/jobs{TRAIN}"


def test_a_form_counts_only_with_its_seal_and_from_here(stage: Stage) -> None:
    client, other = signed_in(stage), signed_in(stage, ADMIN)
    seal, foreign = seal_of(client, STOP), seal_of(other, STOP)
    assert len(seal) == len(foreign) == 64
    assert seal != foreign
    for form, headers in (
        ({}, {}),
        ({"seal": "0" * 64}, {}),
        ({"seal": foreign}, {}),
        ({"seal": seal}, {"Origin": "https://evil.example"}),
        ({"seal": seal}, {"Origin": "null"}),
    ):
        answer = client.post(STOP, data=form, headers=headers)
        assert answer.status_code == HTTPStatus.FORBIDDEN, (form, headers)
    assert client.get(STOP).status_code == HTTPStatus.OK
    assert stage.touched == 0  # To look at the question asks for nothing.
    answer = client.post(STOP, data={"seal": seal}, headers={"Origin": "http://localhost"})
    assert (answer.status_code, stage.touched) == (HTTPStatus.SEE_OTHER, 1)


ELSEWHERE = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "http://[localhost"},
]


@pytest.mark.parametrize("headers", ELSEWHERE, ids=lambda it: "-".join(*it.items()))
def test_another_site_can_sign_nobody_in(stage: Stage, headers: dict[str, str]) -> None:
    client = browser_of(stage, door())
    answer = client.post("/sign-in", data={"token": ALICE}, headers=headers)
    assert answer.status_code == HTTPStatus.FORBIDDEN
    assert "set-cookie" not in answer.headers
    ours = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    answer = client.post("/sign-in", data={"token": ALICE}, headers=ours)
    assert answer.status_code == HTTPStatus.SEE_OTHER


def test_an_open_dashboard_answers_to_this_machines_own_names_only(stage: Stage) -> None:
    client = browser_of(stage)
    for host in ("evil.example", "localhost.evil.example", "10.0.0.1:10080", "", "[::1"):
        answer = client.get("/", headers={"Host": host})
        assert answer.status_code == HTTPStatus.MISDIRECTED_REQUEST, host
        assert "train" not in answer.text
    for host in ("localhost:4711", "127.0.0.1:10080", "[::1]:10080"):
        assert client.get("/", headers={"Host": host}).status_code == HTTPStatus.OK, host
    assert client.post(STOP, data={}).status_code == HTTPStatus.FORBIDDEN


def test_a_form_that_is_too_large_is_not_read(stage: Stage) -> None:
    answer = browser_of(stage, door()).post("/sign-in", data={"token": "x" * 20_000})
    assert answer.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    many = browser_of(stage, door()).post("/sign-in", data={f"f{n}": "x" for n in range(21)})
    assert (many.status_code, "more than 20 fields" in many.text) == (HTTPStatus.BAD_REQUEST, True)


def test_a_stream_tells_of_turns_and_ends_with_the_dashboard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream, "EVERY_S", 0.01)
    monkeypatch.setattr(stream, "STILL_HERE_S", 0.01)
    subject = Still(ClusterState())

    async def listen() -> list[str]:
        stopping = asyncio.Event()
        messages = stream.Beat(subject, stopping).stream()
        said = [await anext(messages), await anext(messages)]
        subject.turns += 2
        subject.watching[0].set()
        while "id: 3" not in said[-1]:
            said.append(await anext(messages))
        stopping.set()
        said += [message async for message in messages]
        return said

    said = asyncio.run(asyncio.wait_for(listen(), 20))
    assert said[0] == "event: changed\nid: 1\ndata: 1\n\n"
    assert ": still here\n\n" in said
    assert "event: changed\nid: 3\ndata: 3\n\n" in said
    assert subject.watching == []


def test_a_page_is_made_once_for_all_who_will_be_told_and_anew_for_whoever_asks_for_it() -> None:
    subject = Still(ClusterState())
    app = Dashboard(subject, OwnMachine(KEY)).app

    async def shown(*, fragment: bool = True) -> str:
        told: list[bytes] = []
        await served(app, "/jobs", told.append, fragment=fragment)
        return b"".join(told).decode().partition("turn")[0].rpartition(">")[2].strip()

    async def story() -> None:
        heard = asyncio.Event()
        listening = asyncio.create_task(served(app, "/events", lambda _: heard.set()))
        await heard.wait()
        assert await shown() == "1"
        subject.turns = 2
        assert await shown() == "1"  # Of this turn, all who look will be told.
        assert await shown(fragment=False) == "2"
        assert await shown() == "2"
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        subject.turns = 3
        assert await shown() == "3"  # Nobody will be told any more.

    asyncio.run(asyncio.wait_for(story(), 20))


def test_others_have_their_turn_between_the_pieces_of_a_page(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(breath, "PIECE_S", 0.0)
    crowd = Crowd(1)
    crowd.admit(jobs(ROWS))
    app = Dashboard(Still(crowd.controller.state), OwnMachine(KEY)).app
    turns = 0

    async def turning() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def story() -> None:
        other = asyncio.create_task(turning())
        await served(app, "/jobs", lambda _: None)
        other.cancel()

    asyncio.run(asyncio.wait_for(story(), 20))
    assert turns > ROWS * breath.ROUNDS


async def served(
    app: ASGIApp, path: str, told: Callable[[bytes], None], *, fragment: bool = True
) -> None:
    """One request without a network; what is answered is told piece by piece."""
    headers = [(b"host", b"localhost"), *([(b"hx-request", b"true")] if fragment else [])]
    scope: Scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers,
    }
    gone = asyncio.Event()

    async def receive() -> Message:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message.get("body"):
            told(message["body"])

    await app(scope, receive, send)
