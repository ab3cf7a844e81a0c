"""How the user's own code fails, as a scenario has it."""

from iris.core.instant import Millis
from iris.core.retry import EndCause
from sim.dice import Dice
from sim.model import Arrival


def failure_drawn(
    dice: Dice, arrival: Arrival, task: tuple[int, int], span: Millis
) -> tuple[Millis, EndCause] | None:
    """When and why an attempt fails of itself that would take `span`; nothing if it does not.

    A task is its index and the number of its attempt.
    """
    failures = arrival.template.failures
    if failures is None or (arrival.template.coscheduled and task[0]):
        return None  # A gang fails as one: its first member stands for all.
    key = (arrival.number, *task)
    stream = arrival.template.entry
    if not dice.chance(failures.probability, f"fails/{stream}", *key):
        return None
    if failures.at is not None:
        after = dice.draw(failures.at, f"fails at/{stream}", *key)
    else:
        after = Millis(int(span * dice.uniform(f"fails at/{stream}", *key)))
    if after >= span:
        return None
    if dice.chance(failures.out_of_memory, f"memory/{stream}", *key):
        return after, EndCause.OUT_OF_MEMORY
    return after, EndCause.EXIT_NONZERO
