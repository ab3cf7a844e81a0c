"""The dashboard of a real controller: real logs, real actions, the same permissions as those of calls."""

import json
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from html import unescape
from http import HTTPStatus
from pathlib import Path
from typing import Final

import httpx2
import pytest

from iris.client import RemoteError
from iris.cluster.controller import dashboard
from iris.cluster.types import Entrypoint, EnvironmentSpec
from tests.cli.commands import commands_of
from tests.cluster.certificates import Authority
from tests.cluster.running import RunningCluster, free_port, running, until

ALICE, BOB, ADMIN = "alices-long-token", "bobs-very-long-token", "the-administrators-token"
AUTH: Final = {
    "tokens": {"alice": {"value": ALICE}, "bob": {"value": BOB}, "root": {"value": ADMIN}},
    "admins": ["root"],
}
SCRIPT = "<script>document.title='owned'</script>"
SECRET = "a-secret-of-alices-job"
TALK: Final = f"""
for number in range(700):
    print("line", number, {SCRIPT!r} if number == 650 else "")
raise ValueError("<b>boom</b>")
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    yield from running(tmp_path_factory.mktemp("live"), auth=AUTH, dashboard=free_port())


Look = Callable[[str], httpx2.Client]
"""A browser, nearly, of whoever has a token."""


@pytest.fixture
def look(cluster: RunningCluster) -> Iterator[Look]:
    with ExitStack() as stack:

        def signed_in(token: str) -> httpx2.Client:
            url = f"http://127.0.0.1:{cluster.dashboard}"
            client = stack.enter_context(httpx2.Client(base_url=url, timeout=20))
            answer = client.post("/sign-in", data={"token": token})
            assert answer.status_code == HTTPStatus.SEE_OTHER
            return client

        yield signed_in


@pytest.fixture(scope="module")
def talker(cluster: RunningCluster) -> str:
    with cluster.client(ALICE, "alice") as alice:
        environment = EnvironmentSpec({"PASSWORD": SECRET})
        command = Entrypoint.from_command("python3", "-c", TALK)
        job = alice.submit(command, "talker", environment=environment)
        assert job.wait(60).state == "failed"
        return job.id


def seal_of(client: httpx2.Client, url: str) -> str:
    return client.get(url).text.partition('name="seal" value="')[2].partition('"')[0]


def post(client: httpx2.Client, url: str) -> httpx2.Response:
    return client.post(url, data={"seal": seal_of(client, url)})


def test_the_log_of_a_failed_task_is_read_from_its_end_and_searched(
    look: Look, talker: str
) -> None:
    client = look(BOB)
    job = unescape(client.get(f"/jobs{talker}").text)
    assert "exit status 1" in job
    (log,) = set(re.findall(rf'href="(/tasks{talker}:0\?attempt=0&end=1#log)"', job))
    end = client.get(log).text
    assert "&lt;b&gt;boom&lt;/b&gt;" in end
    assert "&lt;script&gt;document" in end
    assert SCRIPT not in end
    assert "line 0 " not in end
    first = client.get(f"/tasks{talker}:0?attempt=0&at=0").text
    assert "line 0 " in first
    found = client.get(f"/tasks{talker}:0?attempt=0&find=LINE 65").text
    assert found.count('class="line') == 11
    place = client.get(f"/api/v1/tasks{talker}:0.json?seek=traceback").json()["log"]["lines"][0]
    assert place["text"].startswith("Traceback")
    link = client.get(f"/tasks{talker}:0?attempt=0&at={place['at']}").text
    assert f'id="b{place["at"]}"' in link


def test_secrets_of_a_job_are_on_no_page(look: Look, talker: str) -> None:
    client = look(ALICE)
    for url in (
        f"/jobs{talker}",
        f"/api/v1/jobs{talker}.json",
        f"/tasks{talker}:0",
        "/controller",
        "/decisions",
    ):
        text = client.get(url).text
        assert all(word not in text for word in (SECRET, ALICE, BOB, ADMIN)), url
    assert "PASSWORD=***" in client.get(f"/jobs{talker}").text


def test_an_action_asks_first_and_needs_the_right_token(
    cluster: RunningCluster, look: Look
) -> None:
    with cluster.client(ALICE, "alice") as iris:
        job = iris.submit(Entrypoint.from_command("sleep", "600"), "sleeper")
        until(lambda: job.status().state == "running")
        alice, bob, root = (look(token) for token in (ALICE, BOB, ADMIN))
        stop = f"/stop/jobs{job.id}"
        assert "1 attempt of it will be stopped" in alice.get(stop).text
        worker = alice.get("/api/v1/workers.json").json()["items"][0]
        drain, slice_ = f"/drain/workers/{worker['id']}", f"/terminate/slices/{worker['slice']}"
        for url, stranger, owner, why_not in (
            (stop, bob, alice, f"{job.id} belongs to alice"),
            (drain, alice, root, "a token of a user is not good for DrainWorker"),
            (slice_, alice, root, "a token of a user is not good for"),
        ):
            page, link = "/" + url.split("/", 2)[2], f'href="{url}"'
            assert link in owner.get(page).text
            assert link not in stranger.get(page).text
            for refused in (
                stranger.get(url),
                stranger.post(url, data={"seal": seal_of(stranger, "/")}),
            ):
                assert refused.status_code == HTTPStatus.FORBIDDEN
                assert why_not in refused.text
        assert post(root, drain).headers["location"] == f"/workers/{worker['id']}"
        assert "It gets no new work." in alice.get(f"/workers/{worker['id']}").text
        assert post(root, f"/resume/workers/{worker['id']}").status_code == HTTPStatus.SEE_OTHER
        assert post(alice, stop).headers["location"] == f"/jobs{job.id}"
        assert job.wait(60).state == "killed"
        assert post(root, slice_).status_code == HTTPStatus.SEE_OTHER
        until(lambda: "an operator terminated it" in alice.get(f"/slices/{worker['slice']}").text)


def test_the_log_of_a_machine_is_on_its_slices_page_for_administrators(
    cluster: RunningCluster, look: Look
) -> None:
    alice, root = look(ALICE), look(ADMIN)
    until(lambda: bool(alice.get("/api/v1/workers.json").json()["items"]))
    worker = alice.get("/api/v1/workers.json").json()["items"][0]
    page = f"/slices/{worker['slice']}"
    assert 'href="?log=0#log"' in root.get(page).text
    assert 'href="?log=0#log"' not in alice.get(page).text
    assert f"registered as {worker['id']}" in root.get(f"{page}?log=0").text
    assert "is not good for ReadVmLog" in alice.get(f"{page}?log=0").text
    assert root.get(f"{page}?log=1").status_code == HTTPStatus.NOT_FOUND
    (log,) = cluster.root.rglob(f"{worker['slice']}/0/worker.log")
    log.unlink()
    until(lambda: "worker.log: no such file" in root.get(f"{page}?log=0").text)


def test_calls_are_counted_on_the_controllers_page(
    cluster: RunningCluster, talker: str, look: Look
) -> None:
    with cluster.client(ALICE, "alice") as alice, pytest.raises(RemoteError):
        alice.job(f"{talker}-of-nobody").status()
    client = look(BOB)
    rows = {row["method"]: row for row in client.get("/api/v1/controller.json").json()["calls"]}
    assert rows["GetJob"]["failed"] >= 1
    assert rows["SubmitJob"]["count"] >= 1
    assert rows["SubmitJob"]["p50_s"] > 0
    assert "SubmitJob" in client.get("/controller").text


def test_a_command_says_where_the_dashboard_is(
    cluster: RunningCluster, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run = commands_of(cluster.url, monkeypatch, capfd)
    monkeypatch.setenv("IRIS_TOKEN", BOB)
    monkeypatch.setenv("BROWSER", "true")
    url = f"http://127.0.0.1:{cluster.dashboard}"
    assert run("cluster", "dashboard", "--print") == (0, f"{url}\n", "")
    status, out, _ = run("cluster", "dashboard", "--json")
    assert (status, json.loads(out)["url"]) == (0, url)
    assert BOB not in out


def test_a_controller_whose_dashboard_port_is_taken_runs_on_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for found in running(tmp_path, dashboard=port):
            status, _, err = commands_of(found.url, monkeypatch, capfd)("cluster", "dashboard")
            assert status == 1
            assert f"no dashboard: cannot listen on 127.0.0.1:{port}: it is in use" in err
            with found.client() as client:
                assert (
                    client.submit(Entrypoint.from_command("true"), "x").wait(60).state
                    == "succeeded"
                )


def test_with_tls_pages_have_the_certificate_of_calls(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    pair = authority.sign("here")
    port = free_port()
    for _ in running(tmp_path, tls=pair, auth=AUTH, dashboard=port):
        trust = ssl.create_default_context(cafile=str(authority.cert))
        until(lambda: _listens(port))
        with httpx2.Client(
            base_url=f"https://localhost:{port}", verify=trust, timeout=20
        ) as client:
            answer = client.post("/sign-in", data={"token": ALICE})
            assert "secure" in answer.headers["set-cookie"].lower()
            assert client.get("/jobs").status_code == HTTPStatus.OK
        with httpx2.Client(timeout=20) as plain, pytest.raises(httpx2.HTTPError):
            plain.get(f"http://localhost:{port}/")


def test_a_controller_without_the_extra_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dashboard, "find_spec", lambda name: None if name == "uvicorn" else name)
    server = dashboard.DashboardServer("127.0.0.1", 0, None)
    assert server.port is None
    assert server.trouble == "uvicorn is not installed: pip install 'iris-orchestrator[server]'"


def test_what_was_before_a_restart_is_told_as_by_commands(
    cluster: RunningCluster, talker: str, look: Look, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    before = look(BOB).get("/api/v1/decisions.json?job=talker").json()
    cluster.kill()
    cluster.start()
    until(lambda: _listens(cluster.dashboard))
    client = look(BOB)
    assert client.get("/api/v1/decisions.json?job=talker").json() == before
    assert before["total"] > 1
    run = commands_of(cluster.url, monkeypatch, capfd)
    monkeypatch.setenv("IRIS_TOKEN", BOB)
    status, out, err = run("job", "events", talker, "--json")
    assert (status, err) == (0, "")
    told = json.loads(out)["items"]
    rows = re.findall(
        r"<tr><td>[^<]*<td class=\"name\">(.*)<td>(.*)<td class=\"why\">(.*)<td",
        client.get(f"/jobs{talker}").text,
    )
    shown = [tuple(unescape(cell) for cell in row) for row in rows]
    assert shown == [(it["subject"], it["text"], it["cause"] or "") for it in reversed(told)]


def test_a_controller_ends_in_order_while_somebody_looks(
    cluster: RunningCluster, look: Look
) -> None:
    client = look(ALICE)
    with client.stream("GET", "/events") as stream:
        assert next(iter(stream.iter_lines())) == "event: changed"
        assert cluster.stop() == 0
    cluster.start()  # For tests that another process had begun with, and left to this one.
    until(lambda: _listens(cluster.dashboard))


def _listens(port: int) -> bool:
    """Whether pages are served yet: they come a moment after the calls."""
    with socket.socket() as line:
        return line.connect_ex(("127.0.0.1", port)) == 0
