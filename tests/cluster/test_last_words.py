"""What a machine said that never served is still there when the machine is not."""

import asyncio
from collections.abc import Sequence

import pytest

from iris.cluster.controller import last_words
from iris.cluster.controller.handlers import Refused
from iris.cluster.controller.last_words import LastWords
from iris.cluster.controller.links import Links
from iris.cluster.controller.vm_handlers import VmHandlers
from iris.core import events as ev
from iris.core.effects import CreateSlice, DeleteSlice, ObserveSlices
from iris.core.events import Event
from iris.core.ids import SliceId, worker_id
from iris.core.instant import MINUTE, Instant
from iris.ports import NoLog, VmPlace
from tests.harness import Script, cluster, cpu_group, tpu_group


class Cloud:
    """One whose machines say this, or never answer."""

    def __init__(self, words: str | None) -> None:
        self.words = words
        self.asked: list[VmPlace] = []
        self.deleted: list[SliceId] = []

    async def create_slice(self, request: CreateSlice) -> Sequence[Event]:
        raise AssertionError(request)

    async def observe(self, request: ObserveSlices) -> Sequence[Event]:
        raise AssertionError(request)

    async def delete_slice(self, request: DeleteSlice) -> Sequence[Event]:
        self.deleted.append(request.slice)
        return ()

    async def log(self, vm: VmPlace, most_bytes: int) -> bytes:
        self.asked.append(vm)
        if self.words is None:
            await asyncio.Event().wait()
        if vm.host:
            raise NoLog("it has said nothing yet")
        return f"{vm.slice} {vm.host}: {self.words}".encode()[-most_bytes:]


class Now:
    """It is always the same."""

    def now(self) -> Instant:
        return Instant(0)


def given_up(script: Script, cloud: Cloud) -> LastWords:
    """All that is asked to be deleted is, and is asked for once more, as if no answer had come."""
    heard = LastWords(cloud, script.controller.state)
    for request in script.asked(DeleteSlice):
        for _ in range(2):
            asyncio.run(heard.delete_slice(request))
    return heard


def booting() -> tuple[Script, SliceId]:
    """A slice whose machines do not come up."""
    script = cluster(tpu_group(hosts=2))
    script.submit("gang", gang=True, replicas=2, tpu="v5litepod-16")
    (name,) = script.coming("tpu")
    script.step(ev.SliceAccepted(name)).advance(MINUTE)
    return script, name


def test_a_machine_that_never_served_is_heard_before_it_goes() -> None:
    script, name = booting()
    cloud = Cloud("startup-script: no space left on device")
    handlers = VmHandlers(script.controller.state, Links(Now(), lambda _: None), Now())
    script.terminate(name)
    heard = given_up(script, cloud)
    assert cloud.deleted == [name, name]
    assert [vm.host for vm in cloud.asked] == [0, 1]
    script.deleted(name)
    handlers.attach(cloud.log, heard.of)
    said = asyncio.run(handlers.log_of(worker_id(name, 0), 1_000))
    assert said.endswith(b"no space left on device")
    with pytest.raises(Refused, match="is not known"):
        asyncio.run(handlers.log_of(worker_id(name, 1), 1_000))


def test_a_cloud_that_does_not_answer_keeps_no_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_words, "PATIENCE_S", 0.0)
    script, name = booting()
    cloud = Cloud(None)
    heard = given_up(script.terminate(name), cloud)
    assert cloud.deleted == [name, name]
    assert heard.of(worker_id(name, 0)) is None


def test_machines_that_served_or_never_came_are_not_asked() -> None:
    script = cluster(cpu_group(max_slices=2))
    script.submit("one", cpu=4)
    script.ready("cpu")
    script.submit("two", cpu=4)
    served, refused = (it.id for it in script.controller.state.slices.values())
    cloud = Cloud("hello")
    script.step(ev.SliceAccepted(refused)).refused(refused, ev.CreateFailure.STOCKOUT)
    given_up(script, cloud)
    given_up(script.terminate(served), cloud)
    assert cloud.deleted == [refused, refused, served, served]
    assert cloud.asked == []
