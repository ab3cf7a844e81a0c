"""Why a create is refused in the call, and what the simulator's reasons are called by Google."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from iris.core.events import CreateFailure
from iris.core.instant import Instant
from tests.gcp import fake_errors as no
from tests.gcp.fake_catalog import region_of
from tests.gcp.fake_errors import ApiError
from tests.gcp.fake_knobs import Knobs
from tests.gcp.fake_nodes import Node
from tests.gcp.fake_time import World
from tests.gcp.fake_vms import digits_of

TOLD_IN_THE_CALL: Final = frozenset(
    {
        CreateFailure.QUOTA_ZONE,
        CreateFailure.QUOTA_REGION,
        CreateFailure.RATE,
        CreateFailure.PERMISSION,
        CreateFailure.BAD_REQUEST,
    }
)
NODE_ID: Final = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_LABEL_KEY: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE: Final = re.compile(r"[a-z0-9_-]{0,63}")
_MOST_LABELS: Final = 64
_MINUTE: Final = 60_000
_USUAL_RATE: Final = 91
"""Creates a minute that a project was seen to have (gcp.md, 5)."""


class Limits:
    """What one project may do."""

    def __init__(self, project: str, world: World, knobs: Knobs) -> None:
        self._project = project
        self._world = world
        self._knobs = knobs
        self._creates: list[Instant] = []
        self._errors = 0

    def eid(self) -> str:
        """What Google's messages are told apart by."""
        self._errors += 1
        return f"{digits_of('eid', str(self._errors)):#x}"

    def refuse_names(self, node_id: str, labels: Mapping[str, str]) -> None:
        """Names and labels are made of few characters.

        Raises:
            ApiError: INVALID_ARGUMENT.
        """
        if not NODE_ID.fullmatch(node_id):
            raise no.invalid(f'node_id "{node_id}" does not match {NODE_ID.pattern}')
        for key, value in labels.items():
            if not _LABEL_KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
                raise no.invalid(f'label "{key}={value}" is not made of a-z, 0-9, _ and -')
        if len(labels) > _MOST_LABELS:
            raise no.invalid(f"{len(labels)} labels: at most {_MOST_LABELS}")

    def refuse_rate(self) -> None:
        """So many creates in a minute, and no more; refused ones count, too.

        Raises:
            ApiError: RESOURCE_EXHAUSTED.
        """
        limit = self._knobs.creates_per_minute
        self._creates = [at for at in self._creates if at > self._world.now - _MINUTE]
        self._creates.append(self._world.now)
        if limit is not None and len(self._creates) > limit:
            raise no.too_often("CreateNode", limit, self._project)

    def refuse_quota(
        self, held: Iterable[tuple[str, int]], zone: str, chips: int, *, preemptible: bool
    ) -> None:
        """So many chips in a zone, and in a region; `held` are zones, and chips that count there.

        Raises:
            ApiError: RESOURCE_EXHAUSTED, with a QuotaFailure.
        """
        region, pairs = region_of(zone), list(held)
        in_zone = sum(count for where, count in pairs if where == zone)
        in_region = sum(count for where, count in pairs if region_of(where) == region)
        for kind, place, limit, used in (
            ("zone", zone, self._knobs.quota_zone.get(zone), in_zone),
            ("region", region, self._knobs.quota_region.get(region), in_region),
        ):
            if limit is not None and used + chips > limit:
                raise self._quota(kind, place, limit, "Preemptible" if preemptible else "")

    def _quota(self, kind: str, place: str, limit: int, word: str = "") -> ApiError:
        metric = f"TPU{word}PerProjectPer{kind.title()}ForTPUAPI"
        return no.quota(metric, limit, f"{kind} {place}", f"projects/{self._project}")

    def fate(self, zone: str) -> CreateFailure | None:
        """What the knobs let the next create come to, if they say anything."""
        if self._knobs.stockout or zone in self._knobs.stockout_zones:
            return CreateFailure.STOCKOUT
        if self._knobs.internal_creates:
            self._knobs.internal_creates -= 1
            return CreateFailure.INTERNAL
        return None

    def error(self, node: Node, reason: CreateFailure) -> ApiError:
        """A reason of the simulator's cloud, in Google's words."""
        zone = node.zone
        match reason:
            case CreateFailure.STOCKOUT if node.holding.group.reservation is not None:
                return no.no_reserved_capacity(self.eid())
            case CreateFailure.STOCKOUT:
                return no.stockout(zone, self.eid())
            case CreateFailure.QUOTA_ZONE:
                return self._quota("zone", zone, 0)
            case CreateFailure.QUOTA_REGION:
                return self._quota("region", region_of(zone), 0)
            case CreateFailure.RATE:
                return no.too_often("CreateNode", _USUAL_RATE, self._project)
            case CreateFailure.PERMISSION:
                return no.permission("tpu.nodes.create", node.name.rpartition("/nodes/")[0])
            case CreateFailure.INTERNAL:
                return no.internal()
            case _:
                return no.catch_all(self.eid())
