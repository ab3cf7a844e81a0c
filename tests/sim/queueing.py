"""Queues by pencil: formulas, and loops of a few lines that know nothing of Iris."""

from collections import deque
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush, heapreplace
from math import exp, log
from typing import NamedTuple


class Customer(NamedTuple):
    """One job: when it comes, how long it works, how many servers it needs, how urgent it is."""

    at: int
    work: int
    width: int = 1
    band: int = 0


def erlang_c(servers: int, load: float) -> float:
    """The probability that a customer of M/M/c waits, at a load (rho) per server."""
    offered, blocked = servers * load, 1.0
    for k in range(1, servers + 1):
        blocked = offered * blocked / (k + offered * blocked)
    return blocked / (1 - load * (1 - blocked))


def mean_wait(servers: int, load: float) -> float:
    """The mean wait of M/M/c, in mean service times."""
    return erlang_c(servers, load) / (servers * (1 - load))


def wait_percentile(servers: int, load: float, beyond: float) -> float:
    """What the wait of M/M/c exceeds with this probability, in mean service times."""
    return max(0.0, log(erlang_c(servers, load) / beyond)) / (servers * (1 - load))


def pollaczek_khinchine(load: float, second_moment: float) -> float:
    """The mean wait of M/G/1, for a mean service time of 1."""
    return load * second_moment / (2 * (1 - load))


def gang_saturation(servers: int, wide: float) -> float:
    """The greatest rate of FIFO jobs of which a part needs all servers, the rest one each."""
    q, c = 1 - wide, servers
    harmonic = [0.0]
    for n in range(1, c + 1):
        harmonic.append(harmonic[-1] + 1 / n)
    drain = sum(wide * q**g * harmonic[g] for g in range(1, c + 1))
    drain += q ** (c + 1) * harmonic[c] + q ** (c + 1) / (wide * c)
    return 1 / (wide * (1 + drain))


def with_checkpoints(mtbf: float, work: float, restart: float, every: float, cost: float) -> float:
    """How long work takes under exponential failures, with checkpoints; a restart can be hit."""
    return mtbf * exp(restart / mtbf) * (exp((every + cost) / mtbf) - 1) * work / every


def without_checkpoints(mtbf: float, work: float, restart: float) -> float:
    """The same, starting from zero each time; restarts cannot be hit."""
    return (mtbf + restart) * (exp(work / mtbf) - 1)


def fifo_starts(customers: Iterable[Customer], servers: int) -> list[int]:
    """When each customer starts: first come first served, each on one of the servers."""
    free_at, starts = [0] * servers, []
    for customer in customers:
        start = max(customer.at, free_at[0])
        heapreplace(free_at, start + customer.work)
        starts.append(start)
    return starts


def strict_starts(customers: Sequence[Customer], servers: int) -> list[int]:
    """When each starts if the head of the line waits for all the servers that it needs."""
    starts: list[int] = []
    ends: list[tuple[int, int]] = []
    free, now = servers, 0
    for customer in customers:
        now = max(now, customer.at)
        while ends and ends[0][0] <= now:
            free += heappop(ends)[1]
        while free < customer.width:
            now, width = heappop(ends)
            free += width
            while ends and ends[0][0] == now:
                free += heappop(ends)[1]
        free -= customer.width
        heappush(ends, (now + customer.work, customer.width))
        starts.append(now)
    return starts


def preemptive_ends(customers: Sequence[Customer]) -> list[int]:
    """When each ends on one server that serves the lower band first and resumes the others."""
    waiting: list[deque[int]] = [deque(), deque()]
    left, ends = [c.work for c in customers], [0] * len(customers)
    now, number = 0, 0
    while number < len(customers) or any(waiting):
        soonest = customers[number].at if number < len(customers) else None
        line = waiting[0] or waiting[1]
        if not line:
            assert soonest is not None
            now = soonest
        elif soonest is None or now + left[line[0]] <= soonest:
            served = line.popleft()
            now += left[served]
            ends[served] = now
            continue
        else:
            left[line[0]] -= soonest - now
            now = soonest
        waiting[customers[number].band].append(number)
        number += 1
    return ends
