"""F-04, F-05, F-08, F-10: what the cloud takes away, with and without a word, and what is left."""

from collections import Counter
from pathlib import Path
from typing import Final

from iris.core import events as ev
from iris.core.ids import SliceId
from iris.core.instant import HOUR, MINUTE, SECOND
from iris.core.lifecycle import AttemptState
from sim.measure import SliceRow
from tests.sim.stories import story
from tests.sim.watch import Watch

HOURLY: Final = {"exponential": {"mean": "1h"}}


def taken(watch: Watch) -> list[SliceRow]:
    """The slices that the cloud preempted, in order."""
    rows = [row for row in watch.measures.slices.values() if row.outcome == "preempted"]
    return sorted(rows, key=lambda row: (row.end or 0, row.slice))


def ends(watch: Watch, outcome: AttemptState) -> int:
    """How many attempts ended so."""
    return sum(1 for attempt in watch.measures.attempts if attempt.outcome is outcome)


def lost_work(watch: Watch) -> float:
    """Chip-seconds of work done in vain."""
    work = watch.results["work"]
    assert isinstance(work, dict)
    return float(work["lost_chip_s"])


def noticed(watch: Watch) -> dict[SliceId, int]:
    """When each slice was first given notice."""
    return dict(watch.first(ev.PreemptionNoticed, lambda fact: fact.slice))


def test_f04_gangs_whose_slices_are_taken_go_back_whole_and_end(tmp_path: Path) -> None:
    watch = story(tmp_path, {"lifetime": HOURLY})
    assert len(taken(watch)) > 5
    assert ends(watch, AttemptState.PREEMPTED) % 4 == 0
    assert ends(watch, AttemptState.PREEMPTED) > 0
    assert noticed(watch) == {}
    watch.assert_all_is_well()


def test_f04_no_slice_outlives_the_cap(tmp_path: Path) -> None:
    watch = story(tmp_path, {"lifetime_max": "50m"})
    lives = {row.end - row.ready for row in taken(watch) if row.end and row.ready}
    assert lives == {50 * MINUTE}
    watch.assert_all_is_well()


def test_f04_a_notice_comes_as_long_before_as_it_says_and_saves_work(tmp_path: Path) -> None:
    watch = story(tmp_path, {"lifetime": HOURLY, "notice": "30s"})
    told = noticed(watch)
    spans = {row.end - told[SliceId(row.slice)] for row in taken(watch) if row.end}
    assert spans == {30 * SECOND}
    unwarned = story(tmp_path, {"lifetime": HOURLY})
    assert lost_work(watch) / len(taken(watch)) < lost_work(unwarned) / len(taken(unwarned))
    watch.assert_all_is_well()


def test_f04_work_is_kept_off_a_slice_with_a_notice(tmp_path: Path) -> None:
    watch = story(tmp_path, {"lifetime": HOURLY, "notice": "10m"})
    told = noticed(watch)
    assert told
    late = [
        a
        for a in watch.measures.attempts
        if SliceId(a.slice) in told
        and told[SliceId(a.slice)] <= a.start < told[SliceId(a.slice)] + 5 * MINUTE
    ]
    assert late == []
    watch.assert_all_is_well()


def test_f04_a_preemption_without_its_notice_is_survived_too(tmp_path: Path) -> None:
    watch = story(tmp_path, {"lifetime": HOURLY, "notice": "30s", "notice_lost": 0.5})
    warned = [row for row in taken(watch) if SliceId(row.slice) in noticed(watch)]
    assert 0 < len(warned) < len(taken(watch))
    watch.assert_all_is_well()


def test_f04_a_notice_without_a_preemption_stops_nothing(tmp_path: Path) -> None:
    watch = story(tmp_path, {"false_notice": {"exponential": {"mean": "15m"}}})
    assert len(noticed(watch)) > 5
    assert taken(watch) == []
    assert len(watch.measures.attempts) == 13 * 4
    watch.assert_all_is_well()


def test_f04_a_slice_that_goes_host_after_host_is_lost_with_the_first(tmp_path: Path) -> None:
    watch = story(tmp_path, {"lifetime": HOURLY, "host_by_host": "20s"})
    gone = {row.slice: row for row in taken(watch)}
    hit = [a for a in watch.measures.attempts if a.slice in gone and a.end > 0]
    last_hosts = [a for a in hit if a.host == 3 and a.outcome is AttemptState.PREEMPTED]
    assert last_hosts
    # Its last host goes a minute after its first, but the gang has been stopped there by then.
    first = {(a.job, a.attempt): a.end for a in hit if a.host == 0}
    assert all(a.end - first[a.job, a.attempt] <= MINUTE for a in last_hosts)
    watch.assert_all_is_well()


def test_f05_a_churning_zone_is_left_for_the_calm_one(tmp_path: Path) -> None:
    churn = {"zone-a": {"exponential": {"mean": "4m"}}}
    watch = story(tmp_path, {"zone_lifetime": churn})
    assert {row.zone for row in taken(watch)} == {"zone-a"}
    made = Counter(row.zone for row in watch.measures.slices.values())
    assert made["zone-b"] > 2 * made["zone-a"]
    watch.assert_all_is_well()


