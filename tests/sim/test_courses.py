"""How long recorded tasks are, and how they failed."""

import pytest

from iris.core.instant import HOUR, MINUTE, SECOND, Millis
from iris.core.retry import EndCause
from sim.courses import Courses
from sim.recorded import measures_of
from sim.recorded_model import OwnEnd
from tests.harness import Script, cluster, cpu_group, tpu_group
from tests.sim.journals import chronicle_of


def courses_of(script: Script) -> Courses:
    return Courses(chronicle_of(script.journal))


def test_a_length_is_that_of_the_run_that_succeeded_and_failures_come_before_it() -> None:
    script = cluster(cpu_group(min_slices=1))
    script.ready("cpu")
    job = script.submit(max_retries_failure=2)
    for span, cause in ((MINUTE, EndCause.EXIT_NONZERO), (HOUR, EndCause.EXIT_ZERO)):
        script.advance(3 * SECOND).running(job).advance(span).finish(job, cause).advance(MINUTE)
    (course,) = courses_of(script).of(script.job(job))
    assert course.length == HOUR
    assert course.failures == (OwnEnd(MINUTE, EndCause.EXIT_NONZERO),)
    assert course.launches[0] == 3 * SECOND


@pytest.mark.parametrize(("every", "length"), [(None, HOUR), (10 * MINUTE, 80 * MINUTE)])
def test_an_interruption_keeps_what_the_job_says_that_it_saves(
    every: Millis | None, length: int
) -> None:
    script = cluster(tpu_group(min_slices=2, preemptible=True))
    first, _ = script.ready("tpu")
    job = script.submit(tpu="v5litepod-16", replicas=2, gang=True, checkpoint_every=every)
    script.running(job).advance(25 * MINUTE).preempted(first).advance(MINUTE)
    script.running(job).advance(HOUR).finish(job)
    chronicle = chronicle_of(script.journal)
    assert [course.length for course in Courses(chronicle).of(script.job(job))] == [length] * 2
    kept = [row.useful // row.chips_milli for row in measures_of(chronicle, "told").attempts]
    assert kept == [length - HOUR] * 2 + [HOUR] * 2


def test_an_unknown_length_is_that_of_similar_tasks_and_no_less_than_was_seen() -> None:
    script = cluster(cpu_group(min_slices=2))
    script.ready("cpu")
    for number, span in enumerate((10 * MINUTE, 20 * MINUTE, HOUR)):
        job = script.submit(f"step-{number}")
        script.running(job).advance(span).finish(job)
    other = script.submit("other", cpu=2)
    script.running(other).advance(5 * MINUTE).finish(other)
    waits = script.submit("step-7", cpu=1_000)
    declared = script.submit("lonely", user="bob", cpu=3, timeout=Millis(2 * HOUR))
    script.running(declared)
    alike = script.submit("step-8")
    script.running(alike).advance(90 * MINUTE).stop(alike).stopped(alike)
    courses = courses_of(script)
    lengths = {
        job: courses.of(script.job(job))[0].length for job in (waits, alike, declared, other)
    }
    assert lengths[waits] == 20 * MINUTE
    assert lengths[alike] == 90 * MINUTE + 1
    assert lengths[declared] == 2 * HOUR
    assert lengths[other] == 5 * MINUTE
    assert courses.guessed == 3
