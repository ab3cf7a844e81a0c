"""How fast slices may be asked for: what each refusal, early death and long life does to a gate."""

import pytest

from iris.core import decisions as de
from iris.core import effects as ef
from iris.core import events as ev
from iris.core.gates import FOREVER
from iris.core.ids import SliceId
from iris.core.instant import HOUR, MINUTE, SECOND, Instant, Millis
from iris.core.spec import AutoscalerPolicy, GroupSpec
from tests.harness import Script, cluster, cpu_group, fleet, tpu_group

SMALL, LARGE = "v5litepod-8", "v5litepod-16"


def created(script: Script) -> list[SliceId]:
    return [effect.slice for effect in script.asked(ef.CreateSlice)]


def waiting_for(*groups: GroupSpec, **policy: object) -> Script:
    """A cluster with one CPU job that needs a slice."""
    script = cluster(*groups, autoscaler=AutoscalerPolicy(**policy))  # type: ignore[arg-type]
    script.submit(cpu=4)
    return script


# ---- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "pause", "window", "scarce"),
    [
        (ev.CreateFailure.STOCKOUT, MINUTE, 1, True),
        (ev.CreateFailure.QUOTA_ZONE, 5 * MINUTE, 1, True),
        (ev.CreateFailure.QUOTA_REGION, 5 * MINUTE, 1, True),
        (ev.CreateFailure.PERMISSION, 30 * MINUTE, 256, False),
        (ev.CreateFailure.INTERNAL, 15 * SECOND, 256, False),
        (ev.CreateFailure.UNKNOWN, 15 * SECOND, 256, False),
    ],
)
def test_i_57_every_refusal_has_its_own_pause(
    reason: ev.CreateFailure, pause: Millis, window: int, *, scarce: bool
) -> None:
    script = waiting_for(cpu_group())
    script.refused(created(script)[0], reason, "the cloud's own words")
    gate = script.the(de.Throttle)
    assert (gate.window, gate.level, gate.scarce) == (window, 1, scarce)
    assert gate.blocked_until == script.now + pause
    assert gate.why == f"{reason.value}: the cloud's own words"
    assert not created(script.advance(pause - 1))
    assert len(created(script.advance(1))) == 1


def test_i_57_a_request_that_is_wrong_is_not_repeated_until_the_configuration_changes() -> None:
    script = waiting_for(cpu_group())
    script.refused(created(script)[0], ev.CreateFailure.BAD_REQUEST)
    assert script.the(de.Throttle).blocked_until == FOREVER
    assert script.the(de.Throttle).why == "bad_request"
    script.deleted(SliceId("iris-cpu-1"))
    assert not created(script.advance(10 * HOUR))


def test_i_57_a_rate_limit_pauses_the_whole_project_and_blames_no_zone() -> None:
    script = waiting_for(cpu_group(), cpu_group("other", priority=200))
    first = created(script)[0]
    script.refused(first, ev.CreateFailure.RATE)
    assert script.the(de.CreatePause).until == script.now + MINUTE
    assert not script.decided(de.Throttle)
    script.deleted(first)  # Nothing but the end of the pause wakes the controller then.
    assert not created(script.advance(MINUTE - 1))
    assert created(script.advance(1)) == ["iris-cpu-2"]


def test_i_57_a_regional_quota_closes_the_zones_of_its_region_and_no_other() -> None:
    zones = ("us-east1-a", "us-east1-b", "us-west1-a")
    script = waiting_for(cpu_group(zones=zones))
    script.refused(created(script)[0], ev.CreateFailure.QUOTA_REGION)
    assert [gate.zone for gate in script.decided(de.Throttle)] == list(zones[:2])
    assert script.the(ef.CreateSlice).zone == "us-west1-a"


# ---- memory -----------------------------------------------------------------------------------


def test_i_55_a_stockout_at_one_size_stops_larger_sizes_and_not_smaller_ones() -> None:
    groups = [
        tpu_group("small", type=SMALL, hosts=1),
        tpu_group("middle", type=LARGE, hosts=2),
        tpu_group("large", type="v5litepod-32", hosts=4),
        tpu_group("other", type="v6e-32", hosts=4),
    ]
    script = cluster(*groups)
    jobs = [(SMALL, 1), (LARGE, 2), ("v5litepod-32", 4), ("v6e-32", 4)]
    script.submit("middle", tpu=LARGE, replicas=2, gang=True)
    script.refused(script.coming("middle")[0], ev.CreateFailure.STOCKOUT)
    asked = []
    for kind, hosts in jobs:
        script.submit(f"on-{kind}", tpu=kind, replicas=hosts, gang=hosts > 1)
        asked += [effect.group for effect in script.asked(ef.CreateSlice)]
    assert asked == ["small", "other"]


