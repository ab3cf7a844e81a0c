"""Work of pages in short pieces, one after the other, with turns in between.

Pages share the loop with the controller's turns, and a page of a large cluster takes as long as many turns. So whatever
takes long draws breath between its pieces: only then does the next piece begin, of whichever page.
"""

import asyncio
import time
from typing import Final

PIECE_S: Final = 0.002
"""A piece that has taken so long is long enough."""
ROUNDS: Final = 5
"""Of the event loop between two pieces: from a fact that comes to its turn there are as many."""


class Breath:
    """Of one who works for a page."""

    def __init__(self, others: asyncio.Lock) -> None:
        """Beside all who wait for the same lock."""
        self._others = others
        self._began = time.perf_counter()

    async def draw(self) -> None:
        """Let turns that are due be taken, and whoever came before go on; then it is the caller's turn."""
        async with self._others:
            for _ in range(ROUNDS):
                await asyncio.sleep(0)
        self._began = time.perf_counter()

    async def draw_in_time(self) -> bool:
        """Likewise, if the piece has been long enough; says whether it has."""
        is_long = time.perf_counter() - self._began >= PIECE_S
        if is_long:
            await self.draw()
        return is_long
