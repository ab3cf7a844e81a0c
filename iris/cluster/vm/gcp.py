"""Slices from Google Cloud: TPUs as nodes and queued resources, everything else as instances.

It reports and concludes nothing. A create is answered when Google has taken it; its operation is read only
to hear of a failure sooner than by silence, and says nothing about readiness. What a listing lacks is told
as absent only if every place has answered. What is under our name and not ours is left alone.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from iris.cluster.vm.bootstrap import Bootstrap, metadata_of
from iris.cluster.vm.gcp_calls import Calls, Limits
from iris.cluster.vm.gcp_compute import Instances
from iris.cluster.vm.gcp_endpoints import Endpoints, google
from iris.cluster.vm.gcp_errors import CloudError, Code, is_refusal, meaning_of
from iris.cluster.vm.gcp_kinds import Found, Kind, Listing, Order, Unanswered, worst
from iris.cluster.vm.gcp_names import Marks, group_of
from iris.cluster.vm.gcp_operations import Look, Operations, StillGoing
from iris.cluster.vm.gcp_rest import Rest
from iris.cluster.vm.gcp_tpu import Nodes, Queued, is_reserved
from iris.cluster.vm.gcp_tpu_client import TpuClient
from iris.config import Gcp
from iris.core.effects import CreateSlice, DeleteSlice, ObserveSlices
from iris.core.events import (
    CreateFailure,
    Event,
    SliceAccepted,
    SliceCreateFailed,
    SliceDeleted,
    SliceDeleteFailed,
    SliceSighting,
    SlicesObserved,
)
from iris.core.ids import GroupName, SliceId, Zone
from iris.core.instant import Instant
from iris.core.spec import GroupSpec
from iris.core.topology import tpu_type
from iris.ports import Clock, NoLog, VmPlace

_NOT_ENABLED: Final = ("SERVICE_DISABLED", "accessNotConfigured")
"""How an interface that the project has never enabled says so."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GcpSettings:
    """Which project, and how it is asked."""

    gcp: Gcp
    versions: Mapping[GroupName, str]
    """The software of each group of TPUs."""
    endpoints: Endpoints = field(default_factory=google)
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one look at the whole project has shown."""

    asked_at: Instant
    sightings: Mapping[SliceId, SliceSighting]
    failures: Sequence[SliceCreateFailed]
    lacks: str


@dataclass(slots=True)
class _Underway:
    """Requests being carried out: one that is asked for again meanwhile has the same answer."""

    tasks: dict[SliceId, "asyncio.Task[Sequence[Event]]"] = field(default_factory=dict)

    async def join(
        self, name: SliceId, work: Callable[[], Awaitable[Sequence[Event]]]
    ) -> Sequence[Event]:
        """The answer of the one for a slice, which begins now if none is under way."""
        task = self.tasks.get(name)
        if task is None:
            task = asyncio.ensure_future(work())
            self.tasks[name] = task
            task.add_done_callback(lambda _: self.tasks.pop(name))
        return await asyncio.shield(task)


class GcpVmManager:
    """A project of Google Cloud, as far as it is this cluster's."""

    def __init__(
        self,
        settings: GcpSettings,
        bootstrap: Bootstrap,
        clock: Clock,
        deliver: Callable[[Event], None],
    ) -> None:
        """A provider of slices.

        Args:
            settings: whose, and how.
            bootstrap: what machines are told.
            clock: dates listings.
            deliver: where to tell that a create has failed after all.
        """
        self._limits = settings.limits
        self._bootstrap = bootstrap
        self._clock = clock
        self._deliver = deliver
        self._marks = Marks(settings.gcp.cluster)
        self._client = TpuClient(settings.endpoints)
        self._rest = Rest(settings.endpoints, settings.gcp.project_id)
        calls = Calls(settings.limits)
        nodes = Nodes(self._client, calls, settings.gcp, settings.versions)
        queued = Queued(self._client, calls, settings.gcp, settings.versions)
        instances = Instances(self._rest, calls, settings.gcp)
        self._reserved: tuple[Kind, ...] = (queued, nodes)
        """Whoever removes a reserved slice removes what is in the queue first: else it comes again."""
        self._at_once: tuple[Kind, ...] = (nodes,)
        self._no_tpus: tuple[Kind, ...] = (instances,)
        self._kinds: tuple[Kind, ...] = (queued, nodes, instances)
        self._seen_as: dict[SliceId, tuple[Kind, ...]] = {}
        """What slices were at the last look, whatever the configuration makes of their groups now."""
        self._operations = Operations(settings.limits)
        self._creating, self._deleting = _Underway(), _Underway()
        self._followed: dict[SliceId, asyncio.Task[None]] = {}
        self._turns: dict[SliceId, asyncio.Lock] = {}
        """One call at a time changes a slice."""
        self._looking: asyncio.Task[_Seen] | None = None  # None: nobody has looked yet
        self._looked_at = 0.0

    # ---- the port ------------------------------------------------------------------------------

    async def create_slice(self, request: CreateSlice) -> Sequence[Event]:
        """Ask for a slice; the answer is that Google has taken the request, and not that it is there."""
        return await self._creating.join(request.slice, partial(self._create, request))

    async def delete_slice(self, request: DeleteSlice) -> Sequence[Event]:
        """Give a slice back; the answer comes when it is no more."""
        return await self._deleting.join(request.slice, partial(self._delete, request))

    async def observe(self, request: ObserveSlices) -> Sequence[Event]:
        """Look at the whole project, and tell of the named slices, or of all."""
        seen = await self._look()
        if seen.lacks and not seen.sightings:
            failed = SlicesObserved((), seen.asked_at, complete=False, error=seen.lacks)
            return (failed,)
        wanted = request.slices or seen.sightings
        listing = tuple(seen.sightings[name] for name in wanted if name in seen.sightings)
        missing = tuple(name for name in request.slices if name not in seen.sightings)
        found = SlicesObserved(
            listing,
            seen.asked_at,
            complete=not request.slices and not seen.lacks,
            missing=() if seen.lacks else missing,
        )
        failures = (it for it in seen.failures if it.slice in wanted)
        return (*failures, found)

    async def log(self, vm: VmPlace, most_bytes: int) -> bytes:
        """The end of what a machine has said of itself since it booted.

        Raises:
            NoLog: it is not there, cannot be asked, or has said nothing.
        """
        group = self._bootstrap.groups().get(vm.group)
        by_group = self._kinds_of(group) if group is not None else ()
        kinds = (*by_group, *self._seen_as.get(vm.slice, ()))
        if not kinds:
            raise NoLog(f"what {vm.slice} is, nobody knows: group {vm.group} is not configured")
        try:
            said = (await kinds[0].log(vm)).encode()
        except CloudError as error:
            raise NoLog(str(error)) from error
        if not said:
            raise NoLog("it has said nothing yet")
        return said[-most_bytes:]

    async def watch(self) -> None:
        """Follow the operations of creates and deletes, for ever."""
        try:
            await self._operations.poll()
        finally:
            tasks = [
                *self._creating.tasks.values(),
                *self._deleting.tasks.values(),
                *self._followed.values(),
                *([self._looking] if self._looking is not None else ()),
            ]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._client.close()
            self._rest.close()

    async def end_all(self) -> None:
        """Give every slice back that can be seen."""
        seen = await self._look()
        ends = (
            self.delete_slice(DeleteSlice(it.slice, it.group or GroupName(""), it.zone or Zone("")))
            for it in seen.sightings.values()
        )
        for facts in await asyncio.gather(*ends):
            for fact in facts:
                if isinstance(fact, SliceDeleteFailed):
                    _log.warning("%s may be left: %s", fact.slice, fact.detail)

    # ---- creating ------------------------------------------------------------------------------

    async def _create(self, request: CreateSlice) -> Sequence[Event]:
        name = request.slice
        group = self._bootstrap.groups().get(request.group)
        if group is None:
            detail = f"group {request.group} is not configured"
            return (SliceCreateFailed(name, CreateFailure.BAD_REQUEST, detail),)
        kind, *_ = self._kinds_of(group)
        async with self._turn_of(name):
            try:
                looks = await kind.create(self._order(request, group))
            except Unanswered as error:
                _log.warning("create of %s: %s", name, error)
                return ()  # It is asked for again under the same name, and then found if it is there.
            except CloudError as error:
                return (SliceCreateFailed(name, meaning_of(error), str(error)),)
        if looks:
            self._leave(name)
            self._followed[name] = asyncio.create_task(self._follow(name, looks))
        return (SliceAccepted(name),)

    def _order(self, request: CreateSlice, group: GroupSpec) -> Order:
        secret = self._bootstrap.token(request.slice)
        return Order(
            request,
            group,
            self._marks.name(request.slice),
            self._marks.labels(request.slice, request.group, secret, group.hosts),
            partial(metadata_of, self._bootstrap, request),
        )

    async def _follow(self, name: SliceId, looks: Sequence[Look]) -> None:
        """Tell if an operation of a create ends badly, and nothing else: only workers say it went well."""
        for look in looks:
            try:
                outcome = await self._operations.outcome(look, self._limits.create_s)
            except StillGoing as error:
                _log.info("the operation that creates %s is left alone: %s", name, error)
                continue
            if outcome.error is not None:
                why = meaning_of(outcome.error)
                self._deliver(SliceCreateFailed(name, why, str(outcome.error)))
                return

    def _leave(self, name: SliceId) -> None:
        followed = self._followed.pop(name, None)
        if followed is not None:
            followed.cancel()

    # ---- deleting ------------------------------------------------------------------------------

    async def _delete(self, request: DeleteSlice) -> Sequence[Event]:
        name = request.slice
        group = self._bootstrap.groups().get(request.group)
        by_group = self._kinds_of(group) if group is not None else self._kinds
        kinds = dict.fromkeys((*by_group, *self._seen_as.get(name, ())))
        hosts = group.hosts if group is not None else 0
        self._leave(name)
        async with self._turn_of(name):
            try:
                for kind in kinds:
                    await self._end(await kind.delete(name, request.zone, hosts))
            except (CloudError, StillGoing) as error:
                denied = isinstance(error, CloudError) and is_refusal(error)
                return (SliceDeleteFailed(name, str(error), denied=denied),)
        self._turns.pop(name, None)
        self._seen_as.pop(name, None)
        return (SliceDeleted(name),)

    async def _end(self, looks: Sequence[Look]) -> None:
        """Wait until deletes have ended.

        Raises:
            CloudError: one has failed, and what it was to remove lives on.
            StillGoing: one has not ended in time.
        """
        ends = (self._operations.outcome(look, self._limits.delete_s) for look in looks)
        for outcome in await asyncio.gather(*ends):
            if outcome.error is not None and outcome.error.code is not Code.NOT_FOUND:
                raise outcome.error

    # ---- looking -------------------------------------------------------------------------------

    async def _look(self) -> _Seen:
        """What there is; whoever asks while somebody looks has the same answer, with the time of its question."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_now())
        return await asyncio.shield(self._looking)

    async def _look_now(self) -> _Seen:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._looked_at + self._limits.listing_gap_s - loop.time()))
        self._looked_at = loop.time()
        asked_at = self._clock.now()
        listings = await asyncio.gather(*(self._list(kind) for kind in self._kinds))
        lacks = "; ".join(listing.lacks for listing in listings if listing.lacks)
        if lacks:
            _log.warning("the listing is not complete: %s", lacks)
        groups = self._bootstrap.groups()
        parts: dict[SliceId, list[tuple[Kind, Found]]] = {}
        for kind, listing in zip(self._kinds, listings, strict=True):
            for found in listing.found:
                parts.setdefault(found.slice, []).append((kind, found))
        seen_as = {name: tuple(kind for kind, _ in of_it) for name, of_it in parts.items()}
        self._seen_as = {**self._seen_as, **seen_as} if lacks else seen_as
        sightings: dict[SliceId, SliceSighting] = {}
        failures: list[SliceCreateFailed] = []
        for name, of_it in parts.items():
            first = of_it[0][1]
            group = group_of(first.labels, groups)
            state = worst(found.state for _, found in of_it)
            sightings[name] = SliceSighting(name, state, group, first.zone)
            failures += [
                SliceCreateFailed(name, meaning_of(found.failure), str(found.failure))
                for _, found in of_it
                if found.failure is not None
            ]
        return _Seen(asked_at, sightings, failures, lacks)

    async def _list(self, kind: Kind) -> Listing:
        limit_s = self._limits.listing_s
        try:
            async with asyncio.timeout(limit_s):
                found = await kind.list()
        except TimeoutError:
            return Listing(lacks=f"no whole answer in {limit_s:g} s")
        is_off = any(reason in found.lacks for reason in _NOT_ENABLED)
        if is_off and not found.found and not self._is_needed(kind):
            return Listing()  # Where an interface was never enabled, there is nothing of it.
        return found

    def _is_needed(self, kind: Kind) -> bool:
        return any(kind in self._kinds_of(group) for group in self._bootstrap.groups().values())

    def _kinds_of(self, group: GroupSpec) -> tuple[Kind, ...]:
        """What slices of a group are, the first of which they are asked for as."""
        if tpu_type(group.accelerator_type) is None:
            return self._no_tpus
        return self._reserved if is_reserved(group) else self._at_once

    def _turn_of(self, name: SliceId) -> asyncio.Lock:
        return self._turns.setdefault(name, asyncio.Lock())
