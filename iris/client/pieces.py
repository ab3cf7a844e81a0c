"""Pieces of logs, as they come."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LogPiece:
    """Some bytes of a task's log."""

    task: str
    attempt: int
    content: bytes
