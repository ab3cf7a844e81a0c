"""The controller's numbers: what Prometheus' own parser makes of them, true to the state, and who may read them."""

import asyncio
import json
import logging
import re
import sys
from collections.abc import Awaitable, Callable, Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from starlette.requests import Request
from starlette.responses import Response

from iris.cli.main import main as command
from iris.cluster.controller import pulse
from iris.cluster.controller.auth import Doorkeeper
from iris.cluster.controller.dashboard import PeopleOnly
from iris.cluster.controller.main import main as controller
from iris.cluster.controller.metrics import CONTENT_TYPE
from iris.cluster.controller.probes import Probes
from iris.cluster.controller.pulse import Pulse
from iris.cluster.log_lines import VARIABLE, JsonLines
from iris.cluster.worker.main import main as worker
from iris.config import Auth, Secret, SecretSource
from iris.core import events as ev
from iris.core.explain import why_waiting
from iris.core.ids import UserName, WorkerId
from iris.core.instant import HOUR, MINUTE
from iris.core.retry import EndCause
from iris.exit_status import ExitStatus
from tests.cli.commands import commands_of
from tests.cluster.running import until
from tests.cluster.situated import Situated, situated
from tests.harness import Script, cluster, cpu_group, tpu_group
from tests.tidy.tree import ROOT

GRAFANA = ROOT / "docs" / "grafana.json"
KEY = b"a key of more than thirty-two bytes"
TOKEN = "alices-long-enough-token"
OPEN = Auth((), (), None)
GUARDED = Auth(((UserName("alice"), Secret(SecretSource.VALUE, TOKEN)),), (), None)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Situated]:
    """A controller that has had work, some of which waits."""
    with situated(tmp_path_factory.mktemp("situated")) as found:
        script = story()
        found.put(script)
        for turn in script.journal:
            found.loop.append(turn)
            found.loop.counts.turns.add(0.004)
        yield found


def story() -> Script:
    groups = cpu_group(max_slices=1, min_slices=1, price_per_hour=3_600_000), tpu_group()
    script = cluster(*groups)
    script.ready("cpu")
    done = script.submit("done", cpu=4)
    script.running(done).advance(MINUTE).finish(done)
    failed = script.submit("failed", cpu=4)
    script.running(failed).advance(MINUTE).ends(script.task(failed).id, EndCause.EXIT_NONZERO)
    script.running(script.submit("runs", cpu=4))
    for number in range(3):
        script.submit(f"waits-{number}", cpu=4)
    script.submit("gang", gang=True, replicas=2, tpu="v5litepod-16")
    return script


def probe(found: Situated, auth: Auth = OPEN, trouble: str = "") -> Probes:
    door = PeopleOnly(Doorkeeper(auth, KEY), KEY)
    return Probes(found.loop, door, Pulse(found.loop, lambda: trouble))


def ask(
    handler: Callable[[Request], Awaitable[Response]], token: str = "", host: str = "localhost"
) -> Response:
    headers = [(b"host", host.encode())]
    headers += [(b"authorization", f"Bearer {token}".encode())] if token else []
    return asyncio.run(answered(handler(Request({"type": "http", "headers": headers}))))


async def answered(response: Awaitable[Response]) -> Response:
    return await response


def families(found: Situated) -> dict[str, Metric]:
    response = ask(probe(found).metrics)
    assert (response.status_code, response.headers["content-type"]) == (200, CONTENT_TYPE)
    text = bytes(response.body).decode()
    told = list(text_string_to_metric_families(text))
    names = [family.name for family in told]
    assert len(names) == len(set(names))
    return {family.name: family for family in told}


def values(family: Metric) -> dict[tuple[str, ...], float]:
    return {tuple(s.labels[k] for k in sorted(s.labels)): s.value for s in family.samples}


def samples(asked: Situated) -> set[str]:
    """Name of each number, and of the call that it tells of, if any."""
    told = [sample for family in families(asked).values() for sample in family.samples]
    return {" ".join([s.name, *filter(None, [s.labels.get("method")])]) for s in told}


