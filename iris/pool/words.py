"""What a pool and its workers say to each other: plain tuples, which are pickled quickly, some thousands a second."""

import pickle
from typing import Final, TypeAlias, cast

from iris.actor.payload import Payload
from iris.core.calls import CallId

Session: TypeAlias = tuple[str, int, int]
"""A pool's use of a worker: the pool, the number of the session, and which connection of it this is. A later
connection goes on where the one before broke; a later session begins anew; what is older is refused."""

Greeting: TypeAlias = tuple[str, int, tuple[CallId, ...]]
"""Of a worker: its task, its attempt, and the calls of the session that came, and whose answers were not seen."""

Call: TypeAlias = tuple[CallId, bytes, Payload]
"""Its number, the digest of its function's pickle, and its arguments."""

Orders: TypeAlias = tuple[
    int, tuple[CallId, ...], tuple[CallId, ...], dict[bytes, bytes], tuple[Call, ...]
]
"""Done in this order: answers up to a number were seen; calls are abandoned, and end even if they run; calls are
recalled, if they have not begun; functions by their digests, but not the last `KEPT_FUNCTIONS` that were used over
this connection; calls to make."""

Answer: TypeAlias = tuple[CallId, str, int, Payload]
"""The call, its `Outcome` or `GIVEN_BACK`, how many microseconds it took, and its payload."""

Answers: TypeAlias = tuple[int, list[Answer]]
"""The number of the first, and answers that follow one another."""

KEPT_FUNCTIONS: Final = 256
"""So many functions, the last ones used, are not sent again; a worker keeps twice as many, and so has those."""
GIVEN_BACK: Final = "given_back"
"""The call has not begun, and will not here."""

_BESIDE_BYTES: Final = 16 << 10


class StaleSession(Exception):
    """Somebody speaks in a session, or by a connection, that is over."""


def apart(payload: Payload) -> Payload:
    """A payload whose large buffers are not copied into the pickle that it becomes part of."""
    buffers = [
        pickle.PickleBuffer(buffer) if memoryview(buffer).nbytes >= _BESIDE_BYTES else bytes(buffer)
        for buffer in payload
    ]
    return cast("Payload", buffers)  # What is unpickled on the other side are buffers again.


def own(payload: Payload) -> Payload:
    """What `apart` has become on the other side; its buffers may be written to, for nobody else has them there."""
    return [
        buffer.obj
        if isinstance(buffer, memoryview) and isinstance(buffer.obj, bytearray)
        else buffer
        for buffer in payload
    ]
