"""Timelines on the wire."""

from typing import Final

from iris.core.timeline import Happening, Of
from iris.rpc import iris_pb2 as pb
from iris.rpc.codec import Malformed

KINDS: Final = {of.value: of for of in Of if of is not Of.ZONE}
"""What somebody may ask the timeline of."""


def kind_from_wire(text: str) -> Of:
    """The kind of thing that is meant.

    Raises:
        Malformed: there is none of that name.
    """
    if text not in KINDS:
        raise Malformed(f"kind: {text!r} is none of {', '.join(KINDS)}")
    return KINDS[text]


def happening_to_wire(it: Happening) -> pb.Happening:
    """One thing that happened."""
    return pb.Happening(
        at_ms=it.at,
        turn=it.turn,
        kind=it.kind,
        is_fact=it.is_fact,
        subject=it.subject,
        text=it.text,
        cause=it.cause,
    )
