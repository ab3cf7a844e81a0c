"""Performs what the core asks for: machines by the provider, word to the workers.

Every request of the provider runs by itself and ends in facts; none is waited for in a turn.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence

from iris.cluster.controller.links import Links
from iris.core import effects as ef
from iris.core.events import Event
from iris.core.ids import JobId, SliceId
from iris.ports import VmManager

_log = logging.getLogger(__name__)


class Hands:
    """The provider and the workers, as the turn sees them."""

    def __init__(
        self, links: Links, forget: Callable[[JobId], None], deliver: Callable[[Event], None]
    ) -> None:
        """Hands without a provider, which `attach` gives them before anything is performed.

        Args:
            links: the workers that wait for word.
            forget: removes what a job has left.
            deliver: takes what has become of a request.
        """
        self._vms: VmManager | None = None
        self._links = links
        self._forget = forget
        self._deliver = deliver
        self._tasks: set[asyncio.Task[None]] = set()
        self._refusals: dict[tuple[SliceId, int, str], str] = {}
        self._leaving = False

    def leave(self) -> None:
        """From now on ask for no new machine; what is still wanted, the next life asks for."""
        self._leaving = True

    def attach(self, vms: VmManager) -> None:
        """Ask this provider for machines."""
        self._vms = vms

    def perform(self, effect: ef.Effect) -> None:
        """Start what was asked for."""
        assert self._vms is not None, "machines are asked of nobody"
        match effect:
            case ef.StartAttempt() | ef.StopAttempt() | ef.Acknowledge():
                # A worker is told all that it shall have, so it is enough that it asks now.
                self._links.wake(effect.worker)
            case ef.CreateSlice() if self._leaving:
                return
            case ef.CreateSlice():
                self._start(self._vms.create_slice(effect))
            case ef.DeleteSlice():
                self._start(self._vms.delete_slice(effect))
            case ef.ObserveSlices():
                self._start(self._vms.observe(effect))
            case ef.RefuseWorker():
                key = (effect.slice, effect.host, effect.incarnation)
                self._refusals[key] = effect.why
            case ef.ForgetJobs():
                for job in effect.jobs:
                    self._forget(job)
            case ef.Reply():
                _log.warning("nobody waits for the answer to %s", effect.request)

    def refusal(self, slice_: SliceId, host: int, incarnation: str) -> str:
        """Why this registration was refused; empty when it was not. Asked once."""
        return self._refusals.pop((slice_, host, incarnation), "")

    def _start(self, work: Coroutine[None, None, Sequence[Event]]) -> None:
        task = asyncio.ensure_future(self._carry_out(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry_out(self, work: Coroutine[None, None, Sequence[Event]]) -> None:
        for event in await work:
            self._deliver(event)

    async def close(self) -> None:
        """Give up what is under way; a restarted controller asks for it again."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
