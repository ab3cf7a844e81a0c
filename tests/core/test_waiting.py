"""The queues: first come first; what fits nowhere is set aside until it may fit again."""

from hypothesis import given
from hypothesis import strategies as st

from iris.core.fit import Shape
from iris.core.ids import UserName
from iris.core.resources import Resources
from iris.core.waiting import GANG, Queue, QueueKey, Unit, Waiting

CPU = Shape(None, Resources(cpu=1_000), 0)
TPU = Shape("v5litepod-16", Resources(chips=4), 2)


def key(shape: Shape = CPU, band: int = 1, user: str = "alice") -> QueueKey:
    return QueueKey(band, UserName(user), shape)


units = st.builds(Unit, st.integers(0, 5), st.integers(-1, 2))


@given(st.lists(st.tuples(st.booleans(), units), max_size=40))
def test_the_head_is_always_the_one_that_came_first(steps: list[tuple[bool, Unit]]) -> None:
    queue, truth = Queue(), set[Unit]()
    for joins, unit in steps:
        if joins:
            queue.add(unit)
            truth.add(unit)
        elif unit in queue:
            queue.remove(unit)
            truth.remove(unit)
        assert len(queue) == len(truth)
        assert list(queue.units()) == sorted(truth)
        if truth:
            assert queue.head() == min(truth)


def test_a_blocked_shape_is_set_aside_with_all_who_wait_for_it() -> None:
    waiting = Waiting()
    waiting.add(key(user="alice"), Unit(1, 0))
    waiting.add(key(user="bob"), Unit(2, 0))
    waiting.add(key(TPU), Unit(3, GANG))
    waiting.block(CPU)
    assert list(waiting.active) == [key(TPU)]
    assert waiting.unsearched
    waiting.unblock(CPU)
    assert set(waiting.active) == {key(TPU), key(user="alice"), key(user="bob")}


def test_who_comes_later_to_a_blocked_queue_is_not_looked_at() -> None:
    waiting = Waiting()
    waiting.add(key(), Unit(1, 0))
    waiting.block(CPU)
    waiting.add(key(), Unit(2, 0))
    assert not waiting.active


def test_who_comes_to_the_head_of_a_blocked_queue_is_looked_at() -> None:
    waiting = Waiting()
    waiting.add(key(), Unit(2, 0))
    waiting.block(CPU)
    waiting.add(key(), Unit(1, 0))
    assert list(waiting.active) == [key()]


def test_a_new_queue_of_a_blocked_shape_is_looked_at_for_its_band_may_be_higher() -> None:
    waiting = Waiting()
    waiting.add(key(band=2), Unit(1, 0))
    waiting.block(CPU)
    waiting.add(key(band=0), Unit(2, 0))
    assert key(band=0) in waiting.active


def test_when_the_head_of_a_blocked_queue_goes_the_next_is_looked_at() -> None:
    waiting = Waiting()
    for number in (1, 2, 3):
        waiting.add(key(), Unit(number, 0))
    waiting.block(CPU)
    waiting.remove(key(), Unit(2, 0))
    assert not waiting.active
    waiting.remove(key(), Unit(1, 0))
    assert list(waiting.active) == [key()]


def test_an_empty_queue_leaves_nothing_behind() -> None:
    waiting = Waiting()
    for user in ("alice", "bob"):
        waiting.add(key(user=user), Unit(1, 0))
    waiting.block(CPU)
    waiting.remove(key(user="bob"), Unit(1, 0))
    assert waiting.by_shape == {CPU: {key(user="alice"): None}}
    waiting.remove(key(user="alice"), Unit(1, 0))
    assert not any((waiting.queues, waiting.by_shape, waiting.blocked, waiting.active))


def test_a_unit_that_waits_already_is_not_counted_twice() -> None:
    waiting = Waiting()
    waiting.add(key(TPU), Unit(1, GANG))
    waiting.add(key(TPU), Unit(1, GANG))
    assert waiting.accelerators == {"v5litepod-16": 1}
    waiting.remove(key(TPU), Unit(1, GANG))
    assert waiting.accelerators == {}


def test_cpu_work_may_look_again_when_the_last_accelerator_work_has_gone() -> None:
    waiting = Waiting()
    waiting.add(key(), Unit(1, 0))
    other = TPU._replace(need=Resources(chips=2))
    for number, shape in enumerate((TPU, TPU, other)):
        waiting.add(key(shape), Unit(number + 2, GANG))
    for shape in (CPU, TPU, other):
        waiting.block(shape)
    waiting.remove(key(other), Unit(4, GANG))
    waiting.remove(key(TPU), Unit(2, GANG))
    assert CPU in waiting.blocked
    waiting.remove(key(TPU), Unit(3, GANG))
    assert CPU not in waiting.blocked
    assert key() in waiting.active
