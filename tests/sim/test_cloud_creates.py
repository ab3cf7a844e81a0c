"""F-01, F-02, F-03: creates that are answered wrongly, late or not at all, and creates refused."""

from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from iris.core import effects as ef
from iris.core import events as ev
from iris.core.events import CreateFailure
from iris.core.ids import SliceId
from iris.core.instant import MINUTE
from iris.core.lifecycle import JobState
from tests.sim.stories import story
from tests.sim.watch import Watch

TPU: Final = "tpu"


def accepted(watch: Watch) -> dict[SliceId, int]:
    """When each slice was first called accepted."""
    return dict(watch.first(ev.SliceAccepted, lambda fact: fact.slice))


def registered(watch: Watch) -> dict[SliceId, int]:
    """When the first host of each slice registered."""
    return dict(watch.first(ev.WorkerRegistered, lambda fact: fact.slice))


def refused(watch: Watch) -> dict[SliceId, CreateFailure]:
    """Which slices were refused, and why."""
    return {fact.slice: fact.reason for _, fact in watch.facts(ev.SliceCreateFailed)}


def created(watch: Watch) -> list[SliceId]:
    """The slices that the cloud really made."""
    return [SliceId(r.slice) for r in watch.measures.slices.values() if r.created is not None]


def mute(watch: Watch) -> list[SliceId]:
    """The slices that the cloud made and never called accepted."""
    told = accepted(watch)
    return [name for name in created(watch) if name not in told]


def test_f01_a_lost_answer_is_asked_for_again_under_the_same_name(tmp_path: Path) -> None:
    watch = story(tmp_path, {"boot": "9m", "create_answers": {"lost": 0.5}})
    again = [name for name in set(watch.creates()) if watch.creates().count(name) > 1]
    assert again
    assert len(watch.measures.slices) == len(set(watch.creates()))
    watch.assert_all_is_well()


def test_f01_an_answer_that_comes_twice_is_one_answer(tmp_path: Path) -> None:
    watch = story(tmp_path, {"create_answers": {"twice": 1.0}})
    answers = [fact.slice for _, fact in watch.facts(ev.SliceAccepted)]
    before_calm = [name for name in created(watch) if answers.count(name) == 2]
    assert len(before_calm) == 12
    watch.assert_all_is_well()


def test_f01_an_answer_that_comes_late_makes_no_second_machine(tmp_path: Path) -> None:
    late = {"late": {"probability": 1.0, "delay": "5m"}}
    watch = story(tmp_path, {"boot": "20m", "create_answers": late})
    asked = [at for at, request in watch.asked(ef.CreateSlice)]
    assert len(asked) > len(set(watch.creates()))
    assert len(created(watch)) == len(set(watch.creates()))
    watch.assert_all_is_well()


def test_f01_a_machine_that_lives_though_its_create_failed_is_deleted(tmp_path: Path) -> None:
    faults = {"create_failures": {"internal": 0.5}, "create_answers": {"failed_but_lives": 1.0}}
    watch = story(tmp_path, faults)
    alive = [name for name in refused(watch) if name in created(watch)]
    assert alive
    rows = watch.measures.slices
    assert all(rows[name].end is not None for name in alive)
    watch.assert_all_is_well()


def test_f01_a_machine_that_died_though_its_create_was_accepted_is_replaced(tmp_path: Path) -> None:
    watch = story(tmp_path, {"create_answers": {"accepted_but_dead": 0.5}})
    rows = watch.measures.slices
    dead = [n for n in accepted(watch) if rows[n].end == rows[n].created]
    assert dead
    watch.assert_all_is_well()


def test_f01_f06_hosts_may_register_before_their_create_is_answered(tmp_path: Path) -> None:
    watch = story(tmp_path, {"early_registration": 1.0})
    told, spoke = accepted(watch), registered(watch)
    early = [name for name, at in spoke.items() if at < told.get(name, at)]
    assert len(early) == 12
    # Whoever speaks has been created: nobody waits for the answer.
    waits = [j.first_running - j.submit for j in watch.measures.jobs.values() if j.first_running]
    assert max(waits) == 2 * MINUTE
    watch.assert_all_is_well()


