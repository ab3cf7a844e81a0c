"""Gives back every slice that a provider has, when no controller does: by what the cloud lists, until it lists none."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from iris.cluster.vm.host import HostTrouble, Say
from iris.core.effects import DeleteSlice, ObserveSlices
from iris.core.events import SliceDeleteFailed, SliceSighting, SlicesObserved
from iris.core.ids import GroupName, Zone
from iris.exit_status import ExitStatus
from iris.ports import VmManager

_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 30.0
_PERMISSION: Final = (
    "they cost money: give the account roles/tpu.admin and roles/compute.instanceAdmin.v1,"
    " and stop again"
)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long slices may take to go, and what to do about those that are left then."""

    seconds: float
    remedy: str


CLOUD: Final = Patience(900.0, "they may cost money: try again, and look at the cloud")
HOSTS: Final = Patience(
    120.0, "stop it again when the host answers, or take it out of provider.hosts for good"
)
"""Of hosts that are there already: no waiting brings back one that is dead."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a cloud says that there is."""

    slices: tuple[SliceSighting, ...]
    lacks: str = ""
    """Why there may be more; empty when that is all."""


async def look(vms: VmManager) -> Seen:
    """All slices that there are."""
    (found,) = await vms.observe(ObserveSlices())
    assert isinstance(found, SlicesObserved), found
    lacks = "" if found.complete else found.error or "not every place has answered"
    return Seen(found.listing, lacks)


async def clear(vms: VmManager, say: Say, patience: Patience = CLOUD) -> int:
    """Delete all slices, and wait until a complete listing has none; how many there were.

    Raises:
        HostTrouble: some are left, or may be; names them. At once when nobody may delete them who asks.
    """
    deleted: dict[str, None] = {}
    told: dict[str, None] = {}
    left: Sequence[str] = ()
    pause_s = _FIRST_PAUSE_S
    try:
        async with asyncio.timeout(patience.seconds):
            while True:
                seen = await look(vms)
                if not seen.slices and not seen.lacks:
                    return len(deleted)
                left = [it.slice for it in seen.slices] or [seen.lacks]
                for name in (it.slice for it in seen.slices if it.slice not in deleted):
                    say(f"deleting slice {name}")
                    deleted[name] = None
                if seen.lacks:
                    say(f"the listing is not complete: {seen.lacks}")
                failures = await _delete(vms, seen.slices)
                refused = [f"{it.slice} ({it.detail})" for it in failures]
                _check_permission(failures)
                for reason in (it for it in refused if it not in told):
                    say(f"not deleted yet: {reason}")
                    told[reason] = None
                left = refused or left
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
    except TimeoutError as error:
        message = f"not all slices are gone after {patience.seconds:g} s: {', '.join(left)}"
        raise HostTrouble(message, patience.remedy) from error


def _check_permission(failures: Sequence[SliceDeleteFailed]) -> None:
    denied = [f"{it.slice} ({it.detail})" for it in failures if it.denied]
    if denied:
        message = f"slices that this account may not delete are left: {', '.join(denied)}"
        raise HostTrouble(message, _PERMISSION, status=ExitStatus.NOT_PERMITTED)


async def _delete(vms: VmManager, slices: Sequence[SliceSighting]) -> Sequence[SliceDeleteFailed]:
    """Those that could not be deleted, and why."""
    deletes = (
        vms.delete_slice(DeleteSlice(it.slice, it.group or GroupName(""), it.zone or Zone("")))
        for it in slices
    )
    facts = [fact for some in await asyncio.gather(*deletes) for fact in some]
    return [fact for fact in facts if isinstance(fact, SliceDeleteFailed)]
