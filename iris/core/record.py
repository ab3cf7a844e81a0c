"""Facts, decisions, turns and tables as JSON and back, by their declared types.

Every dataclass is written with the name of its class, so that a union can be read back;
enumerations by value, tuples as lists. There is one codec for all of them, so that a new fact
needs no new code here.
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

Json: TypeAlias = "bool | int | str | list[Json] | dict[str, Json] | None"

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
    return _reader(hint)(data)


_Reader: TypeAlias = Callable[[Json], object]


@cache
def _reader(hint: object) -> _Reader:
    """What reads a declared type: found once for each, since a journal holds millions of values."""
    origin = get_origin(hint)
    if origin in (types.UnionType, Union):
        return _union_reader(hint)
    if origin in (tuple, list, dict):
        return _container_reader(hint)
    if hasattr(hint, "__supertype__"):
        return _reader(hint.__supertype__)
    assert isinstance(hint, type), hint
    if issubclass(hint, Enum):
        return hint
    if is_dataclass(hint):
        return _fields_reader(hint)
    return _tuple_reader(hint) if issubclass(hint, tuple) else _plain_reader(hint)


def _plain_reader(hint: type) -> _Reader:
    def read(data: Json) -> object:
        if isinstance(data, hint):
            return data
        raise ValueError(f"{data!r} is no {hint}")

    return read


def _tuple_reader(make: Callable[..., object]) -> _Reader:
    def read(data: Json) -> object:
        assert isinstance(data, list), data
        return make(*data)

    return read


def _union_reader(hint: object) -> _Reader:
    members = [m for m in get_args(hint) if m is not type(None)]
    optional = len(members) < len(get_args(hint))
    named = {m.__name__: m for m in members if isinstance(m, type) and is_dataclass(m)}
    plain = _reader(members[0])

    def read(data: Json) -> object:
        if data is None:
            if optional:
                return None
            raise ValueError(f"nothing is no {hint}")
        if not isinstance(data, dict):
            assert len(members) == 1, hint
            return plain(data)
        name = str(data.get(_TAG))
        if name not in named:
            raise ValueError(f"{name!r} is none of {', '.join(sorted(named))}")
        return _reader(named[name])(data)

    return read


def _fields_reader(record: type) -> _Reader:
    name = record.__name__
    hints = get_type_hints(record)
    readers = {key: _reader(hint) for key, hint in hints.items()}
    # Most values are what they are written as: to look at their type is half as dear as to call.
    in_order = [(f.name, _as_written(hints[f.name]), readers[f.name]) for f in fields(record)]
    size = len(in_order) + 1

    def read(data: Json) -> object:
        if not isinstance(data, dict) or data.get(_TAG) != name:
            raise ValueError(f"{data!r} is no {name}")
        try:
            if len(data) == size:
                return record(
                    *[
                        item if type(item := data[key]) in plain else reader(item)
                        for key, plain, reader in in_order
                    ]
                )
            # Written by an earlier version: what it did not know has its default.
            known = {key: readers[key](item) for key, item in data.items() if key != _TAG}
            return record(**known)
        except (KeyError, TypeError) as error:
            raise ValueError(f"{data!r} has not the fields of {name}: {error}") from error

    return read


def _as_written(hint: object) -> frozenset[type]:
    """The types of JSON values that a declared type takes as they are."""
    if get_origin(hint) in (types.UnionType, Union):
        parts = [_as_written(arg) for arg in get_args(hint)]
        return frozenset().union(*parts) if all(parts) else frozenset()
    if hasattr(hint, "__supertype__"):
        return _as_written(hint.__supertype__)
    known: tuple[type, ...] = (int, str, bool, types.NoneType)
    return frozenset(kind for kind in known if kind is hint)


def _container_reader(hint: object) -> _Reader:
    origin, args = get_origin(hint), get_args(hint)
    parts = [_reader(arg) for arg in args if arg is not Ellipsis]
    first = parts[0]

    def read(data: Json) -> object:
        if not isinstance(data, list):
            raise ValueError(f"{data!r} is no {hint}")
        if origin is dict:
            pairs = [item for item in data if isinstance(item, list)]
            return {first(key): parts[1](value) for key, value in pairs}
        if origin is list:
            return [first(item) for item in data]
        if args[-1] is Ellipsis:
            return tuple(first(item) for item in data)
        return tuple(part(item) for item, part in zip(data, parts, strict=True))

    return read


def turn_from_json(data: Json) -> Turn:
    """A turn that was written with `to_json`.

    Raises:
        ValueError: the data is no turn.
    """
    turn = from_json(data, Turn)
    assert isinstance(turn, Turn), turn
    return turn
