"""Scripted faults strike where they say; and every fault of the model has a story."""

import dataclasses
import re
from pathlib import Path
from typing import Final

import pytest

from iris.core import effects as ef
from iris.core import events as ev
from iris.core.ids import SliceId
from iris.core.instant import HOUR, MINUTE, SECOND
from iris.core.lifecycle import AttemptState, JobState
from sim.measure import AttemptRow
from sim.model import CloudModel, FaultKind
from tests.sim.stories import story
from tests.sim.watch import Watch

HERE: Final = Path(__file__).parent
AT: Final = 90 * MINUTE


def strike(folder: Path, **fault: object) -> Watch:
    """The story, struck once after an hour and a half, when four gangs run; and all is well."""
    watch = story(folder, {"boot": "2m"}, faults=[{"at": "90m", **fault}])
    watch.assert_all_is_well()
    return watch


def ended_at(watch: Watch, instant: int) -> list[AttemptRow]:
    """The attempts that really ended at an instant."""
    return [attempt for attempt in watch.measures.attempts if attempt.end == instant]


def running_at(watch: Watch, instant: int) -> set[str]:
    """The slices on which work was under way just before an instant."""
    return {a.slice for a in watch.measures.attempts if a.start < instant <= a.end}


def test_without_a_fault_nothing_ends_then(tmp_path: Path) -> None:
    watch = story(tmp_path, {"boot": "2m"})
    assert ended_at(watch, AT) == []
    assert len(running_at(watch, AT)) == 3
    watch.assert_all_is_well()


def test_an_outage_takes_all_of_a_zone_and_lets_none_come_back(tmp_path: Path) -> None:
    zone = "zone-a"
    watch = strike(tmp_path, kind="zone_outage", zone=zone, **{"for": "4h"})
    zones = {name: row.zone for name, row in watch.measures.slices.items()}
    hit, spared = (
        {name for name in running_at(watch, AT) if (zones[name] == zone) is there}
        for there in (True, False)
    )
    assert hit
    assert spared
    assert {a.slice for a in ended_at(watch, AT)} == hit
    there = [r for r in watch.measures.slices.values() if r.zone == zone and r.created is not None]
    assert not [r for r in there if AT <= (r.created or 0) < AT + 4 * HOUR]
    assert {r.outcome for r in there if r.end == AT} == {"failed"}


def test_a_stockout_touches_nothing_that_is_there(tmp_path: Path) -> None:
    watch = strike(tmp_path, kind="stockout", **{"for": "2h"})
    assert ended_at(watch, AT) == []
    made = [r.created for r in watch.measures.slices.values() if r.created is not None]
    assert not [at for at in made if AT <= at < AT + 2 * HOUR]
    refusals = {fact.reason for _, fact in watch.facts(ev.SliceCreateFailed)}
    assert refusals == {ev.CreateFailure.STOCKOUT}


def test_as_many_slices_are_preempted_as_the_script_says(tmp_path: Path) -> None:
    watch = strike(tmp_path, kind="preempt", count=2)
    gone = [r for r in watch.measures.slices.values() if r.outcome == "preempted"]
    assert [row.end for row in gone] == [AT, AT]
    assert {a.outcome for a in ended_at(watch, AT)} == {AttemptState.PREEMPTED}


def test_a_fault_hits_the_slice_that_it_names(tmp_path: Path) -> None:
    watch = strike(tmp_path, kind="preempt", group="tpu", slice=1)
    (row,) = [r for r in watch.measures.slices.values() if r.outcome == "preempted"]
    plain = story(tmp_path, {"boot": "2m"}).measures.slices.values()
    there = [r.slice for r in plain if r.ready is not None and r.ready < AT <= (r.end or AT)]
    assert row.slice in there
    counted = [r.slice for r in plain if (r.group, r.zone) == (row.group, row.zone)]
    assert counted.index(row.slice) == 1


def test_a_dead_host_stops_its_gang_and_fails_its_slice(tmp_path: Path) -> None:
    watch = strike(tmp_path, kind="kill_worker", slice="any", host=2)
    (dead,) = ended_at(watch, AT)
    assert dead.host == 2
    gang = [a for a in watch.measures.attempts if (a.job, a.attempt) == (dead.job, dead.attempt)]
    assert {a.outcome for a in gang} == {AttemptState.WORKER_FAILED}
    # Five seconds until the link is silent, a minute of silence from its last word on.
    assert {a.end - AT for a in gang if a is not dead} == {60 * SECOND}


