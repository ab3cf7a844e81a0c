"""Everything that a test may turn on the fake cloud while it runs: one fault, one field.

What the simulator's cloud model says already (stock by zone and time, droughts, verdicts, lifetimes,
bulk preemptions, notices, stragglers, hosts that never boot, listings that lie, deletes that lie,
calls that hang or are slow, addresses that come back) is set there, in `serve(model=CloudModel(...))`.
Counters count down by themselves: 2 means the next two.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.gcp.fake_compute_errors import ComputeError
from tests.gcp.fake_errors import ApiError


@dataclass(slots=True, kw_only=True)
class Knobs:
    """The faults in force. A fake without any is kind."""

    # ---- creating --------------------------------------------------------------------------
    stockout: bool = False
    """Every create is accepted, and its operation ends with code 8."""
    stockout_zones: frozenset[str] = frozenset()
    """The same, in these zones only."""
    quota_zone: Mapping[str, int] = field(default_factory=dict)
    """Chips that the project may have in a zone; what is preempted and not deleted counts."""
    quota_region: Mapping[str, int] = field(default_factory=dict)
    """Chips that the project may have in a region."""
    creates_per_minute: int | None = None  # None: no limit
    """More creates in one minute of the fake's clock are refused in the call."""
    internal_creates: int = 0
    """So many creates are accepted and end with code 13."""
    create_errors: list[ApiError] = field(default_factory=list)
    """What the next creates are refused with, in the call, in order."""
    reset_after_create: int = 0
    """So many creates are accepted, and the connection breaks before the answer."""
    failed_creates_stay: bool = False
    """A create whose operation failed leaves its node behind, in TERMINATED."""
    delete_while_creating: bool = True
    """Whether a node may be deleted before its create is done; else 409, unable to queue."""

    # ---- operations ------------------------------------------------------------------------
    lro_lag_s: float = 0.0
    """An operation is told as done so long after its effect."""
    lro_never_done: bool = False
    """No operation is told as done, whatever happens to its node."""
    lro_error_after_ready: ApiError | None = None  # None: a create that is done went well
    """How the operation of a create ends whose node is READY and goes on."""
    get_operation_errors: list[ApiError] = field(default_factory=list)
    """What the next questions for an operation are answered with, in order."""
    delete_failures: int = 0
    """So many deletes are accepted, end with code 13, and the node lives on."""

    # ---- what is seen ----------------------------------------------------------------------
    ready_lag_s: float = 0.0
    """All endpoints have addresses, and VMs work, so long before the node is called READY."""
    empty_endpoints: frozenset[int] = frozenset()
    """The endpoints of these indexes are listed without an address."""
    stale_lists: int = 0
    """So many lists lack the newest node."""
    unreachable: frozenset[str] = frozenset()
    """Lists leave these zones out, and say so."""
    expired_page_tokens: bool = False
    """A page token is refused."""
    page_size: int = 500
    """Most nodes of one page."""

    # ---- the wire --------------------------------------------------------------------------
    unavailable_reads: int = 0
    """So many gets and lists are answered with 503."""
    slow_calls_s: float = 0.0
    """Every call takes so long, of real time."""
    hanging_methods: frozenset[str] = frozenset()
    """Calls of these methods, `GetNode` for one, are never answered."""

    # ---- queued resources ------------------------------------------------------------------
    fulfil_after_delete: bool = False
    """A queued resource that is deleted while it waits is said to be gone, and is fulfilled later."""
    alpha_delete_mismatch: bool = True
    """v2alpha1 answers the delete of a queued resource with another type than it declares."""

    # ---- Compute Engine --------------------------------------------------------------------
    instance_stockout: bool = False
    """Every insert is accepted, and its operation ends with ZONE_RESOURCE_POOL_EXHAUSTED."""
    instance_quota: bool = False
    """Every insert is accepted, and its operation ends with QUOTA_EXCEEDED."""
    compute_errors: list[ComputeError] = field(default_factory=list)
    """What the next calls of Compute Engine are refused with, in order."""

    # ---- who calls -------------------------------------------------------------------------
    check_auth: bool = False
    """Calls need a bearer token: a JWT for the service's own audience, or one that was given out."""
    audience: str = "https://tpu.googleapis.com/"
    """What a JWT must be for."""
    token_age_s: float = 0.0
    """How much older than they say the tokens are taken to be."""
    denied: frozenset[str] = frozenset()
    """Methods that the caller has no permission for."""
