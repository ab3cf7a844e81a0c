"""What is remembered of a search for victims within a turn: always what a new search would find."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from iris.core import events as ev
from iris.core import eviction
from iris.core.ids import JobId, RequestId, UserName
from iris.core.offers import Offer
from iris.core.resources import Resources
from iris.core.spec import Backfill, Band, JobSpec, SchedulerPolicy
from iris.core.state import ClusterState
from tests.harness import ALICE, GIB, cpu_group, fleet

BATCH, INTERACTIVE, PRODUCTION = Band.BATCH, Band.INTERACTIVE, Band.PRODUCTION


def submission(number: int, band: int, cpu: int, replicas: int, gang: bool) -> ev.JobSubmitted:
    spec = JobSpec(
        UserName(ALICE),
        f"job-{number}",
        replicas=2 if gang else replicas,
        coscheduled=gang,
        resources=Resources(cpu=cpu * 1_000, memory=GIB),
        band=Band(band),
    )
    return ev.JobSubmitted(RequestId(spec.name), spec)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(1, 4), st.integers(1, 3), st.booleans()),
        max_size=14,
    ),
    st.sampled_from(Backfill),
)
def test_what_is_remembered_of_a_search_is_what_a_new_one_finds(
    wishes: list[tuple[int, int, int, bool]], backfill: Backfill
) -> None:
    script = fleet(
        cpu_group("one", min_slices=3, max_slices=3),
        cpu_group("two", hosts=2, min_slices=2, max_slices=2),
        cpu_group("three", min_slices=2, max_slices=2),
        scheduler=SchedulerPolicy(backfill=backfill),
    ).unwatched()
    found: Counter[str] = Counter()

    def checked(search_for: Callable[..., Offer | None]) -> Callable[..., Offer | None]:
        def twice(state: ClusterState, search: Any) -> Offer | None:
            offer = search_for(state, search)
            state.news.offers.clear()
            state.news.vacated.clear()
            again = search_for(state, search)
            assert (offer is None) is (again is None)
            if offer is not None and again is not None:
                found[search_for.__name__] += 1
                assert (offer.cost, offer.workers) == (again.cost, again.workers)
                assert [v.id for v in offer.victims] == [v.id for v in again.victims]
            return offer

        return twice

    script.submit("fill", cpu=1, replicas=20, band=BATCH)
    script.submit("more", cpu=1, replicas=8, band=INTERACTIVE)
    script.stop(script.submit("going", cpu=3, replicas=2, band=PRODUCTION))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_cheapest", "_vacated"):
            patch.setattr(eviction, name, checked(getattr(eviction, name)))
        script.step(*(submission(number, *wish) for number, wish in enumerate(wishes)))
        for job in ("/alice/more", "/alice/fill"):
            script.finish(JobId(job))
    for name, count in found.items():
        event(f"{name} found a place {min(count, 3)} or more times")