# ---- the format --------------------------------------------------------------------------------


def test_prometheus_own_parser_reads_all_of_it_and_the_rules_of_names_hold(asked: Situated) -> None:
    told = families(asked)
    seen: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
    for name, family in told.items():
        assert re.fullmatch(r"iris_[a-z_]+", name)
        assert family.documentation
        assert family.type in ("counter", "gauge", "histogram")
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in seen
            seen.add(key)
            assert all(re.fullmatch(r"[a-z]+", label) for label in sample.labels)
            assert (family.type == "counter") is sample.name.endswith("_total")
    assert not any(name.endswith(("_ms", "_millis", "_minutes")) for name in told)


def test_the_pieces_of_a_histogram_add_up(asked: Situated) -> None:
    for family in families(asked).values():
        if family.type != "histogram":
            continue
        rows: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
        counts = {}
        for sample in family.samples:
            labels = tuple(sorted((k, v) for k, v in sample.labels.items() if k != "le"))
            if sample.name.endswith("_bucket"):
                rows.setdefault(labels, []).append((float(sample.labels["le"]), sample.value))
            elif sample.name.endswith("_count"):
                counts[labels] = sample.value
        for labels, buckets in rows.items():
            assert buckets == sorted(buckets)
            assert [count for _, count in buckets] == sorted(count for _, count in buckets)
            assert buckets[-1] == (float("inf"), counts[labels])


# ---- the numbers -------------------------------------------------------------------------------


def test_the_numbers_are_those_of_the_state(asked: Situated) -> None:
    told = families(asked)
    state = asked.loop.controller.state
    waiting = {name: count for (name,), count in values(told["iris_queue_units"]).items() if count}
    assert waiting == {"group_at_max": 3, "waiting_for_slices": 1}
    assert "not_waiting" not in {name for (name,) in values(told["iris_queue_units"])}
    for name in ("/alice/waits-0", "/alice/gang"):
        job = next(job for job in state.jobs if job == name)
        assert why_waiting(state, job, state.now).verdict.value in waiting
    jobs = values(told["iris_jobs"])
    assert (jobs["pending",], jobs["running",], jobs["succeeded",], jobs["failed",]) == (4, 1, 1, 1)
    assert values(told["iris_attempts_unfinished"]) == {(): 1}
    slices = values(told["iris_slices"])
    assert (slices["cpu", "ready"], slices["tpu", "requested"], slices["tpu", "ready"]) == (1, 1, 0)
    assert values(told["iris_slices_limit"])["cpu", "max"] == 1
    assert values(told["iris_scaling_unmet_units"]) == {("cpu",): 3, ("tpu",): 0}
    assert values(told["iris_scaling_rule"]) == {("cpu", "at_max"): 1, ("tpu", "served"): 1}
    assert values(told["iris_chips"]) == {("busy",): 4, ("idle",): 0, ("coming",): 8}
    assert values(told["iris_workers"]) == {("healthy",): 1}
    work = values(told["iris_work_chip_seconds"])
    assert work == {("kept",): 4 * 60, ("lost",): 4 * 60}
    hours = (state.now - 0) / HOUR
    assert values(told["iris_cost_dollars"])["cpu",] == pytest.approx(3.6 * hours)
    assert values(told["iris_cost_dollars_per_hour"])["cpu",] == pytest.approx(3.6)