def test_f05_slices_of_a_zone_go_together(tmp_path: Path) -> None:
    life = {"exponential": {"mean": "2h"}}
    watch = story(tmp_path, {"lifetime": life, "bulk": {"mean": 5, "max": 5}})
    at_once = Counter((row.zone, row.end) for row in taken(watch))
    assert 3 <= max(at_once.values()) <= 5
    watch.assert_all_is_well()


def test_f05_what_was_lost_stays_away_for_a_while(tmp_path: Path) -> None:
    watch = story(tmp_path, {"lifetime": HOURLY, "scarcity": "30m"})
    rows = [row for row in watch.measures.slices.values() if row.created is not None]
    for lost in taken(watch):
        assert lost.end is not None
        there = sum(1 for row in rows if lives_at(row, lost, lost.end))
        later = [lost.end + minutes * MINUTE for minutes in range(1, 30)]
        assert all(sum(1 for r in rows if lives_at(r, lost, at)) <= there for at in later)
    refusals = [fact.reason for _, fact in watch.facts(ev.SliceCreateFailed)]
    assert ev.CreateFailure.STOCKOUT in refusals
    watch.assert_all_is_well()


def lives_at(row: SliceRow, lost: SliceRow, at: int) -> bool:
    """Whether a slice of the same zone as the lost one exists then."""
    assert row.created is not None
    same = row.zone == lost.zone
    return same and row.created <= at and (row.end is None or row.end > at)


def test_f08_a_state_never_seen_before_is_a_failure(tmp_path: Path) -> None:
    watch = story(tmp_path, {"lifetime": HOURLY, "vanishing": {"other_state": 1.0}})
    assert taken(watch)
    assert CloudStates(watch).seen(ev.CloudState.OTHER)
    assert ends(watch, AttemptState.WORKER_FAILED) > 0
    watch.assert_all_is_well()


def test_f08_a_slice_that_is_not_found_is_believed_gone_once_it_is_silent(tmp_path: Path) -> None:
    watch = story(tmp_path, {"lifetime": HOURLY, "vanishing": {"not_found": 1.0}})
    missing = [n for _, fact in watch.facts(ev.SlicesObserved) for n in fact.missing]
    assert set(missing) <= {SliceId(row.slice) for row in taken(watch)}
    assert missing
    assert ends(watch, AttemptState.PREEMPTED) > 0
    watch.assert_all_is_well()


class CloudStates:
    """Which states the cloud's listings named."""

    def __init__(self, watch: Watch) -> None:
        self._facts = watch.facts(ev.SlicesObserved)

    def seen(self, state: ev.CloudState) -> bool:
        """Whether any listing named this one."""
        return any(s.state is state for _, fact in self._facts for s in fact.listing)


def test_i_42_f08_a_slice_that_stays_in_creating_is_given_up_at_its_deadline(
    tmp_path: Path,
) -> None:
    watch = story(tmp_path, {"stuck_creating": 0.3})
    stuck = [r for r in watch.measures.slices.values() if r.created is not None and r.ready is None]
    assert stuck
    assert {row.end - row.created for row in stuck if row.end and row.created} == {30 * MINUTE}
    watch.assert_all_is_well()


def test_f10_the_address_of_a_lost_host_says_nothing_of_the_next(tmp_path: Path) -> None:
    watch = story(tmp_path, {"lifetime": HOURLY, "recycle_addresses": True})
    hosts = [(f.address, f.slice) for _, f in watch.facts(ev.WorkerRegistered)]
    assert len({address for address, _ in hosts}) < len(set(hosts))
    watch.assert_all_is_well()


def test_a_host_that_dies_takes_its_slice_with_it(tmp_path: Path) -> None:
    watch = story(tmp_path, {"host_failure": {"exponential": {"mean": "8h"}}})
    failed = ends(watch, AttemptState.WORKER_FAILED)
    assert failed > 0
    assert failed % 4 == 0
    watch.assert_all_is_well()


def test_a_death_is_known_as_late_as_its_silence_says(tmp_path: Path) -> None:
    # Listings tell of deaths, too, so they come rarely here.
    rare = {"autoscaler": {"idle_timeout": "10m", "observe_interval": "30d"}}
    quick = story(tmp_path, {"lifetime": HOURLY, "silence": "0s"}, cluster=rare)
    slow = story(tmp_path, {"lifetime": HOURLY, "silence": "10m"}, cluster=rare)
    assert taken(quick)
    assert max(restarts(quick)) < 10 * MINUTE
    assert min(restarts(slow)) >= 10 * MINUTE
    slow.assert_all_is_well()


def restarts(watch: Watch) -> list[int]:
    """From the loss of each first member to its next attempt."""
    found: dict[tuple[str, int], int] = {}
    spans = []
    for attempt in watch.measures.attempts:
        if attempt.index:
            continue
        before = found.get((attempt.job, attempt.attempt - 1))
        if before is not None:
            spans.append(attempt.start - before)
        found[attempt.job, attempt.attempt] = attempt.end
    return spans


def test_boots_take_as_long_as_the_model_says(tmp_path: Path) -> None:
    watch = story(tmp_path, {"boot": {"uniform": {"min": "3m", "max": "6m"}}})
    boots = [r.ready - r.created for r in watch.measures.slices.values() if r.ready and r.created]
    assert 3 * MINUTE <= min(boots) < max(boots) <= 6 * MINUTE
    assert watch.measures.now < 42 * HOUR
    watch.assert_all_is_well()