def test_i_55_a_failure_that_is_not_scarcity_stops_its_own_size_only() -> None:
    script = cluster(
        tpu_group("middle", type=LARGE), tpu_group("large", type="v5litepod-32", hosts=4)
    )
    script.submit("middle", tpu=LARGE, replicas=2, gang=True)
    script.refused(script.coming("middle")[0], ev.CreateFailure.INTERNAL)
    script.submit("large", tpu="v5litepod-32", replicas=4, gang=True)
    assert script.the(ef.CreateSlice).group == "large"


def test_i_56_the_next_zone_is_asked_in_the_turn_of_the_refusal_and_the_better_one_probed() -> None:
    script = waiting_for(cpu_group(zones=("us-a", "us-b")))
    first = script.the(ef.CreateSlice)
    assert first.zone == "us-a"
    script.refused(first.slice, ev.CreateFailure.STOCKOUT)
    assert script.the(ef.CreateSlice).zone == "us-b"
    script.refused(script.the(ef.CreateSlice).slice, ev.CreateFailure.STOCKOUT)
    assert not created(script)
    script.advance(MINUTE)
    assert script.the(ef.CreateSlice).zone == "us-a"


def test_i_56_the_zone_with_the_better_record_is_asked_first() -> None:
    script = waiting_for(cpu_group(zones=("us-a", "us-b")))
    script.refused(created(script)[0], ev.CreateFailure.STOCKOUT)
    script.ready("cpu")
    script.advance(HOUR)
    script.submit("more", cpu=4)
    assert script.the(ef.CreateSlice).zone == "us-b"


def test_i_56_of_zones_with_equal_records_the_one_with_fewer_slices_coming_is_asked() -> None:
    script = waiting_for(cpu_group(zones=("us-a", "us-b")))
    assert script.the(ef.CreateSlice).zone == "us-a"
    script.submit("more", cpu=4)
    assert script.the(ef.CreateSlice).zone == "us-b"


def test_i_56_a_dry_zone_is_probed_by_one_slice_at_a_time() -> None:
    script = cluster(cpu_group(max_slices=8))
    script.submit(cpu=4, replicas=8)
    burst = created(script)
    assert len(burst) == 8
    script.step(*(ev.SliceCreateFailed(name, ev.CreateFailure.STOCKOUT) for name in burst))
    assert len(script.decided(de.Throttle)) == 1
    assert len(created(script.advance(MINUTE))) == 1
    script.ready("cpu")
    assert script.the(de.Throttle).window == 2
    assert len(created(script)) == 2


def test_i_59_refusals_of_one_burst_are_one_disappointment_and_each_new_one_doubles() -> None:
    script = waiting_for(cpu_group(max_slices=1))
    pauses = []
    for _ in range(8):
        name = script.coming("cpu")[0]
        script.refused(name, ev.CreateFailure.STOCKOUT)
        until = script.the(de.Throttle).blocked_until
        assert until is not None
        pauses.append((until - script.now) // MINUTE)
        script.deleted(name).advance(until - script.now)
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]


def test_i_59_a_backoff_grows_though_every_create_is_accepted_when_each_slice_dies_at_boot() -> (
    None
):
    script = waiting_for(cpu_group(max_slices=1))
    levels = []
    for _ in range(4):
        name = script.coming("cpu")[0]
        script.step(ev.SliceAccepted(name)).advance(SECOND)
        script.preempted(name)
        levels.append(script.the(de.Throttle).level)
        script.deleted(name).advance(HOUR)
    assert levels == [1, 2, 3, 4]


def test_i_59_a_slice_that_dies_soon_after_it_was_ready_is_a_bad_sign_and_a_later_death_none() -> (
    None
):
    script = fleet(cpu_group(min_slices=2))
    script.advance(5 * MINUTE - 1)
    script.preempted(SliceId("iris-cpu-1"))
    assert script.the(de.Throttle).why.startswith("iris-cpu-1 was lost early")
    script.advance(2)
    script.preempted(SliceId("iris-cpu-2"))
    assert not script.decided(de.Throttle)


def test_i_59_an_early_death_halves_what_is_there_and_never_below_one() -> None:
    script = fleet(cpu_group(min_slices=4), tpu_group())
    script.advance(SECOND).preempted(SliceId("iris-cpu-1"))
    assert script.the(de.Throttle).window == 2
    script = fleet(cpu_group(min_slices=1))
    script.advance(SECOND).preempted(SliceId("iris-cpu-1"))
    assert script.the(de.Throttle).window == 1


