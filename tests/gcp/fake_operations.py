"""Long-running operations: what a call that takes a while has become, by its name, for all to ask."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import blake2b
from typing import Final

from iris.core.instant import Instant
from tests.gcp.fake_calls import Call
from tests.gcp.fake_errors import ApiError, Json, not_found
from tests.gcp.fake_knobs import Knobs
from tests.gcp.fake_time import World

EMPTY: Final = "type.googleapis.com/google.protobuf.Empty"

Settled = tuple[Instant, Json | ApiError]
"""When it happened, and the answer, or how it went wrong."""


@dataclass(slots=True, eq=False)
class Operation:
    """One of them."""

    name: str
    verb: str
    target: str
    version: str
    created: Instant
    outcome: Callable[[], Settled | None]
    """Looks at the world: nothing as long as it goes on."""
    settled: Settled | None = None  # None: it has not been seen to end
    is_cancelled: bool = False


@dataclass(slots=True)
class Operations:
    """All that there are."""

    world: World
    knobs: Knobs
    all: dict[str, Operation] = field(default_factory=dict)

    def begin(
        self, call: Call, verb: str, target: str, outcome: Callable[[], Settled | None]
    ) -> Operation:
        """A new one, in the location of its target."""
        location = "/".join(target.split("/")[:4])
        when = self.world.epoch + timedelta(milliseconds=self.world.now)
        micros = int(when.timestamp() * 1_000_000)
        tail = blake2b(f"{target}/{len(self.all)}".encode(), digest_size=8).hexdigest()
        name = f"operation-{micros // 1000}-{micros:x}-{tail[:8]}-{tail[8:]}"
        made = Operation(
            f"{location}/operations/{name}", verb, target, call.version, self.world.now, outcome
        )
        self.all[made.name] = made
        return made

    def find(self, call: Call) -> Operation:
        """The one that a call names.

        Raises:
            ApiError: there is none.
        """
        found = self.all.get(call.request.get("name", ""))
        if found is None:
            raise not_found(call.request.get("name", ""))
        return found

    def told(self, operation: Operation) -> Settled | None:
        """How it ended, if that is told already."""
        if operation.settled is None:
            operation.settled = operation.outcome()
        if operation.settled is None or self.knobs.lro_never_done:
            return None
        at, _ = operation.settled
        is_late = self.world.now < at + self.knobs.lro_lag_s * 1000
        return None if is_late else operation.settled

    def show(self, operation: Operation) -> Json:
        """As a google.longrunning.Operation."""
        told = self.told(operation)
        metadata: Json = {
            "@type": f"type.googleapis.com/google.cloud.tpu.{operation.version}.OperationMetadata",
            "createTime": self.world.stamp(operation.created),
            "target": operation.target,
            "verb": operation.verb,
            "apiVersion": operation.version,
            "cancelRequested": operation.is_cancelled,
        }
        shown: Json = {"name": operation.name, "metadata": metadata, "done": told is not None}
        if told is None:
            return shown
        at, answer = told
        metadata["endTime"] = self.world.stamp(at)
        if isinstance(answer, ApiError):
            return shown | {"error": answer.status()}
        return shown | {"response": answer}

    # ---- what may be asked of them ---------------------------------------------------------

    def get(self, call: Call) -> Json:
        """GetOperation."""
        with self.world.turn():
            return self.show(self.find(call))

    def list(self, call: Call) -> Json:
        """ListOperations, of one location."""
        with self.world.turn():
            stem = call.request.get("name", "").removesuffix("/operations")
            found = [o for o in self.all.values() if o.name.startswith(f"{stem}/operations/")]
            return {"operations": [self.show(o) for o in found]}

    def cancel(self, call: Call) -> Json:
        """CancelOperation: the wish is noted, and the work goes on, as the service may choose to."""
        with self.world.turn():
            self.find(call).is_cancelled = True
            return {}

    def delete(self, call: Call) -> Json:
        """DeleteOperation: nobody asks for it any more."""
        with self.world.turn():
            del self.all[self.find(call).name]
            return {}

    def wait(self, call: Call) -> Json:
        """WaitOperation: answers when it is done, or when the time-out is over."""
        with self.world.turn():
            operation = self.find(call)
            span = float(call.request.get("timeout", "60s").removesuffix("s"))
            until = Instant(self.world.now + int(span * 1000))
            self.world.wait(lambda: self.told(operation) is not None, call.is_alive, until)
            return self.show(operation)
