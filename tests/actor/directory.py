"""What stands in for the controller: a registry and a resolver in memory, which count what they are asked."""

import threading
from collections.abc import Iterable, Sequence

from iris.actor import Endpoint, Registration


class Directory:
    """Lists endpoints, as the cluster's registry and resolver do together."""

    def __init__(self, attempt: int = 0) -> None:
        self.attempt = attempt
        self.asked = 0
        self.listed: list[Endpoint] = []
        self.invalidated: list[Endpoint] = []
        self._news = threading.Condition()
        self._number = 0

    def register(self, name: str, port: int) -> Registration:
        with self._news:
            self._number += 1
            found = Registration(name, f"{name}#{self._number}", f"secret {self._number}")
            address = f"127.0.0.1:{port}"
            self.listed.append(Endpoint(name, address, found.id, self.attempt, found.secret))
            self._news.notify_all()
        return found

    def withdraw(self, registration: Registration) -> None:
        with self._news:
            self.listed = [e for e in self.listed if e.id != registration.id]
            self._news.notify_all()

    def resolve(self, name: str) -> Sequence[Endpoint]:
        with self._news:
            self.asked += 1
            return self._of(name)

    def invalidate(self, endpoint: Endpoint) -> None:
        self.invalidated.append(endpoint)

    def changed(self, name: str, known: Iterable[Endpoint], wait_s: float) -> Sequence[Endpoint]:
        with self._news:
            self.asked += 1
            self._news.wait_for(lambda: self._of(name) != tuple(known), wait_s)
            return self._of(name)

    def _of(self, name: str) -> tuple[Endpoint, ...]:
        return tuple(endpoint for endpoint in self.listed if endpoint.name == name)
