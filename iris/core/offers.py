"""Places for work that others would have to leave, by what that costs: found once a turn, then kept.

A search through all workers for every unit that needs room would cost their product. So what each
place costs is remembered until the turn ends, and for the next unit of a queue only the places on
which something has changed since are looked at again.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from iris.core.records import Task, Worker

Cost: TypeAlias = tuple[int, int, int, int]
"""What an eviction costs: the most urgent band that loses, work lost, the number of victims, and the
place's number for ties."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A place, and who must leave it: nobody, when it will be free without that."""

    cost: Cost
    workers: list[Worker]
    victims: list[Task]


class Offers:
    """The places that one queue may take, each with its cost."""

    __slots__ = ("_at", "_heap", "pools", "seen")

    def __init__(self, pools: Sequence[int]) -> None:
        """None was looked at yet.

        Args:
            pools: the ranks of the pools in which it looks.
        """
        self.pools = pools
        self.seen = 0
        """So many entries of `News.stirred` are known."""
        self._at: dict[int, Offer] = {}
        self._heap: list[tuple[Cost, int]] = []

    def put(self, number: int, offer: Offer | None) -> None:
        """A place was looked at, by its number; without an offer it will not do."""
        if offer is None:
            self._at.pop(number, None)
        else:
            self._at[number] = offer
            heapq.heappush(self._heap, (offer.cost, number))

    def best(self) -> Offer | None:
        """The cheapest place; nothing when no place will do."""
        while self._heap:
            cost, number = self._heap[0]
            offer = self._at.get(number)
            if offer is not None and offer.cost == cost:
                return offer
            heapq.heappop(self._heap)
        return None
