"""What Google gives slices as: nodes, queued resources, instances; newer TPUs will be one more of them.

Each kind knows how its things are asked for, found and removed. None touches what is not ours: before
something is believed to be the slice that was asked for, or is removed, its labels are read.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from iris.cluster.vm.gcp_errors import SILENCE, CloudError, Code
from iris.cluster.vm.gcp_names import CLUSTER, SLICE, TOKEN, Marks
from iris.cluster.vm.gcp_operations import Look
from iris.core.effects import CreateSlice
from iris.core.events import CloudState
from iris.core.ids import SliceId, Zone
from iris.core.spec import GroupSpec
from iris.ports import VmPlace


@dataclass(frozen=True, slots=True)
class Order:
    """A slice that is asked for."""

    request: CreateSlice
    group: GroupSpec
    name: str
    labels: Mapping[str, str]
    metadata: Callable[[int | None], Mapping[str, str]]
    """Of one host of it, or of all where the cloud numbers them itself."""


@dataclass(frozen=True, slots=True)
class Found:
    """Something of ours that a listing holds."""

    slice: SliceId
    labels: Mapping[str, str]
    zone: Zone
    state: CloudState
    failure: CloudError | None = None  # None: it has not failed to come, or does not say so
    """What the listing says that its create came to."""


@dataclass(frozen=True, slots=True)
class Listing:
    """All of one kind that we have."""

    found: tuple[Found, ...] = ()
    lacks: str = ""
    """Why it is not complete; empty when it is."""


class Unanswered(Exception):
    """Whether something exists cannot be told now."""


class Kind(Protocol):
    """One way in which slices come."""

    async def create(self, order: Order) -> Sequence[Look]:
        """Ask for a slice under its name: what to follow, if it was not there already.

        Raises:
            CloudError: it was refused, or something else has its name.
            Unanswered: whether it was created is not known.
        """
        ...

    async def delete(self, slice_: SliceId, zone: Zone, hosts: int) -> Sequence[Look]:
        """Begin to remove a slice: what to follow, nothing if there is nothing of ours.

        Raises:
            CloudError: it cannot be removed now.
        """
        ...

    async def list(self) -> Listing:
        """All that we have, wherever it is; a failure is told in the answer."""
        ...

    async def log(self, vm: VmPlace) -> str:
        """What a machine of a slice has said of itself; empty if it has said nothing yet.

        Raises:
            CloudError: there is no such machine, or it cannot be asked now.
        """
        ...


async def made(
    insert: Callable[[], Awaitable[Look]],
    labels: Callable[[], Awaitable[Mapping[str, str] | None]],
    wanted: Mapping[str, str],
) -> Look | None:
    """Create one thing, once: what to follow, or nothing when it was there already and is ours.

    Args:
        insert: asks for it.
        labels: those of what has the name; None if nothing has.
        wanted: those that it is to have.

    Raises:
        CloudError: it was refused, or another's has its name.
        Unanswered: no answer came, and none to the question whether it is there.
    """
    try:
        return await insert()
    except CloudError as error:
        if error.code is not Code.ALREADY_EXISTS and error.code not in SILENCE:
            raise
        refusal = error
    try:
        found = await labels()
    except CloudError as error:
        raise Unanswered(f"{refusal}; and then {error}") from error
    if found is None:
        raise refusal
    if any(found.get(key) != wanted[key] for key in (CLUSTER, SLICE, TOKEN)):
        owner = found.get(CLUSTER)
        whose = (
            f"an earlier life of cluster {owner}, or another one of this name"
            if owner
            else "others"
        )
        if owner and owner != wanted[CLUSTER]:
            whose = f"cluster {owner}"
        raise CloudError(Code.ALREADY_EXISTS, f"its name is taken by {whose}")
    return None


async def removed(
    remove: Callable[[], Awaitable[Look]],
    labels: Callable[[], Awaitable[Mapping[str, str] | None]],
    marks: Marks,
    slice_: SliceId,
) -> Look | None:
    """Begin to remove one thing: what to follow, or nothing when it is not there or not ours.

    Raises:
        CloudError: it cannot be removed now.
    """
    try:
        found = await labels()
        if found is None or marks.slice_of(found) != slice_:
            return None
        return await remove()
    except CloudError as error:
        if error.code is Code.NOT_FOUND:
            return None
        raise


def worst(states: Iterable[CloudState]) -> CloudState:
    """What is to be said of a whole whose parts are in these states."""
    order = (
        CloudState.PREEMPTED,
        CloudState.STOPPED,
        CloudState.OTHER,
        CloudState.DELETING,
        CloudState.REPAIRING,
        CloudState.CREATING,
        CloudState.READY,
    )
    return min(states, key=order.index)
