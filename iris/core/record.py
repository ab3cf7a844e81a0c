"""Facts, decisions, turns and tables as JSON and back, by their declared types.

Every dataclass is written with the name of its class, so that a union can be read back; enumerations by
value, tuples as lists. There is one codec for all of them, so that a new fact needs no new code here.
"""

import types
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Final, TypeAlias, Union, get_args, get_origin, get_type_hints

from iris.core.decisions import Decision
from iris.core.events import Event
from iris.core.instant import Instant

Json: TypeAlias = "None | bool | int | str | list[Json] | dict[str, Json]"

_TAG: Final = "is"


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn: when it was, what was learned, and what was decided."""

    now: Instant
    events: tuple[Event, ...]
    decisions: tuple[Decision, ...]


def to_json(value: object) -> Json:
    """Any record of the core as plain JSON values.

    Raises:
        TypeError: a value of a type that no record has.
    """
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, Enum):
        plain: Json = value.value
        return plain
    if isinstance(value, int):
        return value
    if isinstance(value, (tuple, list)):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        return [[to_json(key), to_json(item)] for key, item in value.items()]
    if is_dataclass(value) and not isinstance(value, type):
        written: dict[str, Json] = {_TAG: type(value).__name__}
        for field in fields(value):
            written[field.name] = to_json(getattr(value, field.name))
        return written
    raise TypeError(f"{type(value).__name__} is no type of a record")


def from_json(data: Json, hint: object) -> object:
    """The record that `to_json` wrote as `data`, of the declared type `hint`.

    Raises:
        ValueError: the data is not of that type.
    """
    if get_origin(hint) in (types.UnionType, Union):
        return _from_union(data, hint)
    if hasattr(hint, "__supertype__"):
        return from_json(data, hint.__supertype__)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(data)
    if is_dataclass(hint) and isinstance(hint, type):
        return _from_fields(data, hint)
    if get_origin(hint) in (tuple, list, dict):
        return _from_container(data, hint)
    if isinstance(hint, type) and issubclass(hint, tuple):
        assert isinstance(data, list), data
        make: Callable[..., object] = hint
        return make(*data)
    if isinstance(hint, type) and isinstance(data, hint):
        return data
    raise ValueError(f"{data!r} is no {hint}")


def _from_union(data: Json, hint: object) -> object:
    members = get_args(hint)
    if data is None:
        if type(None) in members:
            return None
        raise ValueError(f"nothing is no {hint}")
    named = {m.__name__: m for m in members if isinstance(m, type) and is_dataclass(m)}
    if isinstance(data, dict):
        name = str(data.get(_TAG))
        if name not in named:
            raise ValueError(f"{name!r} is none of {', '.join(sorted(named))}")
        return from_json(data, named[name])
    (plain,) = [m for m in members if m is not type(None)]
    return from_json(data, plain)


@cache
def _hints(record: type) -> dict[str, object]:
    return get_type_hints(record)


def _from_fields(data: Json, record: type) -> object:
    if not isinstance(data, dict) or data.get(_TAG) != record.__name__:
        raise ValueError(f"{data!r} is no {record.__name__}")
    hints = _hints(record)
    values = {key: from_json(item, hints[key]) for key, item in data.items() if key != _TAG}
    return record(**values)


def _from_container(data: Json, hint: object) -> object:
    if not isinstance(data, list):
        raise ValueError(f"{data!r} is no {hint}")
    args = get_args(hint)
    if get_origin(hint) is dict:
        pairs = [item for item in data if isinstance(item, list)]
        return {from_json(key, args[0]): from_json(value, args[1]) for key, value in pairs}
    if get_origin(hint) is list:
        return [from_json(item, args[0]) for item in data]
    if args[-1] is Ellipsis:
        return tuple(from_json(item, args[0]) for item in data)
    return tuple(from_json(item, arg) for item, arg in zip(data, args, strict=True))


def turn_from_json(data: Json) -> Turn:
    """A turn that was written with `to_json`.

    Raises:
        ValueError: the data is no turn.
    """
    turn = from_json(data, Turn)
    assert isinstance(turn, Turn), turn
    return turn
