"""Who was heard of each endpoint, and which lease has run out: what production and simulation go by.

A renewal is no fact: it would cost a turn, and say that nothing has changed. Only that an endpoint was
not renewed for its whole lease is told to the core. After a restart of the controller nobody was
heard, so all endpoints begin a lease anew; so they do after the controller stood still.
"""

from collections.abc import Iterable, Mapping

from iris.core.events import EndpointsWithdrawn
from iris.core.ids import EndpointId, TaskId
from iris.core.instant import Instant, Millis
from iris.core.records import Endpoint


class Leases:
    """The last renewal of each endpoint that is listed."""

    def __init__(self, now: Instant, *, span: Millis, deaf_after: Millis) -> None:
        """Nobody has renewed anything yet.

        Args:
            now: the present.
            span: so long without a renewal an endpoint stays listed.
            deaf_after: whoever was away for longer between two looks has heard nobody meanwhile.
        """
        self._renewed: dict[EndpointId, Instant] = {}
        self._span = span
        self._deaf_after = deaf_after
        self._looked_at = now

    def renew(self, endpoints: Iterable[EndpointId], now: Instant) -> None:
        """These endpoints serve."""
        self._renewed.update(dict.fromkeys(endpoints, now))

    def renewed_at(self, endpoint: EndpointId) -> Instant | None:
        """When an endpoint was last renewed; nothing if it was not heard of since the start."""
        return self._renewed.get(endpoint)

    def look(
        self, now: Instant, listed: Mapping[TaskId, tuple[Endpoint, ...]]
    ) -> list[EndpointsWithdrawn]:
        """Every lease that has run out; what is not listed any more is forgotten.

        Who is told so again before a turn has learned it learns it twice, and the second time changes nothing.
        """
        deaf, self._looked_at = now - self._looked_at > self._deaf_after, now
        known = {} if deaf else self._renewed
        self._renewed = {
            endpoint.id: known.get(endpoint.id, now)
            for each in listed.values()
            for endpoint in each
        }
        over: list[EndpointsWithdrawn] = []
        for task, each in listed.items():
            late = tuple(e.id for e in each if now - self._renewed[e.id] > self._span)
            if late:
                over.append(EndpointsWithdrawn(task, late, expired=True))
        return over
