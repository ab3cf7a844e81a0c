"""The dry run of placement counts what is coming once, to the last core."""

from iris.core import effects as ef
from iris.core import events as ev
from iris.core.ids import JobId
from iris.core.spec import Constraint, ConstraintOp, JobSpec
from tests.core.test_autoscaler import groups_asked
from tests.harness import Script, cluster, cpu_group, gpu_group, tpu_group

TPU = "v5litepod-16"


def asked_at_once(script: Script, *jobs: tuple[str, int, int]) -> int:
    """How many slices are asked for in the turn that first sees jobs of (user, cores, replicas)."""
    script.step(ev.ControllerRestarted())  # Nothing is asked for before a listing.
    for user, cores, replicas in jobs:
        script.submit(user, user=user, cpu=cores, replicas=replicas)
    script.listing()
    return len(groups_asked(script))


def test_a_slice_that_is_coming_serves_one_gang_whoever_waits() -> None:
    script = cluster(tpu_group())
    for user in ("alice", "bob", "carol"):
        script.submit(user, user=user, tpu=TPU, replicas=2, gang=True)
        assert groups_asked(script) == ["tpu"]


def test_two_gangs_of_a_user_need_two_slices_at_once() -> None:
    script = cluster(tpu_group())
    script.step(ev.ControllerRestarted())
    for name in ("one", "two"):
        script.submit(name, tpu=TPU, replicas=2, gang=True)
    script.listing()
    assert groups_asked(script) == ["tpu", "tpu"]


def test_all_gangs_of_earlier_jobs_get_their_slices_before_a_later_one_gets_any() -> None:
    script = cluster(tpu_group(zones=("us-a", "us-b"), max_slices=3))
    script.step(ev.ControllerRestarted())
    for name, zone, cpu in (
        ("one", "us-a", 1), ("alike", "us-a", 1), ("wider", "us-a", 2), ("late", "us-b", 1)
    ):  # fmt: skip
        only = Constraint("zone", ConstraintOp.IN, (zone,))
        script.submit(name, tpu=TPU, replicas=2, gang=True, cpu=cpu, constraints=(only,))
    script.listing()
    assert [create.zone for create in script.asked(ef.CreateSlice)] == ["us-a"] * 3


def test_demand_is_served_by_all_that_the_floor_asks_for_in_the_same_turn() -> None:
    script = Script().config(cpu_group(min_slices=2))
    assert asked_at_once(script, ("alice", 4, 2)) == 2


def test_the_last_that_one_group_cannot_hold_is_asked_of_the_next() -> None:
    script = cluster(cpu_group("first", max_slices=1), cpu_group("second"))
    script.submit(cpu=4, replicas=2)
    assert groups_asked(script) == ["first", "second"]


def test_hosts_with_the_same_rest_are_counted_each() -> None:
    script = cluster(cpu_group(cores=8, max_slices=20))
    assert asked_at_once(script, ("alice", 5, 1), ("bob", 5, 1), ("carol", 3, 2)) == 2


def test_a_task_takes_its_part_of_one_host_and_leaves_the_others_alone() -> None:
    whole = (("alice", 5, 1), ("bob", 5, 1), ("carol", 1, 1), ("dave", 3, 1))
    script = cluster(cpu_group(cores=8, max_slices=20))
    assert asked_at_once(script, *whole) == 2
    script = cluster(cpu_group(cores=8, max_slices=20))
    assert asked_at_once(script, *whole, ("erin", 2, 2)) == 3


def test_a_host_is_not_full_for_what_has_gone_to_a_fuller_one() -> None:
    script = cluster(cpu_group(hosts=2))
    assert asked_at_once(script, ("alice", 1, 1), ("bob", 1, 4), ("carol", 3, 1)) == 1


def test_no_more_slices_are_broken_into_than_the_rest_needs() -> None:
    script = cluster(cpu_group(buffer_slices=3, max_slices=9))
    script.submit("first", cpu=3)
    assert groups_asked(script) == ["cpu"]
    script.submit("second", replicas=5)  # One of them beside the first, four on another host.
    assert groups_asked(script) == ["cpu"]


def test_spare_cores_that_are_coming_serve_whoever_nobody_keeps_from_them() -> None:
    script = cluster(gpu_group(max_slices=1), tpu_group(min_slices=1), cpu_group())
    script.submit("gpus", gpus=8)
    script.submit("cpu")
    assert groups_asked(script) == []


def test_v_20_a_turn_without_news_looks_at_no_coming_capacity() -> None:
    script = cluster(cpu_group())
    script.submit()
    books = script.controller.state.books
    before = books.evaluations
    script.controller.step(script.now, ())
    assert books.evaluations == before


def test_v_20_each_look_at_coming_capacity_is_counted() -> None:
    script = cluster(cpu_group(cores=8, max_slices=20), cpu_group("small", min_slices=1))
    asked_at_once(script, ("alice", 5, 1))
    books = script.controller.state.books
    before = books.evaluations
    script.submit_spec(JobSpec(script.job(JobId("/alice/alice")).spec.user, "small"))
    assert not groups_asked(script)
    assert books.evaluations - before == COUNTED


COUNTED = 6
"""One of them for the pool that is coming, and one for its broken host; the others come before. What
else is coming is not looked at: nothing is left over for it."""
