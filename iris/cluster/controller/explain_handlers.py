"""What people ask about decisions: those about a group, also that nothing was done, and what happened to whom."""

import asyncio
from collections.abc import Container
from typing import Final

from iris.cluster.controller.auth import Caller
from iris.cluster.controller.handlers import Handlers, unknown
from iris.cluster.controller.history import read_chapter
from iris.cluster.controller.turns import TurnLoop
from iris.core.ids import GroupName
from iris.core.scaling import why_not_scaling
from iris.core.spans import ScalingSpans
from iris.core.timeline import Of, Subject, timeline_of_group
from iris.rpc import iris_pb2 as pb
from iris.rpc.codec import count_from_wire, limit_from_wire
from iris.rpc.codec_events import happening_to_wire, kind_from_wire
from iris.rpc.codec_explain import scaling_to_wire, span_to_wire

MOST_EVENTS: Final = 1_000
"""Of one page."""
LOOK_EVERY_S: Final = 5.0
"""Between two looks at what is decided about groups, if anything was decided at all."""


class ExplainHandlers:
    """The calls of `ExplainService`."""

    def __init__(self, loop: TurnLoop, handlers: Handlers) -> None:
        """Handlers of one controller, which know a job as `handlers` do."""
        self._loop = loop
        self._handlers = handlers
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
        self, request: pb.ExplainGroupRequest, _: Caller
    ) -> pb.ExplainGroupResponse:
        """What is decided about a group now, by which rule, and since when."""
        state, name = self._loop.controller.state, GroupName(request.group)
        if name not in state.groups:
            names = ", ".join(state.groups) or "none"
            unknown(f"group {name or 'without a name'} (there are: {names})")
        self.look()
        turns = self._loop.journal.turns
        return pb.ExplainGroupResponse(
            scaling=scaling_to_wire(why_not_scaling(state, name), turns),
            history=[span_to_wire(span) for span in self.spans.spans(name)],
        )

    async def list_events(
        self, request: pb.ListEventsRequest, caller: Caller
    ) -> pb.ListEventsResponse:
        """A page of what happened to somebody, the newest first, each page oldest first."""
        subject = self._subject(request, caller)
        limit = limit_from_wire(request.limit, MOST_EVENTS)
        asked = count_from_wire(request.before, "before"), limit
        journal, state = self._loop.journal.path, self._loop.controller.state
        page = await read_chapter(journal, state, subject, asked)
        if not page.happenings and not request.before and not self._is_known(subject):
            unknown(f"{subject.of.value} {subject.id or 'without a name'}")
        return pb.ListEventsResponse(
            events=[happening_to_wire(it) for it in page.happenings],
            before=page.before,
            first_turn=page.first_turn,
            first_at_ms=page.first_at,
        )

    def _subject(self, request: pb.ListEventsRequest, caller: Caller) -> Subject:
        of, state = kind_from_wire(request.kind), self._loop.controller.state
        match of:
            case Of.JOB:
                return Subject(of, self._handlers.meant(request.id, caller))
            case Of.GROUP:
                return timeline_of_group(state.spec, GroupName(request.id))
            case _:
                return Subject(of, request.id)

    def _is_known(self, subject: Subject) -> bool:
        state = self._loop.controller.state
        tables: dict[Of, Container[str]] = {
            Of.JOB: state.jobs,
            Of.TASK: state.tasks,
            Of.SLICE: state.slices,
            Of.WORKER: state.workers,
            Of.GROUP: state.groups,
        }
        return subject.id in tables[subject.of]
