"""The one fit: what a pool can never serve, what a host lacks, and which pool suits best."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris.core.fit import (
    CORES_PER_CHIP,
    Lack,
    Refusal,
    Shape,
    lacks,
    preference,
    refusal,
    region_of,
    satisfies,
    shape_of,
    weight_of,
)
from iris.core.ids import UserName, WorkerId, Zone
from iris.core.resources import Resources, amount, fits
from iris.core.spec import Constraint, ConstraintOp, GroupSpec, JobSpec
from tests.harness import GIB, cpu_group, gpu_group, tpu_group

ZONE = Zone("us-east1-b")
CPU = Shape(None, Resources(cpu=1_000, memory=GIB), 0)
TPU = "v5litepod-16"
GANG = Shape(TPU, Resources(chips=4, cpu=1_000, memory=GIB), 2)


def test_a_shape_is_what_placement_depends_on_and_nothing_else() -> None:
    spec = JobSpec(UserName("alice"), "train", replicas=2, coscheduled=True, accelerator=TPU)
    other = replace(spec, user=UserName("bob"), name="eval", max_retries_failure=3)
    assert shape_of(spec) == shape_of(other)
    assert shape_of(spec).hosts == 2
    assert shape_of(replace(spec, coscheduled=False)).hosts == 0
    assert shape_of(spec, (WorkerId("w"),)) != shape_of(spec)


def test_lacks_names_each_dimension_that_falls_short_in_numbers() -> None:
    need, free = Resources(chips=4, cpu=8_000, memory=5), Resources(chips=4, cpu=500, memory=1)
    assert lacks(need, free) == (Lack("cpu", 8_000, 500), Lack("memory", 5, 1))


parts = st.integers(0, 3)
amounts = st.builds(Resources, parts, parts, parts, parts, parts)


@given(amounts, amounts)
def test_i_135_nothing_is_lacking_exactly_when_it_fits(need: Resources, free: Resources) -> None:
    assert (not lacks(need, free)) == fits(need, free)


def test_an_accelerator_must_be_the_very_one() -> None:
    assert refusal(GANG, tpu_group(), ZONE) is None
    assert refusal(GANG, tpu_group(type="v5litepod-32"), ZONE) == Refusal(
        "accelerator", TPU, "v5litepod-32"
    )
    assert refusal(GANG, cpu_group(hosts=2), ZONE) == Refusal("accelerator", TPU, "none")


def test_i_25_a_gang_needs_a_slice_of_exactly_its_size() -> None:
    assert refusal(GANG, tpu_group(hosts=4), ZONE) == Refusal("gang", "2 hosts", "4 hosts")
    assert refusal(GANG, tpu_group(hosts=1), ZONE) == Refusal("gang", "2 hosts", "1 host")
    assert refusal(GANG._replace(hosts=4), tpu_group(hosts=4), ZONE) is None


def test_a_gang_of_cpu_work_never_goes_to_accelerator_hosts() -> None:
    gang = CPU._replace(hosts=2)
    assert refusal(gang, tpu_group(hosts=2), ZONE) == Refusal("accelerator", "none", TPU)
    assert refusal(gang, cpu_group(hosts=2), ZONE) is None


def test_one_task_alone_never_takes_a_host_of_a_pod() -> None:
    alone = GANG._replace(hosts=0)
    assert refusal(alone, tpu_group(hosts=2), ZONE) == Refusal("gang", "1 host", "2 hosts")
    assert refusal(alone, tpu_group(hosts=1), ZONE) is None


def test_one_task_alone_may_take_some_gpus_of_one_of_several_machines() -> None:
    task = Shape("H100", Resources(chips=2), 0)
    assert refusal(task, gpu_group(), ZONE) is None
    assert refusal(task, replace(gpu_group(), hosts=2), ZONE) is None


def test_cpu_work_may_go_to_a_host_of_a_pod() -> None:
    assert refusal(CPU, tpu_group(hosts=2), ZONE) is None


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (3 * GIB, "3 GiB of memory"),
        (10**9, "1 GB of memory"),
        (1 << 20, "1 MiB of memory"),
        (2 * 10**6, "2 MB of memory"),
        (999, "999 bytes of memory"),
    ],
)
def test_an_amount_is_told_in_the_largest_unit_that_is_whole(number: int, told: str) -> None:
    assert amount("memory", number) == told


def test_what_no_empty_host_holds_is_refused_with_the_first_amount_that_lacks() -> None:
    big = CPU._replace(need=Resources(cpu=9_000, memory=65 * GIB))
    assert refusal(big, cpu_group(cores=4), ZONE) == Refusal("host", "9 cores", "4 cores")


@pytest.mark.parametrize(
    ("constraint", "need", "have"),
    [
        (Constraint("zone", ConstraintOp.IN, ("eu-a", "eu-b")), "zone in eu-a, eu-b", ZONE),
        (Constraint("zone", ConstraintOp.NOT_IN, (ZONE,)), f"zone not_in {ZONE}", ZONE),
        (Constraint("disk", ConstraintOp.EXISTS), "disk exists", "absent"),
        (Constraint("pool", ConstraintOp.MISSING), "pool missing", "blue"),
    ],
)  # fmt: skip
def test_a_hard_constraint_refuses_a_pool_and_says_what_it_is(
    constraint: Constraint, need: str, have: str
) -> None:
    group = replace(cpu_group(), attributes=(("pool", "blue"),))
    assert refusal(CPU._replace(constraints=(constraint,)), group, ZONE) == Refusal(
        "constraint", need, have
    )
    assert refusal(CPU._replace(constraints=(replace(constraint, soft=True),)), group, ZONE) is None


def test_constraints_see_what_the_group_and_the_zone_are() -> None:
    group = replace(tpu_group("tpu", preemptible=True), attributes=(("pool", "blue"),))
    expected = {
        "group": "tpu",
        "zone": ZONE,
        "region": "us-east1",
        "accelerator": TPU,
        "accelerator_type": TPU,
        "preemptible": "true",
        "pool": "blue",
    }
    for key, value in expected.items():
        met = Constraint(key, ConstraintOp.IN, (value,))
        assert refusal(GANG._replace(constraints=(met,)), group, ZONE) is None
    plain = Constraint("preemptible", ConstraintOp.IN, ("false",))
    assert refusal(CPU._replace(constraints=(plain,)), cpu_group(), ZONE) is None


values = st.sampled_from(["a", "b"])
constraints = st.builds(
    Constraint,
    st.just("key"),
    st.sampled_from(ConstraintOp),
    st.lists(values, max_size=2).map(tuple),
)


@given(constraints, st.none() | values)
def test_in_and_not_in_are_opposites_and_so_are_exists_and_missing(
    constraint: Constraint, value: str | None
) -> None:
    attributes = {"key": value} if value is not None else {}
    opposite = {
        ConstraintOp.IN: ConstraintOp.NOT_IN,
        ConstraintOp.NOT_IN: ConstraintOp.IN,
        ConstraintOp.EXISTS: ConstraintOp.MISSING,
        ConstraintOp.MISSING: ConstraintOp.EXISTS,
    }[constraint.op]
    assert satisfies(constraint, attributes) != satisfies(
        replace(constraint, op=opposite), attributes
    )


def test_a_region_is_a_zone_without_its_last_part() -> None:
    assert region_of(Zone("us-central1-a")) == "us-central1"
    assert region_of(Zone("default")) == "default"


def group_that_serves(name: str, *, spare: bool) -> GroupSpec:
    return tpu_group(name) if spare else cpu_group(name)


def test_cpu_work_prefers_cpu_machines_but_its_soft_constraints_first() -> None:
    likes = Constraint("group", ConstraintOp.IN, ("tpu",), soft=True)
    tpu, cpu = group_that_serves("tpu", spare=True), group_that_serves("cpu", spare=False)
    assert preference(CPU, cpu, ZONE) < preference(CPU, tpu, ZONE)
    choosy = CPU._replace(constraints=(likes,))
    assert preference(choosy, tpu, ZONE) < preference(choosy, cpu, ZONE)
    assert preference(GANG, tpu, ZONE) == (0, 0)


def test_a_chip_counts_as_many_cores_in_the_fair_order() -> None:
    assert weight_of(Resources(chips=2, cpu=500)) == 2 * CORES_PER_CHIP * 1_000 + 500