def test_i_33_a_link_that_is_cut_for_less_than_the_timeout_costs_nothing(tmp_path: Path) -> None:
    watch = strike(tmp_path, kind="silence_worker", slice="any", **{"for": "50s"})
    assert {a.outcome for a in watch.measures.attempts} == {AttemptState.SUCCEEDED}
    assert len(watch.measures.attempts) == 13 * 4


def test_a_link_that_is_cut_for_longer_loses_the_slice_and_no_work_is_counted_twice(
    tmp_path: Path,
) -> None:
    watch = strike(tmp_path, kind="silence_worker", slice="any", **{"for": "2h"})
    lost = [a for a in watch.measures.attempts if a.outcome is AttemptState.WORKER_FAILED]
    assert len(lost) == 4
    for job in watch.measures.jobs.values():
        assert job.useful == HOUR * job.chips_milli


def test_a_controller_that_stands_still_reaps_nobody(tmp_path: Path) -> None:
    watch = strike(tmp_path, kind="stall_controller", **{"for": "25m"})
    assert {a.outcome for a in watch.measures.attempts} == {AttemptState.SUCCEEDED}
    asked = [noted.at for noted in watch.calls]
    assert not [at for at in asked if AT < at < AT + 25 * MINUTE]
    assert AT + 25 * MINUTE in asked


def test_calls_that_hang_are_made_again_when_the_cloud_is_back(tmp_path: Path) -> None:
    watch = strike(tmp_path, kind="hang_cloud", **{"for": "30m"})
    answered = [noted.at for noted in watch.told if not isinstance(noted.what, ev.WorkerRegistered)]
    assert not [at for at in answered if AT < at < AT + 30 * MINUTE]
    again = [n for n in set(watch.creates()) if watch.creates().count(n) > 1]
    assert again


def test_a_machine_that_somebody_else_deletes_is_replaced(tmp_path: Path) -> None:
    watch = strike(tmp_path, kind="external_delete", slice="any")
    hit = ended_at(watch, AT)
    assert len(hit) == 4
    before = [r for at, r in watch.asked(ef.DeleteSlice) if at <= AT]
    assert SliceId(hit[0].slice) not in {request.slice for request in before}


def test_a_job_that_its_user_stops_is_killed_and_the_others_are_not(tmp_path: Path) -> None:
    watch = strike(tmp_path, kind="stop_job", job="/user/train-3")
    killed = [j.job for j in watch.measures.jobs.values() if j.state is JobState.KILLED]
    assert killed == ["/user/train-3"]
    assert watch.measures.jobs["/user/train-3"].end == AT


def test_without_a_name_the_oldest_job_is_stopped(tmp_path: Path) -> None:
    watch = strike(tmp_path, kind="stop_job")
    killed = [j.job for j in watch.measures.jobs.values() if j.state is JobState.KILLED]
    assert killed == ["/user/train-2"]


def test_another_configuration_counts_from_then_on(tmp_path: Path) -> None:
    watch = strike(tmp_path, kind="edit_config", set={"scale_groups.tpu.max_slices": 1})
    assert len(running_at(watch, AT)) == 3
    lives = [(r.created, r.end or watch.measures.now) for r in watch.measures.slices.values()]
    later = [created for created, _ in lives if created is not None and created > AT]
    assert later
    for at in later:
        assert sum(created is not None and created <= at < end for created, end in lives) == 1


# ---- all of them have a story ------------------------------------------------------------------


def texts(pattern: str) -> str:
    return "".join(p.read_text(encoding="utf-8") for p in sorted(HERE.glob(pattern)))


def leaves(model: type) -> list[str]:
    """The keys of a model, those of its parts included."""
    found = []
    for field in dataclasses.fields(model):
        found.append(field.name)
        part = getattr(model, "__annotations__", {}).get(field.name)
        if isinstance(part, type) and dataclasses.is_dataclass(part):
            found += leaves(part)
    return found


ON_RECORD = ("group_boot", "group_lifetime", "boots", "answers", "answers_hold")
"""Keys that a cluster's record sets, and no scenario: see the tests of forecasts and of replays."""


@pytest.mark.parametrize("key", [key for key in leaves(CloudModel) if key not in ON_RECORD])
def test_every_key_of_the_cloud_has_a_story(key: str) -> None:
    assert re.search(rf'"{key}"', texts("test_cloud_*.py")), f"no story has {key} on"


def test_the_parts_of_the_cloud_are_looked_into() -> None:
    assert {"failed_but_lives", "with_deleted", "lies", "not_found"} <= set(leaves(CloudModel))


@pytest.mark.parametrize("kind", FaultKind)
def test_every_kind_of_fault_strikes_in_a_story(kind: FaultKind) -> None:
    assert f'kind="{kind.value}"' in Path(__file__).read_text(encoding="utf-8")
