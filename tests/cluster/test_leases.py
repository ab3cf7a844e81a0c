"""A server that died without a word: its lease runs out, those who wait are told, and it may come back."""

import asyncio
from pathlib import Path

import pytest

from iris.cluster.controller import endpoint_handlers
from iris.cluster.controller.auth import Caller, Doorkeeper
from iris.cluster.controller.endpoint_handlers import EndpointHandlers
from iris.cluster.controller.journal import SqliteJournal
from iris.cluster.controller.turns import TurnLoop
from iris.config import Auth
from iris.core.cadence import ENDPOINT_LEASE, LOOK_EVERY, RENEW_EVERY
from iris.core.instant import Instant, Millis, after
from iris.rpc import iris_pb2 as pb
from iris.rpc.methods import Kind
from tests.harness import cpu_group, fleet

ANYBODY = Caller(Kind.ADMIN)
TASK = "/alice/train:0"


class Clock:
    """Stands still until it is told."""

    def __init__(self, at: Instant) -> None:
        self.at = at

    def now(self) -> Instant:
        return self.at


def test_a_lease_that_runs_out_is_told_at_once_and_whoever_lives_is_listed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint_handlers, "LOOK_EVERY", 1)
    script = fleet(cpu_group(min_slices=1))
    script.running(script.submit())
    clock = Clock(script.now)
    journal = SqliteJournal(tmp_path / "journal.sqlite")
    loop = TurnLoop(script.controller, journal, clock)
    handlers = EndpointHandlers(loop, Doorkeeper(Auth((), (), None), b"k" * 32))

    async def pass_time(span: int) -> None:
        """Let the watch look as often as it does in so long a time."""
        for _ in range(0, span, LOOK_EVERY):
            clock.at = after(clock.at, Millis(LOOK_EVERY))
            await asyncio.sleep(0.003)

    async def story() -> None:
        tasks = [loop.run(lambda _: None), handlers.watch(), handlers.watch_leases()]
        running = [asyncio.create_task(each) for each in tasks]
        answers = [
            await handlers.register_endpoint(
                pb.RegisterEndpointRequest(task=TASK, name=name, address="h:1"), ANYBODY
            )
            for name in ("dies", "lives")
        ]
        dead, alive = [answer.id for answer in answers]
        renew = pb.RenewEndpointsRequest(task=TASK, endpoints=[alive])
        known = await handlers.list_endpoints(pb.ListEndpointsRequest(secrets=True), ANYBODY)
        assert [each.secret for each in known.endpoints] == [each.secret for each in answers]
        question = pb.ListEndpointsRequest(secrets=True, known=known.mark, wait_ms=10_000)
        waiting = asyncio.create_task(handlers.list_endpoints(question, ANYBODY))
        for _ in range(ENDPOINT_LEASE // RENEW_EVERY):
            assert not (await handlers.renew_endpoints(renew, ANYBODY)).unknown
            await pass_time(RENEW_EVERY)
        await pass_time(RENEW_EVERY)
        told = await waiting
        assert [each.id for each in told.endpoints] == [alive]
        late = pb.RenewEndpointsRequest(task=TASK, endpoints=[dead, alive])
        assert (await handlers.renew_endpoints(late, ANYBODY)).unknown == [dead]
        again = await handlers.register_endpoint(
            pb.RegisterEndpointRequest(task=TASK, name="dies", address="h:1"), ANYBODY
        )
        assert (again.id, again.secret) == (dead, answers[0].secret)
        gone = pb.WithdrawEndpointsRequest(task=TASK, endpoints=[alive, "/nobody's"])
        question.known = (await handlers.list_endpoints(question, ANYBODY)).mark
        waiting = asyncio.create_task(handlers.list_endpoints(question, ANYBODY))
        await handlers.withdraw_endpoints(gone, ANYBODY)
        assert [each.id for each in (await waiting).endpoints] == [dead]
        loop.close()
        for each in running[1:]:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    asyncio.run(story())
    journal.close()
