"""Requests that come twice: the answer of the first, or a refusal if they ask for something else."""

from dataclasses import replace

import pytest

from iris.core import decisions as de
from iris.core import effects as ef
from iris.core import events as ev
from iris.core.ids import JobId, RequestId, UserName
from iris.core.spec import MAX_LEVELS, Constraint, ConstraintOp, JobSpec
from tests.harness import ALICE, Script, cpu_group, fleet


def one_host() -> Script:
    return fleet(cpu_group(min_slices=1, max_slices=1))


def test_i_74_the_same_request_twice_is_one_job() -> None:
    script = one_host()
    spec = JobSpec(ALICE, "once")
    first = [script.submit_spec(spec, RequestId("r")) and script.the(ef.Reply) for _ in range(2)]
    assert first[0] == first[1] == ef.Reply(RequestId("r"), ef.Accepted(JobId("/alice/once")))
    assert list(script.controller.state.jobs) == ["/alice/once"]


def test_i_111_a_child_has_its_parents_variables_and_constraints_and_says_which() -> None:
    script = one_host()
    zone = Constraint("zone", ConstraintOp.IN, ("us-a",))
    region = Constraint("region", ConstraintOp.IN, ("us",), soft=True)
    parent = script.submit_spec(
        JobSpec(ALICE, "parent", constraints=(zone, region), environment=(("A", "1"), ("B", "1")))
    )
    child = script.submit_spec(
        JobSpec(ALICE, "child", parent, constraints=(zone,), environment=(("B", "2"), ("C", "2")))
    )
    spec = script.job(child).spec
    assert spec.environment == (("A", "1"), ("B", "2"), ("C", "2"))
    assert spec.constraints == (zone, replace(region, inherited=True))


def test_a_job_that_submits_itself_does_not_go_on_for_ever() -> None:
    script = one_host().unwatched()
    job = script.submit("a")
    for _ in range(MAX_LEVELS - 1):
        job = script.submit("a", parent=job, cpu=0)
        assert job in script.controller.state.jobs
    script.submit("a", parent=job)
    answer = script.the(ef.Reply).answer
    assert answer == ef.Rejected(f"job a below {job}: a tree has at most {MAX_LEVELS} levels")
    script.stop(JobId("/alice/a"))
    assert all(record.ending for record in script.controller.state.jobs.values())


def test_the_same_request_twice_in_one_turn_is_one_job() -> None:
    script = one_host()
    submission = ev.JobSubmitted(RequestId("r"), JobSpec(ALICE, "once"))
    script.step(submission, submission)
    assert len(script.decided(de.Admission)) == 1
    assert len(script.asked(ef.Reply)) == 2


@pytest.mark.parametrize(
    ("second", "field"),
    [
        (JobSpec(ALICE, "other"), "name"),
        (JobSpec(UserName("bob"), "once"), "user"),
        (JobSpec(ALICE, "once", replicas=2), "replicas"),
    ],
)
def test_a_request_id_is_not_used_for_another_job(second: JobSpec, field: str) -> None:
    script = one_host()
    script.submit_spec(JobSpec(ALICE, "once", payload="one"), RequestId("r"))
    script.submit_spec(JobSpec(ALICE, "once", payload="two"), RequestId("r"))
    assert script.the(ef.Reply).answer == ef.Accepted(JobId("/alice/once"))
    script.submit_spec(second, RequestId("r"))
    answer = script.the(ef.Reply).answer
    assert isinstance(answer, ef.Rejected)
    assert answer.refusal is ef.Refusal.CONFLICT
    assert answer.why == (
        f"this request id has made /alice/once already, and there {field} is another;"
        " use a request id for one job only"
    )
    assert list(script.controller.state.jobs) == ["/alice/once"]
