"""Where tasks serve: what their servers say, who looks for them, and those who wait to be told of a change."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final

from iris.cluster.controller.auth import Caller, Doorkeeper, NotPermitted
from iris.cluster.controller.handlers import granted, unknown
from iris.cluster.controller.turns import TurnLoop
from iris.core import events as ev
from iris.core.cadence import DEAF_AFTER, ENDPOINT_LEASE, LOOK_EVERY, RENEW_EVERY
from iris.core.endpoints import EndpointView, endpoint_views, mark_of, standing_answer
from iris.core.ids import NAME, EndpointId, JobId, RequestId, UserName, is_name
from iris.core.leases import Leases
from iris.core.state import ClusterState
from iris.rpc import codec
from iris.rpc import iris_pb2 as pb
from iris.rpc.methods import LONG_POLL_MS, Kind

MAX_NAMES: Final = 1_000
"""That may be looked for in one call."""


@dataclass(frozen=True, slots=True)
class _Question:
    """What somebody looks for, as far as they may see."""

    names: tuple[str, ...]
    job: JobId | None  # None: no job in particular
    below: bool
    user: UserName | None  # None: of any user
    secrets: bool

    def is_about(self, job: JobId) -> bool:
        """Whether the endpoints of a job are looked for."""
        if self.job is None or job == self.job:
            return True
        return self.below and job.startswith(f"{self.job}/")


class EndpointHandlers:
    """The calls of `EndpointService`."""

    def __init__(self, loop: TurnLoop, door: Doorkeeper) -> None:
        """Nobody was heard yet: whatever is listed begins a lease."""
        self._loop = loop
        self._door = door
        self._leases = Leases(loop.clock.now(), span=ENDPOINT_LEASE, deaf_after=DEAF_AFTER)
        self._requests = count()
        self._waiting: dict[asyncio.Event, None] = {}
        self._told: dict[_Question, pb.ListEndpointsResponse] = {}
        self._told_at = -1
        """The answers are of this count of changes."""

    @property
    def _state(self) -> ClusterState:
        return self._loop.controller.state

    # ---- servers -------------------------------------------------------------------------------

    async def register_endpoint(
        self, request: pb.RegisterEndpointRequest, caller: Caller
    ) -> pb.RegisterEndpointResponse:
        """List a server of the caller's own attempt; the same twice is the same once."""
        task = codec.task_from_wire(request.task)
        caller.check_attempt(task, request.attempt)
        asked = RequestId(f"endpoint/{next(self._requests)}")
        event = ev.EndpointRegistered(asked, task, request.attempt, request.name, request.address)
        # What is refused, or listed already, costs no turn and no line of the journal.
        answer = standing_answer(self._state, event) or await self._loop.ask(asked, event)
        endpoint = granted(answer).endpoint
        assert endpoint is not None, asked
        self._leases.renew([endpoint], self._loop.clock.now())
        return pb.RegisterEndpointResponse(
            id=endpoint, secret=self._door.endpoint_secret(endpoint), renew_every_ms=RENEW_EVERY
        )

    async def renew_endpoints(
        self, request: pb.RenewEndpointsRequest, caller: Caller
    ) -> pb.RenewEndpointsResponse:
        """Begin the leases of some servers anew. It costs no turn."""
        task = codec.task_from_wire(request.task)
        caller.check_attempt(task, request.attempt)
        listed = {known.id for known in self._state.endpoints.get(task, ())}
        named = [EndpointId(name) for name in request.endpoints]
        self._leases.renew([name for name in named if name in listed], self._loop.clock.now())
        return pb.RenewEndpointsResponse(unknown=[name for name in named if name not in listed])

    async def withdraw_endpoints(
        self, request: pb.WithdrawEndpointsRequest, caller: Caller
    ) -> pb.WithdrawEndpointsResponse:
        """List some servers no longer. Those that are not listed are none of its concern."""
        task = codec.task_from_wire(request.task)
        caller.check_attempt(task, request.attempt)
        named = {EndpointId(name) for name in request.endpoints}
        gone = tuple(e.id for e in self._state.endpoints.get(task, ()) if e.id in named)
        if gone:
            self._loop.deliver(ev.EndpointsWithdrawn(task, gone))
        return pb.WithdrawEndpointsResponse()

    # ---- those who look for them ---------------------------------------------------------------

    async def list_endpoints(
        self, request: pb.ListEndpointsRequest, caller: Caller
    ) -> pb.ListEndpointsResponse:
        """What serves under some names: at once, or when it is not what the caller knows."""
        question = self._question(request, caller)
        end = asyncio.get_running_loop().time() + min(request.wait_ms, LONG_POLL_MS) / 1_000
        changed = asyncio.Event()
        self._waiting[changed] = None
        try:
            async with asyncio.timeout_at(end):
                while (answer := self._answer(question)).mark == request.known:
                    await changed.wait()
                    changed.clear()
        except TimeoutError:
            answer = self._answer(question)
        finally:
            del self._waiting[changed]
        return answer

    def _question(self, request: pb.ListEndpointsRequest, caller: Caller) -> _Question:
        """What is asked for, within what the caller may see.

        Raises:
            Malformed: a name can be none.
            Refused: there is no such job.
            NotPermitted: it is another's.
        """
        names, secrets = _names(request.names), request.secrets
        user = caller.user if caller.kind is Kind.USER else None
        if not request.job:
            return _Question(names, caller.tree, True, user, secrets)  # noqa: FBT003
        job = self._state.jobs.get(JobId(request.job))
        if not caller.may_see(JobId(request.job)):
            raise NotPermitted(f"this token is limited to {caller.tree}")
        if job is None:
            unknown(f"job {request.job}")
        if user is not None and user != job.spec.user:
            raise NotPermitted(f"{job.id} belongs to {job.spec.user}")
        return _Question(names, job.id, request.tree, user, secrets)

    def _answer(self, question: _Question) -> pb.ListEndpointsResponse:
        """The answer to a question; where many ask the same, it is found once after each change."""
        if self._told_at != self._state.endpoint_changes:
            self._told_at = self._state.endpoint_changes
            self._told.clear()
        if (
            not question.secrets
        ):  # Then people ask: when something was heard of last changes always.
            return self._found(question)
        if question not in self._told:
            self._told[question] = self._found(question)
        return self._told[question]

    def _found(self, question: _Question) -> pb.ListEndpointsResponse:
        views = endpoint_views(
            self._state, names=question.names, user=question.user, only=question.is_about
        )
        return pb.ListEndpointsResponse(
            endpoints=[self._wired(view, secret=question.secrets) for view in views],
            mark=mark_of(view.endpoint.id for view in views),
        )

    def _wired(self, view: EndpointView, *, secret: bool) -> pb.Endpoint:
        known = view.endpoint
        return pb.Endpoint(
            id=known.id,
            name=known.name,
            address=known.address,
            job=view.job,
            task=view.task,
            rank=view.rank,
            attempt=known.attempt,
            registered_at_ms=known.registered_at,
            renewed_at_ms=None if secret else self._leases.renewed_at(known.id),
            secret=self._door.endpoint_secret(known.id) if secret else "",
        )

    # ---- changes, and leases -------------------------------------------------------------------

    async def watch(self) -> None:
        """Wake those who wait when what is listed has changed, for ever: one cheap look after a turn."""
        turned, seen = self._loop.watch(), self._state.endpoint_changes
        try:
            while True:
                await turned.wait()
                turned.clear()
                if seen != self._state.endpoint_changes:
                    seen = self._state.endpoint_changes
                    for waiting in self._waiting:
                        waiting.set()
        finally:
            self._loop.unwatch(turned)

    async def watch_leases(self) -> None:
        """Look for leases that have run out, for ever."""
        while True:
            await asyncio.sleep(LOOK_EVERY / 1_000)
            for over in self._leases.look(self._loop.clock.now(), self._state.endpoints):
                self._loop.deliver(over)


def _names(told: Sequence[str]) -> tuple[str, ...]:
    if len(told) > MAX_NAMES:
        raise codec.Malformed(f"names: {len(told)} are more than {MAX_NAMES}")
    for name in told:
        if not is_name(name.replace("*", "x")):
            raise codec.Malformed(
                f"names: {name!r} is no name of an endpoint: write {NAME.pattern}, with * for any characters"
            )
    return tuple(sorted(set(told))) or ("*",)
