"""What a refusal of Google Cloud means: one total function from what was said to why a create failed.

Both ways of asking end here: gRPC of the Cloud TPU API and REST of Compute Engine are told apart by
nobody but the modules that call them. Only texts and details separate what shares one status: a zone
without capacity, a quota, a limit of calls and a message of ours that is too large are all
RESOURCE_EXHAUSTED.
"""

import re
from enum import Enum
from typing import Final

from iris.core.events import CreateFailure


class Code(Enum):
    """The statuses of google.rpc."""

    CANCELLED = "CANCELLED"
    UNKNOWN = "UNKNOWN"
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    ABORTED = "ABORTED"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    INTERNAL = "INTERNAL"
    UNAVAILABLE = "UNAVAILABLE"
    DATA_LOSS = "DATA_LOSS"
    UNAUTHENTICATED = "UNAUTHENTICATED"


class CloudError(Exception):
    """A call, or the operation that it began, failed.

    Attributes:
        code: its status.
        message: its text.
        details: texts of its rich details: violations of quotas, and reasons as `SERVICE_DISABLED`.
    """

    def __init__(self, code: Code, message: str, details: tuple[str, ...] = ()) -> None:
        super().__init__(code, message, details)
        self.code = code
        self.message = message
        self.details = details

    def __str__(self) -> str:
        """Status and text; the text alone is often not telling."""
        more = f" ({'; '.join(self.details)})" if self.details else ""
        return f"{self.code.value}: {self.message}{more}"


COMPUTE: Final = "compute.googleapis.com"
COMPUTE_ROLE: Final = "roles/compute.instanceAdmin.v1"
"""Who may have machines of Compute Engine."""
_DISABLED: Final = ("SERVICE_DISABLED", "accessNotConfigured")

SILENCE: Final = frozenset({Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.CANCELLED})
"""Whether the call was carried out, these do not say."""
PASSING: Final = frozenset({*SILENCE, Code.INTERNAL, Code.ABORTED, Code.UNKNOWN})
"""A call that reads may be tried again."""

QUOTAS: Final = (CreateFailure.QUOTA_REGION, CreateFailure.QUOTA_ZONE)

_OURS: Final = re.compile(r"^(CLIENT:|Stream removed \(CLIENT)")
_TEXTS: Final = (
    # The order matters: what was preempted is "not supported" in that state, too.
    (re.compile(r"in state (PREEMPTED|TERMINATED)"), CreateFailure.STOCKOUT),
    (re.compile(r"no more capacity|reserved capacity|RESOURCE_POOL_EXHAUSTED"), CreateFailure.STOCKOUT),
    (re.compile(r"not have enough resources|STOCKOUT"), CreateFailure.STOCKOUT),
    (re.compile(r"per minute|rateLimitExceeded|RATE_LIMIT_EXCEEDED", re.IGNORECASE), CreateFailure.RATE),
)  # fmt: skip
_QUOTA: Final = re.compile(r"quota", re.IGNORECASE)
_REGIONAL: Final = re.compile(r"in region|PerRegion|per region", re.IGNORECASE)
_ZONAL: Final = re.compile(r"in zone|PerZone|per zone", re.IGNORECASE)
_IMPOSSIBLE: Final = re.compile(
    r"could not be found in the zonal|was not found in zone|(is|are) not supported|"
    r"[Ii]nvalid value|unknown runtime|does not exist in zone"
)
_NO_SUCH_ZONE: Final = re.compile(r"^Location .* is not found or access is unauthorized")
_BY_CODE: Final = {
    Code.PERMISSION_DENIED: CreateFailure.PERMISSION,
    Code.ABORTED: CreateFailure.INTERNAL,
    Code.INTERNAL: CreateFailure.INTERNAL,
    Code.UNAVAILABLE: CreateFailure.INTERNAL,
    Code.DEADLINE_EXCEEDED: CreateFailure.INTERNAL,
    Code.CANCELLED: CreateFailure.INTERNAL,
    Code.UNIMPLEMENTED: CreateFailure.BAD_REQUEST,
}


def is_disabled(error: CloudError) -> bool:
    """Whether the interface is not enabled in the project."""
    return any(word in error.details for word in _DISABLED)


def is_refusal(error: CloudError) -> bool:
    """Whether it is us whom Google refuses, not what we ask for."""
    denied = error.code in (Code.PERMISSION_DENIED, Code.UNAUTHENTICATED)
    return denied and meaning_of(error) not in QUOTAS


def meaning_of(error: CloudError) -> CreateFailure:
    """Why a create failed; what nobody has seen before is `UNKNOWN`, which waits and tries again."""
    if _OURS.match(error.message):
        return CreateFailure.UNKNOWN
    said = "\n".join((error.message, *error.details))
    for pattern, meaning in _TEXTS:
        if pattern.search(said):
            return meaning
    if error.code in (Code.RESOURCE_EXHAUSTED, Code.PERMISSION_DENIED) and _QUOTA.search(said):
        # Details name the place; where none does, the zone alone is spared.
        regional = _REGIONAL.search(said) and not _ZONAL.search(said)
        return CreateFailure.QUOTA_REGION if regional else CreateFailure.QUOTA_ZONE
    if error.code is Code.INVALID_ARGUMENT and _IMPOSSIBLE.search(said):
        return CreateFailure.BAD_REQUEST
    if error.code is Code.NOT_FOUND and _NO_SUCH_ZONE.search(said):
        return CreateFailure.PERMISSION
    return _BY_CODE.get(error.code, CreateFailure.UNKNOWN)