def test_what_was_counted_is_told_by_rule_and_by_call(
    asked: Situated, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    iris = commands_of(asked.url, monkeypatch, capfd)
    assert iris("job", "why", "waits-0")[0] == 0
    assert iris("job", "why", "nope")[0] == ExitStatus.NOT_FOUND
    # A call is counted when it is over, so that it is a little later than its answer.
    both = {"iris_rpc_requests_total ExplainJob", "iris_rpc_requests_total GetJob"}
    until(lambda: both <= samples(asked))
    told = families(asked)
    decisions = values(told["iris_decisions"])
    assert (decisions["Admission",], decisions["Placement",]) == (7, 3)
    assert values(told["iris_facts"])["JobSubmitted",] == 7
    calls = values(told["iris_rpc_requests"])
    assert (calls["OK", "ExplainJob"], calls["NOT_FOUND", "GetJob"]) == (1, 1)
    spans = told["iris_rpc_seconds"].samples
    counted = {s.labels["method"]: s.value for s in spans if s.name.endswith("_count")}
    assert counted == {"ExplainJob": 1}  # A wait for a job's end is none that was too long.
    waits = told["iris_queue_wait_seconds"].samples
    (interactive,) = [
        s.value for s in waits if s.name.endswith("_count") and s.labels["band"] == "interactive"
    ]
    assert interactive == 3
    (turns,) = [s.value for s in told["iris_turn_seconds"].samples if s.name.endswith("_count")]
    assert turns == asked.journal.turns
    assert values(told["iris_journal_turns"]) == {(): turns}
    sizes = values(told["iris_journal_bytes"])
    assert sizes["journal",] + sizes["log",] > 0


def test_a_retry_is_no_second_wait(tmp_path: Path) -> None:
    with situated(tmp_path) as found:
        script = cluster(cpu_group(min_slices=1))
        script.ready("cpu")
        job = script.submit("twice", max_retries_failure=1, replicas=2)
        script.ends(script.task(job).id, EndCause.EXIT_NONZERO).advance(HOUR)
        for turn in script.journal:
            found.loop.counts.turned(turn, script.controller.state)
        counts = [sum(spread.counts) for spread in found.loop.counts.waits.values()]
        assert counts == [
            0,
            1,
            0,
        ]  # At the end of the story its first task is at its second attempt.


# ---- who may read, and whether it lives --------------------------------------------------------


def test_off_its_own_machine_numbers_are_told_for_a_token_only(asked: Situated) -> None:
    guarded = probe(asked, GUARDED)
    refused = ask(guarded.metrics)
    assert refused.status_code == HTTPStatus.UNAUTHORIZED
    assert refused.headers["www-authenticate"] == "Bearer"
    assert ask(guarded.metrics, "wrong").status_code == HTTPStatus.UNAUTHORIZED
    worker = Doorkeeper(GUARDED, KEY).worker_token(WorkerId("iris-cpu-1-w0"))
    assert ask(guarded.metrics, worker).status_code == HTTPStatus.FORBIDDEN
    assert ask(guarded.metrics, TOKEN).status_code == HTTPStatus.OK
    asked.loop.look()
    for open_to_all in (guarded.health, guarded.ready):
        assert ask(open_to_all).status_code == HTTPStatus.OK


def test_without_tokens_numbers_are_told_under_this_machines_own_names_only(
    asked: Situated,
) -> None:
    answer = ask(probe(asked).metrics, host="evil.example")
    assert answer.status_code == HTTPStatus.MISDIRECTED_REQUEST
    assert b"iris_" not in answer.body
    assert ask(probe(asked).metrics, host="127.0.0.1:10080").status_code == HTTPStatus.OK
    guarded = ask(probe(asked, GUARDED).metrics, TOKEN, host="controller.example")
    assert guarded.status_code == HTTPStatus.OK


def test_a_loop_that_turns_is_ready_and_one_that_stands_still_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse, "READY_WITHIN_S", 0.2)

    async def live() -> None:
        with situated(tmp_path) as found:
            asking = probe(found)
            turning = asyncio.create_task(found.loop.run(lambda _effect: None))
            changed = found.loop.watch()
            found.loop.deliver(ev.ControllerRestarted())
            await changed.wait()
            ready = await asking.ready(Request({"type": "http"}))
            assert (ready.status_code, ready.body) == (HTTPStatus.OK, b"ok\n")
            turning.cancel()  # As if a turn never came back.
            await asyncio.wait([turning])
            await asyncio.to_thread(until, lambda: found.loop.age_s() > pulse.READY_WITHIN_S)
            ready = await asking.ready(Request({"type": "http"}))
            assert ready.status_code == HTTPStatus.SERVICE_UNAVAILABLE
            assert bytes(ready.body).startswith(b"not ready: no look for work since 0.")
            assert (await asking.health(Request({"type": "http"}))).status_code == HTTPStatus.OK

    asyncio.run(live())


