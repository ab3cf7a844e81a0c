"""F-06, F-07, F-09, F-11, F-12, F-13: incomplete slices, lying lists, slow calls, other hands."""

from pathlib import Path

import pytest

from iris.core import effects as ef
from iris.core import events as ev
from iris.core.ids import SliceId
from iris.core.instant import MINUTE, SECOND
from iris.core.lifecycle import AttemptState
from sim.measure import SliceRow
from tests.sim.stories import GROUPS, story
from tests.sim.watch import Watch


def never_ready(watch: Watch) -> list[SliceRow]:
    """The slices that the cloud made and that never became whole."""
    rows = watch.measures.slices.values()
    return [row for row in rows if row.created is not None and row.ready is None]


def listings(watch: Watch) -> list[ev.SlicesObserved]:
    """The answers to questions about everything."""
    return [fact for _, fact in watch.facts(ev.SlicesObserved) if not fact.missing]


def waits(watch: Watch) -> list[int]:
    """Milliseconds from the submission of each job to its first running attempt."""
    jobs = watch.measures.jobs.values()
    return [job.first_running - job.submit for job in jobs if job.first_running is not None]


# ---- F-06: incomplete slices -------------------------------------------------------------------


def test_f06_a_slice_with_a_host_that_never_boots_is_given_up_at_its_deadline(
    tmp_path: Path,
) -> None:
    watch = story(tmp_path, {"partial": 0.3})
    holes = never_ready(watch)
    assert holes
    assert {r.end - r.created for r in holes if r.end and r.created} == {30 * MINUTE}
    assert not {r.slice for r in holes} & {a.slice for a in watch.measures.attempts}
    watch.assert_all_is_well()


def test_f06_a_slice_works_only_once_its_last_host_is_there(tmp_path: Path) -> None:
    late = {"probability": 1.0, "delay": "20m"}
    watch = story(tmp_path, {"straggler": late})
    rows = watch.measures.slices
    assert [r.ready - r.created for r in rows.values() if r.ready and r.created][:3] == (
        [22 * MINUTE] * 3
    )
    assert all(a.start >= (rows[a.slice].ready or 0) for a in watch.measures.attempts)
    watch.assert_all_is_well()


def test_f06_two_hosts_with_one_index_make_no_slice(tmp_path: Path) -> None:
    watch = story(tmp_path, {"duplicate_index": 0.3})
    spoke = [(f.slice, f.host) for _, f in watch.facts(ev.WorkerRegistered)]
    twins = {name for name, _ in spoke if spoke.count((name, 0)) > 1}
    assert twins
    assert not twins & {SliceId(a.slice) for a in watch.measures.attempts}
    watch.assert_all_is_well()


# ---- F-07: lying lists -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lie",
    [
        {"error": 0.5},
        {"zone_missing": 0.9},
        {"without_newest": 0.5},
        {"with_deleted": 0.9},
        {"stale": {"probability": 0.9, "delay": "10m"}},
    ],
    ids="".join,
)
def test_f07_what_a_list_says_wrongly_costs_no_work(lie: dict[str, object], tmp_path: Path) -> None:
    told = story(tmp_path, {"lists": lie})
    plain = story(tmp_path, {})
    assert [o.listing for o in listings(told)] != [o.listing for o in listings(plain)]
    assert {a.outcome for a in told.measures.attempts} == {AttemptState.SUCCEEDED}
    assert waits(told) == waits(plain)
    told.assert_all_is_well()


def test_f07_an_error_is_told_as_one_and_asked_again_soon(tmp_path: Path) -> None:
    watch = story(tmp_path, {"lists": {"error": 0.5}})
    failed = [at for at, fact in watch.facts(ev.SlicesObserved) if fact.error]
    asked = [at for at, _ in watch.asked(ef.ObserveSlices)]
    assert failed
    assert all(any(at < then <= at + MINUTE for then in asked) for at in failed[:-1])
    watch.assert_all_is_well()


def test_f07_an_empty_list_alone_costs_no_work(tmp_path: Path) -> None:
    watch = story(tmp_path, {"lists": {"empty": 0.15}})
    empty = [fact for fact in listings(watch) if fact.complete and not fact.listing]
    assert len(empty) > 5
    assert {a.outcome for a in watch.measures.attempts} == {AttemptState.SUCCEEDED}
    watch.assert_all_is_well()


# ---- F-09: deletes -----------------------------------------------------------------------------