def test_f02_no_more_slices_exist_than_the_zones_hold(tmp_path: Path) -> None:
    watch = story(tmp_path, {"capacity": {"zone-a": 2, "zone-b": [["0s", 0], ["2h", 1]]}})
    assert CreateFailure.STOCKOUT in refused(watch).values()
    assert peak(watch, "zone-a") == 2
    assert peak(watch, "zone-b") == 1
    watch.assert_all_is_well()


def peak(watch: Watch, zone: str) -> int:
    """The most slices of a zone that existed at once."""
    now = watch.measures.now
    lives = [
        (row.created, row.end if row.end is not None else now)
        for row in watch.measures.slices.values()
        if row.zone == zone and row.created is not None
    ]
    return max(sum(1 for begin, end in lives if begin <= at < end) for at, _ in lives)


def test_f02_a_zone_without_stock_is_probed_ever_more_rarely(tmp_path: Path) -> None:
    watch = story(tmp_path, {"capacity": {"zone-a": 0, "zone-b": [["0s", 0], ["10h", 9]]}})
    probes = [at for at, request in watch.asked(ef.CreateSlice) if request.zone == "zone-a"]
    pauses = [later - at for at, later in pairwise(probes)]
    assert pauses[0] >= MINUTE
    assert max(pauses) >= 30 * MINUTE
    assert len(probes) < 40
    watch.assert_all_is_well()


def test_f02_spells_without_stock_come_and_go(tmp_path: Path) -> None:
    weather = {"open": {"exponential": {"mean": "1h"}}, "dry": {"exponential": {"mean": "30m"}}}
    watch = story(tmp_path, {"weather": weather})
    assert set(refused(watch).values()) == {CreateFailure.STOCKOUT}
    assert created(watch)
    watch.assert_all_is_well()


def test_f02_a_stockout_may_be_told_minutes_after_the_call_was_accepted(tmp_path: Path) -> None:
    watch = story(tmp_path, {"verdict": "5m", "create_failures": {"stockout": 0.5}})
    told = accepted(watch)
    late = watch.first(ev.SliceCreateFailed, lambda fact: fact.slice)
    assert late
    assert {at - told[name] for name, at in late.items()} == {5 * MINUTE}
    watch.assert_all_is_well()


def test_f03_a_zone_never_holds_more_chips_than_its_quota(tmp_path: Path) -> None:
    watch = story(tmp_path, {"quota": {"zone-a": 32, "zone-b": 16}})
    assert CreateFailure.QUOTA_ZONE in refused(watch).values()
    assert peak(watch, "zone-a") == 2
    assert peak(watch, "zone-b") == 1
    watch.assert_all_is_well()


@pytest.mark.parametrize(
    ("failures", "reason"),
    [
        ({"stockout": 0.5}, CreateFailure.STOCKOUT),
        ({"quota": 0.5}, CreateFailure.QUOTA_ZONE),
        ({"quota_region": 0.5}, CreateFailure.QUOTA_REGION),
        ({"rate": 0.5}, CreateFailure.RATE),
        ({"permission": 0.5}, CreateFailure.PERMISSION),
        ({"internal": 0.5}, CreateFailure.INTERNAL),
        ({"unknown": 0.5}, CreateFailure.UNKNOWN),
    ],
    ids=lambda value: value.value if isinstance(value, CreateFailure) else "",
)
def test_f02_f03_half_of_all_creates_refused_delays_and_ends_nothing(
    failures: dict[str, float], reason: CreateFailure, tmp_path: Path
) -> None:
    watch = story(tmp_path, {"create_failures": failures})
    assert set(refused(watch).values()) == {reason}
    assert not set(refused(watch)) & set(created(watch))
    watch.assert_all_is_well()


def test_f03_a_bad_request_is_never_made_again(tmp_path: Path) -> None:
    watch = story(
        tmp_path, {"create_failures": {"bad_request": 1.0}}, gang={"scheduling_timeout": "2h"}
    )
    assert [request.zone for _, request in watch.asked(ef.CreateSlice)] == ["zone-a", "zone-b"]
    jobs = watch.measures.jobs.values()
    assert {job.state for job in jobs} == {JobState.UNSCHEDULABLE}
    assert watch.results["invariants"]["violated"] == 0  # type: ignore[index]
