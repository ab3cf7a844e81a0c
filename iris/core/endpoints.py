"""Where attempts serve: what is listed while an attempt goes on, and is gone in the turn in which it ends.

A server inside a task asks for its endpoint to be listed under a name, and others of the job's tree
find it there. An endpoint belongs to its attempt and to nothing else: a later attempt finds none of
the earlier ones, whatever became of their processes. Whether a server is still there its lease
says, whose renewals are no facts (`iris.core.leases`); that one has run out is.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from iris.core import effects as ef
from iris.core import events as ev
from iris.core.ids import (
    NAME,
    EndpointId,
    JobId,
    TaskId,
    UserName,
    attempt_name,
    endpoint_id,
    is_name,
)
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
    answer = standing_answer(state, event)
    if answer is None:
        name = _named(state, event)
        endpoint = Endpoint(name, event.attempt, event.name, event.address, state.now)
        state.list_endpoint(event.task, endpoint)
        answer = ef.Accepted(endpoint=name)
    elif isinstance(answer, ef.Rejected):
        state.books.stale_facts += answer.refusal is ef.Refusal.UNKNOWN
    return [ef.Reply(event.request, answer)]


def standing_answer(
    state: ClusterState, event: ev.EndpointRegistered
) -> ef.Accepted | ef.Rejected | None:
    """The answer to a registration that changes nothing, for it is refused or listed; nothing if it does."""
    wrong = _what_is_wrong_with(event)
    if wrong:
        return ef.Rejected(wrong)
    attempt = attempt_name(event.task, event.attempt)
    task = state.tasks.get(event.task)
    if task is None or not 0 <= event.attempt < len(task.attempts):
        return ef.Rejected(f"attempt {attempt} is not known", ef.Refusal.UNKNOWN)
    if state.live_attempt(task) is not task.attempts[event.attempt]:
        why = f"attempt {attempt} has ended, and nothing can serve for it"
        return ef.Rejected(why, ef.Refusal.UNKNOWN)
    name, listed = _named(state, event), state.endpoints.get(event.task, ())
    if any(known.id == name for known in listed):
        return ef.Accepted(endpoint=name)
    if len(listed) >= MAX_ENDPOINTS:
        return ef.Rejected(f"attempt {attempt} has {MAX_ENDPOINTS} endpoints, and may have no more")
    return None


def _what_is_wrong_with(event: ev.EndpointRegistered) -> str:
    if not is_name(event.name):
        return f"name: {event.name!r} is no name of an endpoint: write {NAME.pattern}"
    address = _ADDRESS.fullmatch(event.address) if len(event.address) <= MAX_ADDRESS else None
    if address is None or not 0 < int(address["port"]) <= _LAST_PORT:
        told = repr(event.address[:MAX_ADDRESS])
        return f"address: {told} is no address: write it as host:port, or [host]:port"
    return ""


def _named(state: ClusterState, event: ev.EndpointRegistered) -> EndpointId:
    number = state.jobs[state.tasks[event.task].job].number
    return endpoint_id(event.task, event.attempt, event.name, event.address, number)


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
    found = []
    for key, listed in state.endpoints.items():
        task = state.tasks[key]
        if (user is None or _user(state, task.job) == user) and (only is None or only(task.job)):
            found += [
                EndpointView(endpoint, task.job, key, task.index)
                for endpoint in listed
                if any(fits(endpoint.name, pattern) for pattern in names)
            ]
    return tuple(sorted(found, key=_oldest_first))


def fits(name: str, pattern: str) -> bool:
    """Whether a name is the pattern, in which `*` stands for any characters.

    It begins with the first part, ends with the last, and has the others between, in order.
    """
    first, *others = pattern.split("*")
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


def mark_of(endpoints: Iterable[EndpointId]) -> int:
    """A number that other endpoints do not have; never 0, which is that of knowing nothing."""
    return int.from_bytes(sha256("\n".join(endpoints).encode()).digest()[:6]) | 1 << 48


def _user(state: ClusterState, job: JobId) -> UserName:
    return state.jobs[job].spec.user


def _oldest_first(view: EndpointView) -> tuple[Instant, JobId, int, str]:
    return view.endpoint.registered_at, view.job, view.rank, view.endpoint.id
