"""`iris job why`, and its likes: one explanation, told alike to whoever asks, and true of what decides."""

import asyncio
import json
from collections.abc import Callable, Iterator
from html import unescape

import pytest
from hypothesis import HealthCheck, assume, given, settings
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from iris.client import IrisClient
from iris.cluster.controller.auth import Caller
from iris.cluster.controller.metrics import Metrics
from iris.core.explain import briefly, why_waiting
from iris.core.fit import refusal
from iris.core.ids import UserName
from iris.core.lifecycle import JobState
from iris.core.records import Job
from iris.core.scaling import scalings
from iris.core.spec import Band
from iris.core.state import ClusterState
from iris.core.telling import headline, sentences
from iris.core.waiting import GANG
from iris.rpc import iris_pb2 as pb
from iris.rpc.methods import EXPLAIN_GROUP, LIST_EVENTS, Kind
from sim.explanations import still_waiting
from sim.report_waiting import explanations_section
from tests.cli.commands import Run, commands_of
from tests.cluster.situated import Situated, situated
from tests.core.situations import situations
from tests.core.test_explain_always import fits_in, pending
from tests.dashboard.stages import Still, browser_of
from tests.harness import Script, cpu_group, fleet

SITUATIONS = 30
FEW = 8


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Situated]:
    with situated(tmp_path_factory.mktemp("situated")) as found:
        yield found


Shown = tuple[TestClient, Still]
"""A dashboard, and what it shows."""


@pytest.fixture(scope="module")
def shown() -> Shown:
    subject = Still(ClusterState())
    return browser_of(subject), subject


@pytest.fixture
def iris(
    asked: Situated, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Run:
    return commands_of(asked.url, monkeypatch, capfd)


def in_situations(count: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Lives a story in so many situations in which something waits."""
    shared = [HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much]
    bounded = settings(max_examples=count, deadline=None, suppress_health_check=shared)
    return lambda story: bounded(given(script=situations())(story))


@in_situations(SITUATIONS)
def test_everybody_is_told_the_same_and_it_is_what_the_evaluator_says(
    asked: Situated, iris: Run, shown: Shown, script: Script
) -> None:
    waiting = pending(script.controller.state)
    assume(waiting)
    asked.put(script)
    job = waiting[-1]
    status, out, _ = iris("job", "why", job.id, "--json")
    assert status == 0
    told = json.loads(out)
    reason = why_waiting(script.controller.state, job.id, script.now)
    lines = list(sentences(reason))
    assert told["why"] == lines
    assert iris("job", "why", job.id)[1].splitlines() == lines
    assert IrisClient.remote(asked.url).job(job.id).why() == lines
    assert (told["verdict"], told["headline"]) == (reason.verdict.value, headline(reason))
    told_by_pages(shown, script, job, lines)
    told_by_numbers(asked, script, told["verdict"])
    if job.state is JobState.PENDING:
        told_by_reports(script, job, lines)
    confirmed_by_the_predicates(script, job, told)


def told_by_pages(shown: Shown, script: Script, job: Job, lines: list[str]) -> None:
    """The dashboard's page of a job, and what it tells programs."""
    client, subject = shown
    subject.state, subject.turns = script.controller.state, subject.turns + 1
    page = unescape(client.get(f"/jobs{job.id}").text)
    assert [line for line in lines if line not in page] == []
    assert client.get(f"/api/v1/jobs{job.id}.json").json()["explanation"]["why"] == lines


def told_by_reports(script: Script, job: Job, lines: list[str]) -> None:
    """The report of a simulation that ends here."""
    rows = [
        {"job": name, "why": list(why)}
        for name, why in still_waiting(script.controller.state, [job.id])
    ]
    report = unescape(explanations_section({"explanations": rows}))
    assert [line for line in lines if line not in report] == []


def told_by_numbers(asked: Situated, script: Script, verdict: str) -> None:
    """What is counted for Prometheus: every unit that waits, once, one of them for this."""
    text = asyncio.run(Metrics(asked.loop).text()).decode()
    (family,) = (it for it in text_string_to_metric_families(text) if it.name == "iris_queue_units")
    counts = {sample.labels["verdict"]: sample.value for sample in family.samples}
    state = script.controller.state
    in_queues = counts.keys() - {"making_room", "paused"}
    units = [unit for job in state.jobs.values() for unit in state.units_of(job)]
    assert sum(counts[it] for it in in_queues) == len(units)
    assert counts[verdict]


def confirmed_by_the_predicates(script: Script, job: Job, told: dict[str, object]) -> None:
    """Each pool's word is held against the functions that place work; the group's is one of them."""
    state = script.controller.state
    shape = state.shape(job, GANG if job.spec.coscheduled else state.units_of(job)[0].member)
    pools, groups = told["pools"], told["groups"]
    assert isinstance(pools, list)
    assert isinstance(groups, list)
    for said in pools:
        pool = state.room.pools[said["group"], said["zone"]]
        assert (said["first_blocker"] is None) is fits_in(state, shape, pool)
        assert said["matches"] is (refusal(shape, pool.group, pool.zone) is None)
    for group in groups:
        own = [said for said in pools if said["group"] == group["name"]]
        assert group["matches"] is any(said["matches"] for said in own)
        assert group["workers_checked"] == sum(said["workers_checked"] for said in own)
        blockers = [said["first_blocker"] for said in own]
        assert group["first_blocker"] in blockers
        assert group["first_blocker"] is None or None not in blockers


@in_situations(FEW)
def test_lists_and_groups_are_told_by_the_same_words(
    asked: Situated, iris: Run, script: Script
) -> None:
    state = script.controller.state
    assume(pending(state))
    asked.put(script)
    told = json.loads(iris("job", "list", "--json")[1])["items"]
    rows = {job["id"]: job["why"] for job in told if job["state"] == "pending"}
    assert rows == {
        name: headline(brief)
        for name, brief in briefly(state, list(state.jobs), script.now).items()
        if state.jobs[name].state.value == "pending"
    }
    for scaling in scalings(state):
        out = iris("cluster", "autoscaler", "explain", scaling.group)[1]
        assert out.splitlines()[: len(sentences(scaling))] == list(sentences(scaling))
    said = json.loads(iris("cluster", "autoscaler", "explain", "tpu", "--json")[1])
    assert said["headline"] == headline(next(s for s in scalings(state) if s.group == "tpu"))


def test_a_group_that_is_not_there_is_told_with_those_that_are(iris: Run) -> None:
    status, _, err = iris("cluster", "autoscaler", "explain", "nope")
    assert status == 3
    assert "group nope (there are: " in err


def test_a_task_is_told_why_its_own_tree_waits_and_of_nobody_else(asked: Situated) -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1))
    script.submit("theirs", cpu=4, user="bob")
    script.submit("also-theirs", cpu=3, user="bob", band=Band.PRODUCTION)
    mine = script.submit("mine", cpu=3)
    asked.put(script)
    request = pb.ExplainJobRequest(job=mine)

    def told(caller: Caller) -> pb.Explanation:
        return asyncio.run(asked.handlers.explain_job(request, caller)).explanation

    everything = told(Caller(Kind.USER, UserName("alice")))
    assert "/bob/" in str(everything)
    own = told(Caller(Kind.TASK, UserName("alice"), tree=mine))
    assert "/bob/" not in str(own)
    assert (own.verdict, own.headline, own.queue.ahead) == (
        everything.verdict, everything.headline, everything.queue.ahead,
    )  # fmt: skip
    assert not {Kind.TASK, Kind.WORKER} & (EXPLAIN_GROUP.kinds | LIST_EVENTS.kinds)