def test_a_controller_that_is_about_to_end_says_so(asked: Situated) -> None:
    asked.loop.look()
    ready = ask(probe(asked, trouble="it is about to end").ready)
    assert (ready.status_code, bytes(ready.body)) == (
        HTTPStatus.SERVICE_UNAVAILABLE, b"not ready: it is about to end\n",
    )  # fmt: skip


# ---- Grafana, and logs -------------------------------------------------------------------------


def test_every_query_of_the_grafana_dashboard_names_what_is_exported(asked: Situated) -> None:
    board = json.loads(GRAFANA.read_text(encoding="utf-8"))
    # A call is counted when it is over, so that the first is a little later than its answer.
    until(lambda: any(name.startswith("iris_rpc_requests_total") for name in samples(asked)))
    told = families(asked)
    exported = {sample.name for family in told.values() for sample in family.samples} | set(told)
    exported |= {f"{name}_bucket" for name, family in told.items() if family.type == "histogram"}
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids)) >= 12
    used = set()
    for panel in board["panels"]:
        assert panel["title"]
        for target in panel["targets"]:
            names = set(re.findall(r"\biris_[a-z_]+", target["expr"]))
            assert names, target
            assert names <= exported, names - exported
            used |= names
    labels = re.findall(r"by \(([a-z, ]+)\)", GRAFANA.read_text(encoding="utf-8"))
    known = {label for f in told.values() for s in f.samples for label in s.labels} | {"instance"}
    assert {word.strip() for group in labels for word in group.split(",")} <= known | {"job", "le"}


def test_the_grafana_dashboard_can_be_imported_as_it_is() -> None:
    text = GRAFANA.read_text(encoding="utf-8")
    board = json.loads(text)
    assert board["schemaVersion"] >= 33  # Since then a data source is named by type and uid.
    assert board.get("id") is None  # Else it would take the place of another.
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    used = set(re.findall(r"\$\{?([A-Za-z_]+)", text))
    assert {name for name in used if not name.startswith("__")} == set(variables)
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    assert variables["instance"]["datasource"] == chosen
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        assert panel["datasource"] == chosen
        assert [target["datasource"] for target in panel["targets"]] == [chosen] * len(
            panel["targets"]
        )
        letters = [target["refId"] for target in panel["targets"]]
        assert len(letters) == len(set(letters)) > 0
        at = panel["gridPos"]
        assert 0 <= at["x"] < at["x"] + at["w"] <= 24
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert cells, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells


def test_by_a_variable_each_line_of_the_log_is_an_object() -> None:
    formatter = JsonLines()
    record = logging.makeLogRecord(
        {"name": "iris.x", "levelname": "ERROR", "msg": "a %s", "args": ("b\nc",), "created": 1.5}
    )
    assert json.loads(formatter.format(record)) == {
        "at": "1970-01-01T00:00:01.500000Z",
        "level": "error",
        "logger": "iris.x",
        "message": "a b\nc",
    }
    try:
        raise KeyError("lost")
    except KeyError:
        record.exc_info = sys.exc_info()
    line = formatter.format(record)
    assert "\n" not in line
    assert "KeyError: 'lost'" in json.loads(line)["error"]


@pytest.mark.parametrize(
    ("main", "words"),
    [
        (controller, ["serve", "--config=none"]),
        (command, ["cluster", "--config=none", "controller", "run-local"]),
        (worker, ["--controller=x", "--root=y", "--slice=z", "--host=0", "--offers={}"]),
    ],
)
def test_another_format_is_refused(
    main: Callable[[list[str]], int],
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(VARIABLE, "xml")
    assert main(words) == ExitStatus.BAD_INPUT
    assert f"error: {VARIABLE}: 'xml' is neither json nor text\n" in capfd.readouterr().err