def test_i_59_health_rises_only_when_slices_live() -> None:
    script = waiting_for(cpu_group(max_slices=2))
    first = created(script)[0]
    script.refused(first, ev.CreateFailure.STOCKOUT).deleted(first)
    script.advance(MINUTE).ready("cpu")
    opened = script.the(de.Throttle)
    assert (opened.window, opened.level) == (2, 1)
    lives = script.advance(5 * MINUTE).the(de.Throttle)
    assert (lives.window, lives.level, lives.why) == (4, 0, "iris-cpu-2 lives")


def test_a_gate_that_is_wide_open_and_clean_learns_nothing_from_good_news() -> None:
    script = waiting_for(cpu_group(max_slices=2), max_window=1, initial_window=1)
    first = created(script)[0]
    script.refused(first, ev.CreateFailure.STOCKOUT).deleted(first)
    script.advance(MINUTE).ready("cpu")
    assert not script.decided(de.Throttle)
    assert script.advance(5 * MINUTE).the(de.Throttle).level == 0
    script.submit("more", cpu=4)
    script.ready("cpu")
    assert not script.advance(5 * MINUTE).decided(de.Throttle)


# ---- the bucket -------------------------------------------------------------------------------


def test_i_60_creates_of_all_groups_together_keep_to_one_rate() -> None:
    groups = [cpu_group(f"cpu-{n}", min_slices=2) for n in range(40)]
    policy = AutoscalerPolicy(creates_per_minute=6, create_burst=10)
    script = cluster(*groups, autoscaler=policy)
    assert len(created(script)) == 10
    assert not created(script.advance(10 * SECOND - 1))
    assert len(created(script.advance(1))) == 1
    assert len(created(script.advance(MINUTE))) == 6


def test_i_60_floors_ask_no_more_of_an_exhausted_quota_than_demand_would() -> None:
    script = cluster(cpu_group(min_slices=4))
    burst = created(script)
    script.step(*(ev.SliceCreateFailed(name, ev.CreateFailure.QUOTA_ZONE) for name in burst))
    assert not created(script.advance(5 * MINUTE - 1))
    assert len(created(script.advance(1))) == 1


def test_i_60_the_bucket_holds_no_more_than_its_burst_and_a_smaller_one_takes_the_rest() -> None:
    policy = AutoscalerPolicy(creates_per_minute=60, create_burst=3)
    script = cluster(cpu_group(max_slices=20), autoscaler=policy)
    script.advance(HOUR)
    script.submit(cpu=4, replicas=9)
    assert len(created(script)) == 3
    smaller = AutoscalerPolicy(creates_per_minute=60, create_burst=1)
    script = cluster(cpu_group(max_slices=20), autoscaler=policy)
    script.config(cpu_group(max_slices=20), autoscaler=smaller)
    script.submit(cpu=4, replicas=9)
    assert len(created(script)) == 1


def test_who_waits_for_a_window_does_not_wait_for_the_bucket_too() -> None:
    policy = AutoscalerPolicy(initial_window=1, creates_per_minute=1, create_burst=2)
    script = cluster(cpu_group(), autoscaler=policy)
    script.submit(cpu=4, replicas=2)
    assert len(created(script)) == 1
    at = script.controller.next_deadline()
    assert at is not None
    assert at > script.now


def test_a_new_configuration_does_not_refill_the_bucket() -> None:
    policy = AutoscalerPolicy(creates_per_minute=1, create_burst=2)
    script = cluster(cpu_group(max_slices=20, min_slices=2), autoscaler=policy)
    script.advance(SECOND)
    script.config(cpu_group(max_slices=20, min_slices=4), autoscaler=policy)
    assert not created(script)


def test_a_new_configuration_takes_nothing_that_the_bucket_has_earned() -> None:
    policy = AutoscalerPolicy(creates_per_minute=1, create_burst=2)
    script = cluster(cpu_group(max_slices=20, min_slices=2), autoscaler=policy)
    script.advance(MINUTE)
    script.config(cpu_group(max_slices=20, min_slices=4), autoscaler=policy)
    assert len(created(script)) == 1


def test_two_groups_of_one_type_share_the_window_of_a_zone() -> None:
    groups = [cpu_group("one", min_slices=4), cpu_group("two", min_slices=4)]
    script = cluster(*groups, autoscaler=AutoscalerPolicy(initial_window=5))
    assert len(created(script)) == 5


def test_i_61_the_time_to_ask_for_many_is_the_buckets_and_nothing_else() -> None:
    script = cluster(cpu_group(max_slices=50))
    script.submit(cpu=4, replicas=50)
    assert len(created(script)) == 50
    assert script.now == Instant(0)
