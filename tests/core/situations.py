"""Situations for properties: a cluster after some of what befalls clusters, drawn by Hypothesis."""

from collections.abc import Callable
from typing import Final

from hypothesis import strategies as st

from iris.core import events as ev
from iris.core.ids import TaskId
from iris.core.instant import MINUTE, SECOND, Millis
from iris.core.lifecycle import SliceState, WorkerState
from iris.core.retry import EndCause
from iris.core.spec import AutoscalerPolicy, Backfill, Band, GroupSpec, SchedulerPolicy
from tests.harness import Script, cluster, cpu_group, fleet, tpu_group

TPU: Final = "v5litepod-16"
_BANDS: Final = tuple(Band)


def _submit(script: Script, pick: int) -> None:
    name = f"job-{len(script.controller.state.jobs)}"
    band = _BANDS[pick % 3]
    timeout = Millis((1 + pick % 7) * MINUTE) if pick % 2 else None
    match pick // 3 % 4:
        case 0:
            script.submit(name, gang=True, replicas=2, tpu=TPU, cpu=pick % 8, band=band)
        case 1:
            script.submit(name, gang=True, replicas=2, cpu=1 + pick % 4, band=band)
        case _:
            cpu, retries = 1 + pick % 4, pick % 2
            job = script.submit(
                name, cpu=cpu, band=band, timeout=timeout, max_retries_failure=retries
            )
            script.running(job)


def _live(script: Script) -> list[TaskId]:
    state = script.controller.state
    return [task.id for task in state.tasks.values() if state.live_attempt(task) is not None]


def _end(script: Script, pick: int) -> None:
    live = _live(script)
    if live:
        causes = (EndCause.EXIT_ZERO, EndCause.EXIT_NONZERO, EndCause.LAUNCH)
        script.ends(live[pick % len(live)], causes[pick // 5 % 3])


def _come(script: Script, pick: int) -> None:
    coming = [s for g in script.controller.state.groups for s in script.coming(g)]
    if coming and pick % 4:
        script.ready(coming[pick % len(coming)])
    elif coming:
        script.refused(coming[0], ev.CreateFailure.STOCKOUT)


def _cordon(script: Script, pick: int) -> None:
    workers = [
        w for w in script.controller.state.workers.values() if w.state is not WorkerState.LOST
    ]
    if workers:
        worker = workers[pick % len(workers)]
        script.step(ev.WorkerDrainRequested(worker.id, resume=worker.cordoned))


def _silence(script: Script, pick: int) -> None:
    state = script.controller.state
    workers = [
        w
        for w in state.workers.values()
        if w.state is WorkerState.HEALTHY and state.slices[w.slice].state is SliceState.READY
    ]
    if workers:
        script.silent(workers[pick % len(workers)].id)


def _wait(script: Script, pick: int) -> None:
    script.advance((1 + pick % 9) * 20 * SECOND)


_ACTIONS: Final[tuple[Callable[[Script, int], None], ...]] = (
    _submit, _submit, _submit, _submit, _end, _end, _come, _come, _cordon, _silence, _wait
)  # fmt: skip

_POLICIES: Final = (
    SchedulerPolicy(),
    SchedulerPolicy(eviction=False),
    SchedulerPolicy(backfill=Backfill.NONE),
    SchedulerPolicy(backfill=Backfill.GREEDY),
)


def _groups(most: int) -> tuple[GroupSpec, ...]:
    return (
        tpu_group(hosts=2, min_slices=min(1, most), max_slices=most),
        cpu_group("one", cores=4, min_slices=1, max_slices=1 + most, zones=("us-a", "us-b")),
        cpu_group("two", cores=3, hosts=2, min_slices=1, max_slices=2),
    )


@st.composite
def situations(draw: st.DrawFn) -> Script:
    """A script after up to fourteen things have happened to it, jobs submitted more than others."""
    policy = draw(st.sampled_from(_POLICIES))
    scale = AutoscalerPolicy(create_burst=draw(st.integers(1, 6)), creates_per_minute=1)
    groups = _groups(draw(st.integers(0, 2)))
    script = cluster(*groups, scheduler=policy, autoscaler=scale).unwatched()
    for group in groups:
        if script.coming(group.name):
            script.ready(group.name)
    steps = st.tuples(st.sampled_from(_ACTIONS), st.integers(0, 999))
    for act, pick in draw(st.lists(steps, min_size=4, max_size=14)):
        act(script, pick)
        script.advance(1)
    return script


@st.composite
def crowds(draw: st.DrawFn) -> Script:
    """Two machines that are full, and jobs of several users, sizes and bands that wait for them."""
    machines = cpu_group(hosts=2, min_slices=1, max_slices=1)
    script = fleet(machines, scheduler=draw(st.sampled_from(_POLICIES))).unwatched()
    for name in ("fill-1", "fill-2", "fill-3"):
        script.submit(name, cpu=draw(st.integers(2, 4)), band=Band.PRODUCTION)
    jobs = st.tuples(
        st.integers(1, 4), st.sampled_from(_BANDS), st.sampled_from("ab"), st.booleans()
    )
    for number, (cpu, band, user, gang) in enumerate(draw(st.lists(jobs, min_size=2, max_size=6))):
        replicas = 2 if gang else 1
        name = f"wait-{number}"
        script.submit(name, user=user, cpu=cpu, band=band, gang=gang, replicas=replicas)
    return script
