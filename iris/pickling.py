"""What cannot be pickled, told by name: for functions, arguments and results that are to be sent."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from iris.exit_status import ExitStatus
from iris.problems import Failure


class NotPicklable(Failure, TypeError):
    """A function, an argument or a result that cannot be sent; says which, and what would be right."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ExitStatus.BAD_INPUT)


def parts_of(args: Sequence[object], named: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """The arguments of a call, each with what a message calls it."""
    for number, value in enumerate(args):
        yield f"argument {number}, of type {type(value).__name__},", value
    for name, value in named.items():
        yield f"argument {name!r}, of type {type(value).__name__},", value


def culprit(parts: Iterable[tuple[str, object]]) -> str | None:
    """What the first of some values is called that cannot be pickled; nothing if each can."""
    import cloudpickle

    for what, value in parts:
        try:
            cloudpickle.dumps(value)
        except Exception:  # noqa: BLE001
            return what
    return None
