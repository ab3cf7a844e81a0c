"""Actors on a real cluster: tasks of one job find each other by name alone, and a stranger calls nobody."""

from pathlib import Path

import pytest

from iris.actor import ActorClient, ActorUnavailable, FixedResolver
from iris.cluster.types import Entrypoint
from tests.cluster.running import running


def together() -> list[int]:
    """Three tasks: two serve under one name; the first calls both, and returns what they said."""
    from iris.actor import ActorPool, ActorServer
    from iris.client import iris_ctx

    class Member:
        def rank(self) -> int:
            return iris_ctx().task_index

        def leave(self) -> str:
            import threading

            threading.Thread(target=server.stop).start()
            return server.address

    if iris_ctx().task_index:
        server = ActorServer()
        server.register("member", Member())
        server.run()
        return []
    with ActorPool("member", timeout=30) as pool:
        pool.wait_for(2, timeout=30)
        ranks = sorted(future.result() for future in pool.rank.broadcast())
        addresses = [future.result() for future in pool.leave.broadcast()]
        assert len(set(addresses)) == 2
    return ranks


def knock(address: str) -> str:
    """Call without having been told the secret; what came of it."""
    try:
        ActorClient("it", FixedResolver(address, token="a guess"), patience=0.1).add()
    except Exception as error:  # noqa: BLE001
        return type(error).__name__
    return "served"


def guarded() -> str:
    """A server in a task, and somebody who knows where it is but not its secret."""
    from iris.actor import ActorServer

    class It:
        def add(self) -> int:
            return 1

    with ActorServer() as server:
        server.register("it", It())
        assert ActorClient("it").add() == 1
        return knock(server.address)


def test_tasks_find_each_other_by_name(tmp_path: Path) -> None:
    for cluster in running(tmp_path):
        with cluster.client() as client:
            job = client.submit(Entrypoint.from_callable(together), "together", replicas=3)
            alone = client.submit(Entrypoint.from_callable(guarded), "guarded")
            assert job.result(60) == [1, 2]
            assert alone.result(60) == "ActorDenied"
            outside = ActorClient("member", client.resolver(job.id), patience=0.2)
            with pytest.raises(ActorUnavailable, match="nobody serves it"):
                outside.rank()
