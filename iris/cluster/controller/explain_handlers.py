"""What people ask about decisions: those about a group, also that nothing was done, and what happened to whom."""

import asyncio
from typing import Final

from iris.cluster.controller.auth import Caller
from iris.cluster.controller.handlers import unknown
from iris.cluster.controller.turns import TurnLoop
from iris.core.ids import GroupName
from iris.core.scaling import why_not_scaling
from iris.core.spans import ScalingSpans
from iris.rpc import iris_pb2 as pb
from iris.rpc.codec_explain import scaling_to_wire, span_to_wire

LOOK_EVERY_S: Final = 5.0
"""Between two looks at what is decided about groups, if anything was decided at all."""


class ExplainHandlers:
    """The calls of `ExplainService`."""

    def __init__(self, loop: TurnLoop) -> None:
        """Handlers of one controller."""
        self._loop = loop
        self.spans = ScalingSpans()
        """What was decided about each group since the controller began, folded."""

    def look(self) -> None:
        """Enter what is decided about each group now."""
        self.spans.look(self._loop.controller.state, self._loop.journal.turns)

    async def watch(self) -> None:
        """Do it again and again, for ever."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.look()

    async def explain_group(
        self, request: pb.ExplainGroupRequest, caller: Caller
    ) -> pb.ExplainGroupResponse:
        """What is decided about a group now, by which rule, and since when."""
        state, name = self._loop.controller.state, GroupName(request.group)
        if name not in state.groups:
            names = ", ".join(state.groups) or "none"
            unknown(f"group {name or 'without a name'} (there are: {names})")
        self.look()
        told = scaling_to_wire(why_not_scaling(state, name), self._loop.journal.turns)
        if caller.tree is not None:
            del told.jobs[:]  # They may be others'.
        history = [span_to_wire(span) for span in self.spans.spans(name)]
        return pb.ExplainGroupResponse(scaling=told, history=history)
