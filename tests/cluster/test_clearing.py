"""A cluster's slices are given back without a controller, and what holds that up is told once."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from iris.cluster.vm.clearing import HOSTS, clear
from iris.cluster.vm.host import HostTrouble
from iris.core import effects as ef
from iris.core import events as ev
from iris.core.ids import GroupName, SliceId, Zone
from iris.core.instant import Instant
from iris.exit_status import ExitStatus

SLICE = SliceId("iris-cpu-1")


class Reluctant:
    """A cloud that gives its one slice back at the third time of asking."""

    def __init__(self) -> None:
        self.asked = 0

    async def observe(self, _: ef.ObserveSlices) -> Sequence[ev.Event]:
        here = ev.SliceSighting(SLICE, ev.CloudState.READY, GroupName("cpu"), Zone("a"))
        listing = (here,) if self.asked < 3 else ()
        return (ev.SlicesObserved(listing, Instant(0), complete=True),)

    async def delete_slice(self, request: ef.DeleteSlice) -> Sequence[ev.Event]:
        self.asked += 1
        if self.asked < 3:
            return (ev.SliceDeleteFailed(request.slice, "its host does not answer"),)
        return (ev.SliceDeleted(request.slice),)

    async def create_slice(self, request: ef.CreateSlice) -> Sequence[ev.Event]:
        raise AssertionError(request)


def test_why_a_slice_is_still_there_is_said_once() -> None:
    said: list[str] = []
    assert asyncio.run(clear(Reluctant(), said.append)) == 1
    assert said == [
        "deleting slice iris-cpu-1",
        "not deleted yet: iris-cpu-1 (its host does not answer)",
    ]


class Stubborn(Reluctant):
    """One that never does."""

    async def delete_slice(self, request: ef.DeleteSlice) -> Sequence[ev.Event]:
        return (ev.SliceDeleteFailed(request.slice, "host 10.0.0.2: it does not answer"),)


class Forbidden(Reluctant):
    """One that does not let us."""

    async def delete_slice(self, request: ef.DeleteSlice) -> Sequence[ev.Event]:
        return (ev.SliceDeleteFailed(request.slice, "PERMISSION_DENIED: no", denied=True),)


def test_a_delete_that_is_denied_is_not_waited_for() -> None:
    with pytest.raises(HostTrouble, match=r"are left: iris-cpu-1 \(PERMISSION_DENIED") as told:
        asyncio.run(clear(Forbidden(), lambda _: None))
    assert told.value.status is ExitStatus.NOT_PERMITTED
    assert "roles/tpu.admin" in told.value.help


def test_a_host_that_never_answers_is_named_with_the_way_out() -> None:
    with pytest.raises(HostTrouble, match=r"gone after 0.1 s: iris-cpu-1 \(host 10.0.0.2") as told:
        asyncio.run(clear(Stubborn(), lambda _: None, replace(HOSTS, seconds=0.1)))
    assert "take it out of provider.hosts" in told.value.help