def test_f09_a_slow_delete_is_waited_for(tmp_path: Path) -> None:
    watch = story(tmp_path, {"delete": "20m"})
    rows = [r for r in watch.measures.slices.values() if r.outcome == "deleted"]
    first: dict[SliceId, int] = {}
    for at, request in watch.asked(ef.DeleteSlice):
        first.setdefault(request.slice, at)
    assert {r.end - first[SliceId(r.slice)] for r in rows if r.end} == {20 * MINUTE}
    watch.assert_all_is_well()


@pytest.mark.parametrize("how", ["refused", "lost", "lies"])
def test_f09_a_delete_is_repeated_until_the_machine_is_gone(how: str, tmp_path: Path) -> None:
    watch = story(tmp_path, {"deletes": {how: 0.7}})
    asked = [request.slice for _, request in watch.asked(ef.DeleteSlice)]
    assert len(asked) > len(set(asked))
    rows = watch.measures.slices.values()
    assert sum(1 for row in rows if row.outcome == "deleted") == 12
    watch.assert_all_is_well()


# ---- F-11: slow calls --------------------------------------------------------------------------


def test_f11_calls_that_take_half_a_minute_delay_and_break_nothing(tmp_path: Path) -> None:
    watch = story(tmp_path, {"call": "30s"})
    # To list what is there, to create, to boot.
    assert waits(watch)[0] == 30 * SECOND + 30 * SECOND + 2 * MINUTE
    assert watch.creates() == list(dict.fromkeys(watch.creates()))
    watch.assert_all_is_well()


def test_f11_a_call_that_never_returns_is_made_again(tmp_path: Path) -> None:
    watch = story(tmp_path, {"hang": 0.4})
    assert len(watch.creates()) > len(set(watch.creates()))
    assert len(watch.asked(ef.DeleteSlice)) > len({r.slice for _, r in watch.asked(ef.DeleteSlice)})
    watch.assert_all_is_well()


def test_f11_one_slow_zone_does_not_slow_the_other(tmp_path: Path) -> None:
    watch = story(tmp_path, {"slow_zones": {"zone-a": "90s"}})
    asked = {r.slice: at for at, r in watch.asked(ef.CreateSlice)}
    spans: dict[str, set[int]] = {}
    for row in watch.measures.slices.values():
        assert row.created is not None
        spans.setdefault(row.zone, set()).add(row.created - asked[SliceId(row.slice)])
    assert 90 * SECOND in spans["zone-a"]
    assert spans.get("zone-b", {0}) == {0}
    watch.assert_all_is_well()


# ---- F-12, F-13: shared and meddled with -------------------------------------------------------


def test_f12_a_reservation_that_holds_less_than_promised_is_a_stockout(tmp_path: Path) -> None:
    groups = {"tpu": {**GROUPS["tpu"], "reservation": "pool"}}
    cluster = {"scale_groups": groups, "reservations": {"pool": {"chips": 96}}}
    watch = story(tmp_path, {"reservations": {"pool": 32}}, cluster=cluster)
    results = watch.results["groups"]
    assert isinstance(results, dict)
    assert results["tpu"]["slices_peak"] == 2
    assert results["tpu"]["create_failures"]["stockout"] > 0
    watch.assert_all_is_well()


def test_f12_no_more_is_asked_of_a_reservation_than_it_was_promised(tmp_path: Path) -> None:
    groups = {"tpu": {**GROUPS["tpu"], "reservation": "pool"}}
    cluster = {"scale_groups": groups, "reservations": {"pool": {"chips": 32}}}
    watch = story(tmp_path, {"reservations": {"pool": 32}}, cluster=cluster)
    assert watch.facts(ev.SliceCreateFailed) == []
    watch.assert_all_is_well()


def test_f13_what_another_hand_deletes_is_replaced(tmp_path: Path) -> None:
    watch = story(tmp_path, {"another_hand": {"exponential": {"mean": "40m"}}})
    hit = [a for a in watch.measures.attempts if a.outcome is not AttemptState.SUCCEEDED]
    assert hit
    deleted = {row.slice for row in watch.measures.slices.values() if row.outcome == "deleted"}
    assert {attempt.slice for attempt in hit} <= deleted
    watch.assert_all_is_well()


def test_f13_a_strange_machine_is_used_if_it_speaks_and_deleted_if_not(tmp_path: Path) -> None:
    watch = story(tmp_path, {"stray": {"exponential": {"mean": "1h"}}})
    strays = [r for r in watch.measures.slices.values() if "stray" in r.slice]
    used = {a.slice for a in watch.measures.attempts}
    assert any(row.slice in used for row in strays)
    silent = [row for row in strays if row.ready is None]
    assert silent
    assert all(row.end is not None for row in strays)
    watch.assert_all_is_well()
