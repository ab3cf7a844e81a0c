"""The rules of servers inside tasks: they say that they serve, in time or late, and that they serve no more."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from iris.core import effects as ef
from iris.core import events as ev
from tests.properties.machines import NUMBERS, Faults, pick
from tests.properties.world import Key


class Serving(Faults):
    """A cluster to which anything may happen, and whose tasks serve."""

    def served(self) -> list[Key]:
        """All attempts that have ever begun, those that run first."""
        return [*(key for _, key in self.world.containers()), *self.world.history]

    @precondition(lambda self: self.served())
    @rule(number=st.integers(0, 50), name=st.sampled_from(["model", "board"]))
    def serve(self, number: int, name: str) -> None:
        """A process says that it serves: one that runs, wherever, or one whose word comes late."""
        task, attempt = pick(self.served(), number)
        request = self.request()
        self.facts(ev.EndpointRegistered(request, task, attempt, name, "10.0.0.3:1"))
        answer = self.world.replies.get(request)
        if isinstance(answer, ef.Accepted):
            known = self.cluster.controller.state.tasks[task].attempts
            assert attempt == len(known) - 1, f"I-129 {task}@{attempt} serves after {len(known)}"

    @precondition(lambda self: self.cluster.controller.state.endpoints)
    @rule(number=NUMBERS, expired=st.booleans())
    def serve_no_more(self, number: int, expired: bool) -> None:
        endpoints = self.cluster.controller.state.endpoints
        task, listed = pick(list(endpoints.items()), number)
        self.facts(ev.EndpointsWithdrawn(task, (listed[0].id,), expired))
