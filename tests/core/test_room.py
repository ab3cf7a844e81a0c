"""Room: hosts by their open amount, the fullest that fits found first, pools in their rank."""

from hypothesis import given
from hypothesis import strategies as st

from iris.core.fit import Shape
from iris.core.ids import Zone
from iris.core.resources import Resources, fits
from iris.core.room import Pool, Room
from iris.core.spec import Constraint, ConstraintOp
from tests.harness import cpu_group, tpu_group

NEED = Resources(cpu=1_000)
CPU = Shape(None, NEED, 0)

parts = st.integers(0, 2)
amounts = st.builds(Resources, parts, parts, parts, st.just(0), st.just(0))


def pool(name: str = "cpu") -> Pool:
    return Pool(cpu_group(name), Zone("us-a"), 0)


@given(st.dictionaries(st.integers(0, 30), amounts, max_size=12), amounts)
def test_the_best_fit_is_the_least_amount_that_covers_the_need(
    hosts: dict[int, Resources], need: Resources
) -> None:
    listed = pool()
    for number, amount in hosts.items():
        listed.put(number, amount)
    fitting = [amount for amount in hosts.values() if fits(need, amount)]
    assert listed.best(need) == (min(fitting) if fitting else None)


moves = st.lists(st.tuples(st.integers(0, 5), st.none() | amounts), max_size=30)


@given(moves)
def test_the_list_of_hosts_is_true_after_any_changes(
    changes: list[tuple[int, Resources | None]],
) -> None:
    room = Room()
    room.configure([cpu_group()])
    (listed,) = room.pools.values()
    truth: dict[int, Resources] = {}
    for number, amount in changes:
        had = truth.pop(number, None)
        if amount is not None:
            truth[number] = amount
        more = amount is not None and (had is None or not fits(amount, had))
        assert room.list_worker(number, listed, amount) is more
        assert {n: a for n, (_, a) in room.where.items()} == truth
        assert listed.amounts == sorted(set(truth.values()))
        for one in listed.amounts:
            assert listed.buckets[one] == sorted(n for n, a in truth.items() if a == one)
        assert listed.buckets.keys() == set(truth.values())


def test_pools_that_can_never_serve_a_shape_are_not_ranked() -> None:
    room = Room()
    room.configure([tpu_group(hosts=2), cpu_group()])
    gang = Shape("v5litepod-16", Resources(chips=4), 2)
    assert [p.group.name for p in room.candidates(gang)] == ["tpu"]
    assert room.ranking(gang._replace(hosts=3)) == ()


def test_cpu_machines_rank_before_the_spare_cores_of_accelerator_hosts() -> None:
    room = Room()
    room.configure([tpu_group(), cpu_group("a"), cpu_group("b")])
    names = [[p.group.name for p in rank] for rank in room.ranking(CPU)]
    assert names == [["a", "b"], ["tpu"]]


def test_each_zone_of_a_group_is_a_pool_of_its_own() -> None:
    room = Room()
    room.configure([cpu_group(zones=("eu-a", "us-a"))])
    home = Constraint("zone", ConstraintOp.IN, ("us-a",))
    assert [p.zone for p in room.candidates(CPU)] == ["eu-a", "us-a"]
    assert [p.zone for p in room.candidates(CPU._replace(constraints=(home,)))] == ["us-a"]


def test_a_new_configuration_ranks_anew() -> None:
    room = Room()
    room.configure([cpu_group("old")])
    assert [p.group.name for p in room.candidates(CPU)] == ["old"]
    room.configure([cpu_group("new")])
    assert [p.group.name for p in room.candidates(CPU)] == ["new"]


def test_a_ranking_is_found_once_and_again_after_it_was_forgotten() -> None:
    room = Room()
    room.configure([cpu_group(cores=4)])
    first, other = room.ranking(CPU), room.ranking(CPU._replace(hosts=1))
    room.forget_shapes({CPU: None})
    assert room.ranking(CPU) is first
    assert room.ranking(CPU._replace(hosts=1)) is not other
    small = CPU._replace(need=Resources(cpu=5_000))
    assert room.ranking(small) == ()
