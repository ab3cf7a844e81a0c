"""Facts, decisions, effects and tables survive being written; what is no record is refused."""

import json
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from types import UnionType
from typing import Union, get_args, get_origin, get_type_hints

import pytest

from iris.core import record
from iris.core.decisions import Decision
from iris.core.effects import Effect
from iris.core.events import ConfigLoaded, Event, WorkerHeard
from iris.core.ids import WorkerId
from iris.core.instant import MINUTE, Instant
from iris.core.record import Turn, from_json, to_json, turn_from_json
from iris.core.records import Attempt, Books, Gate, Hold, Job, Slice, Task, Usage, Worker
from iris.core.resources import Resources
from iris.core.retry import EndCause
from iris.core.snapshot import restore, snapshot, snapshot_from_json, snapshot_to_json
from iris.core.spec import Band, ClusterSpec
from tests.harness import cpu_group, fleet, tpu_group

ROWS: tuple[type, ...] = (Attempt, Books, Gate, Hold, Job, Slice, Task, Usage, Worker)
RECORDS: tuple[type, ...] = (*get_args(Event), *get_args(Decision), *get_args(Effect))


@pytest.fixture(autouse=True)
def new_readers() -> None:
    """Readers are made once for each type: here, where coverage looks, whoever made them before."""
    record._reader.cache_clear()


def example(hint: object, *, filled: bool) -> object:
    """A value of a type: with every optional part (`filled`), or with none."""
    if get_origin(hint) in (UnionType, Union):
        return _of_union(get_args(hint), filled=filled)
    if hasattr(hint, "__supertype__"):
        return example(hint.__supertype__, filled=filled)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return list(hint)[-1 if filled else 0]
    if isinstance(hint, type) and is_dataclass(hint):
        hints = get_type_hints(hint)
        return hint(**{f.name: example(hints[f.name], filled=filled) for f in fields(hint)})
    if get_origin(hint) in (tuple, list, dict):
        return _of_container(hint, filled=filled)
    if hint is Resources:
        return Resources(1, 2, 3, 4, 5) if filled else Resources()
    plain: dict[object, Callable[[], object]] = {
        int: lambda: 7 if filled else 0,
        str: lambda: "text" if filled else "",
        bool: lambda: filled,
    }
    return plain[hint]()


def _of_union(members: tuple[object, ...], *, filled: bool) -> object:
    if type(None) in members and not filled:
        return None
    some = [member for member in members if member is not type(None)]
    return example(some[-1 if filled else 0], filled=filled)


def _of_container(hint: object, *, filled: bool) -> object:
    make = get_origin(hint)
    args = get_args(hint)
    if make is tuple and args[-1] is not Ellipsis:
        return tuple(example(arg, filled=filled) for arg in args)
    if not filled:
        return make() if make is not None else None
    if make is dict:
        return {example(args[0], filled=True): example(args[1], filled=True)}
    items = [example(args[0], filled=True)] * 2
    return tuple(items) if make is tuple else items


@pytest.mark.parametrize("filled", [True, False])
@pytest.mark.parametrize("record", [*RECORDS, *ROWS])
def test_every_record_is_read_back_as_it_was_written(record: type, *, filled: bool) -> None:
    value = example(record, filled=filled)
    written = json.loads(json.dumps(to_json(value)))
    assert from_json(written, record) == value


@pytest.mark.parametrize("union", [Event, Decision])
def test_a_union_is_read_back_by_the_name_of_its_member(union: object) -> None:
    for member in get_args(union):
        value = example(member, filled=True)
        assert from_json(to_json(value), union) == value


@pytest.mark.parametrize("record", RECORDS)
def test_records_are_frozen_and_hold_nothing_but_their_fields(record: type) -> None:
    value = example(record, filled=True)
    assert not hasattr(value, "__dict__")
    for field in fields(record):
        with pytest.raises(AttributeError):
            setattr(value, field.name, None)


def test_a_turn_is_read_back_whole() -> None:
    turn = Turn(Instant(5), (WorkerHeard(WorkerId("w"), "i"),), ())
    assert turn_from_json(json.loads(json.dumps(to_json(turn)))) == turn


def test_a_configuration_with_every_part_is_read_back() -> None:
    loaded = ConfigLoaded(ClusterSpec((tpu_group(reservation="r"),), reservations=(("r", 16),)))
    assert from_json(to_json(loaded), Event) == loaded


def test_what_an_earlier_version_did_not_know_has_its_default() -> None:
    written = to_json(ClusterSpec((tpu_group(),), reservations=(("r", 16),)))
    assert isinstance(written, dict)
    del written["reservations"]
    assert from_json(written, ClusterSpec) == ClusterSpec((tpu_group(),))


@dataclass(frozen=True, slots=True)
class Odd:
    """A record with a field that no record has."""

    part: complex


@pytest.mark.parametrize(
    ("data", "hint", "message"),
    [
        (None, Event, "nothing is no"),
        ({"is": "Nothing"}, Event, "'Nothing' is none of ConfigLoaded, "),
        ({}, Event, "'None' is none of"),
        ("text", WorkerHeard, "'text' is no WorkerHeard"),
        ({"is": "Turn"}, WorkerHeard, "is no WorkerHeard"),
        ("seven", int, "'seven' is no <class 'int'>"),
        (3, tuple[int, ...], "3 is no tuple"),
        ("purple", EndCause, "'purple' is not a valid EndCause"),
        ([1], tuple[int, str], "longer than argument 1"),
        (
            {"is": "WorkerHeard", "worker": "w", "at": 5},
            WorkerHeard,
            "has not the fields of WorkerHeard: 'in",
        ),
        ({"is": "WorkerHeard", "worker": "w", "x": 1, "y": 2}, WorkerHeard, "WorkerHeard: 'x'"),
        ({"is": "WorkerHeard"}, WorkerHeard, "WorkerHeard: .* missing 2 required"),
    ],
)
def test_what_is_no_record_is_refused_by_name(data: object, hint: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_json(data, hint)  # type: ignore[arg-type]  # what a damaged journal may hold


def test_a_value_that_no_record_has_cannot_be_written() -> None:
    with pytest.raises(TypeError, match="complex is no type of a record"):
        to_json(Odd(1j))
    with pytest.raises(TypeError, match="type is no type of a record"):
        to_json(Odd)


def test_an_order_of_bands_is_written_as_a_number() -> None:
    assert to_json(Band.BATCH) == 2
    assert from_json(2, Band) is Band.BATCH


def test_a_snapshot_is_read_back_and_shares_nothing_with_the_state() -> None:
    script = fleet(cpu_group(min_slices=1), tpu_group())
    job = script.submit("gang", tpu="v5litepod-16", replicas=2, gang=True)
    script.submit("child", parent=job)
    image = snapshot(script.controller.state)
    written = json.dumps(snapshot_to_json(image))
    digest = script.controller.digest()
    script.ready("tpu")
    script.running(job).advance(MINUTE)
    script.stop(job)
    assert json.dumps(snapshot_to_json(image)) == written
    assert restore(snapshot_from_json(json.loads(written))).digest() == digest
