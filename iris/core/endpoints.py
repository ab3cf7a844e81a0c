"""Where attempts serve: what is listed while an attempt goes on, and is gone in the turn in which it ends.

A server inside a task asks for its endpoint to be listed under a name, and others of the job's tree
find it there. An endpoint belongs to its attempt and to nothing else: a later attempt finds none of
the earlier ones, whatever became of their processes. Whether a server is still there its lease
says, whose renewals are no facts (`iris.core.leases`); that one has run out is.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from iris.core import effects as ef
from iris.core import events as ev
from iris.core.ids import NAME, JobId, TaskId, UserName, attempt_name, endpoint_id, is_name
from iris.core.instant import Instant
from iris.core.records import Endpoint
from iris.core.state import ClusterState

MAX_ENDPOINTS: Final = 64
"""Of one attempt."""
MAX_ADDRESS: Final = 300
"""Characters: a host's name has 253 at most, by RFC 1035, and a port 5."""

_ADDRESS: Final = re.compile(
    r"(?P<host>[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})"
)
_LAST_PORT: Final = 65_535


@dataclass(frozen=True, slots=True)
class EndpointView:
    """One place where an attempt serves, as readers are told."""

    endpoint: Endpoint
    job: JobId
    task: TaskId
    rank: int
    """The task's index, which in a gang is its number."""


def endpoints_told(
    state: ClusterState, event: ev.EndpointRegistered | ev.EndpointsWithdrawn
) -> list[ef.Effect]:
    """Enter what a server says of its endpoints, or what its silence says of them."""
    if isinstance(event, ev.EndpointRegistered):
        return _register(state, event)
    _withdraw(state, event)
    return []


def _register(state: ClusterState, event: ev.EndpointRegistered) -> list[ef.Effect]:
    """List an endpoint, or refuse it; what is listed already is listed once."""
    refusal = _why_refused(state, event)
    if refusal is not None:
        state.books.stale_facts += refusal.refusal is ef.Refusal.UNKNOWN
        return [ef.Reply(event.request, refusal)]
    number = state.jobs[state.tasks[event.task].job].number
    name = endpoint_id(event.task, event.attempt, event.name, event.address, number)
    if all(known.id != name for known in state.endpoints.get(event.task, ())):
        state.list_endpoint(
            event.task, Endpoint(name, event.attempt, event.name, event.address, state.now)
        )
    return [ef.Reply(event.request, ef.Accepted(endpoint=name))]


def _why_refused(state: ClusterState, event: ev.EndpointRegistered) -> ef.Rejected | None:
    """What is wrong with a registration; nothing when it is granted."""
    if not is_name(event.name):
        return ef.Rejected(f"name: {event.name!r} is no name of an endpoint: write {NAME.pattern}")
    address = _ADDRESS.fullmatch(event.address) if len(event.address) <= MAX_ADDRESS else None
    if address is None or not 0 < int(address["port"]) <= _LAST_PORT:
        told = repr(event.address[:MAX_ADDRESS])
        return ef.Rejected(f"address: {told} is no address: write it as host:port, or [host]:port")
    task = state.tasks.get(event.task)
    if task is None or not 0 <= event.attempt < len(task.attempts):
        name = attempt_name(event.task, event.attempt)
        return ef.Rejected(f"attempt {name} is not known", ef.Refusal.UNKNOWN)
    if state.live_attempt(task) is not task.attempts[event.attempt]:
        name = attempt_name(event.task, event.attempt)
        return ef.Rejected(
            f"attempt {name} has ended, and nothing can serve for it", ef.Refusal.UNKNOWN
        )
    listed = state.endpoints.get(event.task, ())
    if len(listed) >= MAX_ENDPOINTS:
        if all((known.name, known.address) != (event.name, event.address) for known in listed):
            name = attempt_name(event.task, event.attempt)
            return ef.Rejected(
                f"attempt {name} has {MAX_ENDPOINTS} endpoints, and may have no more"
            )
    return None


def _withdraw(state: ClusterState, event: ev.EndpointsWithdrawn) -> None:
    """List some endpoints of a task no longer; what is not listed stays so."""
    listed = state.endpoints.get(event.task, ())
    left = tuple(known for known in listed if known.id not in event.endpoints)
    if len(left) == len(listed):
        state.books.stale_facts += 1
    else:
        state.keep_endpoints(event.task, left)


def endpoint_views(
    state: ClusterState,
    *,
    names: Sequence[str] = ("*",),
    user: UserName | None = None,
    only: Callable[[JobId], bool] | None = None,
) -> tuple[EndpointView, ...]:
    """The endpoints of any of some names, the oldest first.

    Args:
        state: the cluster.
        names: of endpoints; `*` in one stands for any characters.
        user: of this user's jobs; of all if not given.
        only: of those jobs for which it says yes; it must change nothing.
    """
    patterns = [name.split("*") for name in names]
    found = []
    for key, listed in state.endpoints.items():
        task = state.tasks[key]
        if (user is None or _user(state, task.job) == user) and (only is None or only(task.job)):
            found += [
                EndpointView(endpoint, task.job, key, task.index)
                for endpoint in listed
                if any(_fits(endpoint.name, pattern) for pattern in patterns)
            ]
    return tuple(sorted(found, key=_oldest_first))


def _fits(name: str, pattern: Sequence[str]) -> bool:
    """Whether a name begins with the first part, ends with the last, and has the others between, in order."""
    first, *others = pattern
    if not others:
        return name == first
    at, end = len(first), len(name) - len(others[-1])
    if not name.startswith(first) or not name.endswith(others[-1]):
        return False
    for part in others[:-1]:
        found = name.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return at <= end


def _user(state: ClusterState, job: JobId) -> UserName:
    return state.jobs[job].spec.user


def _oldest_first(view: EndpointView) -> tuple[Instant, JobId, int, str]:
    return view.endpoint.registered_at, view.job, view.rank, view.endpoint.id
