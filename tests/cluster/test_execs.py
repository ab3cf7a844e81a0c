"""Who asks for a command and the worker that has the task are brought together, and nothing of it is lost."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import pytest

from iris.cluster.controller import execs as module
from iris.cluster.controller.auth import Caller, NotPermitted
from iris.cluster.controller.execs import Execs
from iris.cluster.controller.handlers import Refused
from iris.core.ids import WorkerId
from iris.rpc import iris_pb2 as pb
from iris.rpc.methods import Kind

WORKER: Final = WorkerId("w0")
ITS: Final = Caller(Kind.WORKER, worker=WORKER)
START: Final = pb.ExecInput(start=pb.ExecStart(task="/alice/train:0", command=["true"]))


async def nothing(*inputs: pb.ExecInput) -> AsyncIterator[pb.ExecInput]:
    for message in inputs:
        yield message


async def said(*outputs: pb.ExecOutput) -> AsyncIterator[pb.ExecOutput]:
    for output in outputs:
        yield output


def test_what_a_worker_says_last_arrives_though_it_goes_in_the_same_moment() -> None:
    async def once() -> list[pb.ExecOutput]:
        execs = Execs(lambda _worker: None)
        asking = asyncio.ensure_future(collected(execs))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        (id,) = execs.offer(WORKER)
        outputs = said(pb.ExecOutput(out=b"1"), pb.ExecOutput(out=b"2"), pb.ExecOutput(exit=3))
        async for _ in execs.serve(id, outputs, ITS):
            pass
        return await asking

    async def collected(execs: Execs) -> list[pb.ExecOutput]:
        return [output async for output in execs.run(WORKER, START, nothing())]

    for _ in range(50):
        outputs = asyncio.run(once())
        assert [output.out for output in outputs[:2]] == [b"1", b"2"]
        assert outputs[-1].exit == 3


def test_a_worker_is_told_again_until_it_comes_and_not_waited_for_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_OFFER_S", 0.02)

    async def work() -> int:
        told = 0

        def wake(worker: WorkerId) -> None:
            nonlocal told
            assert len(execs.offer(worker)) == 1
            assert execs.offer(worker) == []  # Until it is offered again.
            told += 1

        execs = Execs(wake)
        with pytest.raises(Refused, match="has not come for the command within"):
            async for _ in execs.run(WORKER, START, nothing()):
                pass
        assert execs.offer(WORKER) == []
        return told

    assert asyncio.run(work()) == 8


def test_a_command_is_served_once_and_by_its_own_worker_only() -> None:
    async def work() -> None:
        execs = Execs(lambda _worker: None)
        asking = asyncio.ensure_future(anext(execs.run(WORKER, START, nothing())))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert execs.offer(WorkerId("w1")) == []
        (id,) = execs.offer(WORKER)
        other = Caller(Kind.WORKER, worker=WorkerId("w1"))
        with pytest.raises(NotPermitted, match="and not of w0"):
            await anext(execs.serve(id, said(), other))
        serving = execs.serve(id, said(pb.ExecOutput(exit=0)), ITS)
        assert (await anext(serving)).start.task == "/alice/train:0"
        for wrong in (id, "nonsense", ""):
            with pytest.raises(Refused, match="is not known"):
                await anext(execs.serve(wrong, said(), ITS))
        assert (await asking).exit == 0

    asyncio.run(work())
