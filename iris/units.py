"""Durations, sizes and cpus as people write them, to the exact integers that the core counts in.

Read here and nowhere else, so that `90s` means one thing in a config, a scenario and a flag. A
value is never rounded to nothing, and nothing negative, infinite or of an unknown unit gets in.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from iris.core.instant import Millis
from iris.problems import shown

DURATION_UNITS: Final[Mapping[str, int]] = {
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1_000,
    "ms": 1,
}
"""Milliseconds of each unit, the longest first, which is also the order of `1h30m`."""

SIZE_UNITS: Final[Mapping[str, int]] = {
    "PiB": 2**50,
    "PB": 10**15,
    "TiB": 2**40,
    "TB": 10**12,
    "GiB": 2**30,
    "GB": 10**9,
    "MiB": 2**20,
    "MB": 10**6,
    "KiB": 2**10,
    "KB": 10**3,
    "B": 1,
}
"""Bytes of each unit, the largest first. GB is 10**9 and GiB is 2**30, as the standards say."""

DURATION_HELP: Final = (
    "write a number and a unit (ms, s, m, h, d) as 90s, 15m, 1h30m or 2d; a bare number is seconds"
)
SIZE_HELP: Final = (
    "write a number and a unit as 64GB (10**9 bytes each) or 64GiB (2**30); a bare number is bytes"
)
PRICE_HELP: Final = "write dollars as 9.6, without a sign or a unit"
CPU_HELP: Final = "write cores as 4 or 0.5, or millicores as 500m"

_LONGEST_TEXT: Final = 40
_LARGEST: Final = 2**63 - 1  # what journals and messages can hold
_NUMBER: Final = r"\d+(?:\.\d+)?"
_PLAIN: Final = re.compile(rf"[+-]?{_NUMBER}(?:[eE][+-]?\d{{1,3}})?", re.ASCII)
_DURATION: Final = re.compile(
    "".join(rf"(?:(?P<{unit}>{_NUMBER})\s*{unit})?\s*" for unit in DURATION_UNITS), re.ASCII
)
_SIZE: Final = re.compile(rf"({_NUMBER})\s*([A-Za-z]+)", re.ASCII)
_MILLICORES: Final = re.compile(r"(\d+)m", re.ASCII)
_SIZE_BY_SPELLING: Final[Mapping[str, int]] = {
    spelling.lower(): count
    for unit, count in SIZE_UNITS.items()
    for spelling in (unit, unit.removesuffix("B"))
    if spelling
}


class BadQuantity(ValueError):
    """A value that is no quantity of its kind: what is wrong, and what would be right."""

    def __init__(self, message: str, help: str) -> None:
        super().__init__(f"{message}; {help}")
        self.message = message
        self.help = help


def parse_duration(value: object) -> Millis:
    """Whole milliseconds of `90s`, `1h30m`, `2d`, `250ms`, or of a bare number of seconds."""
    number = _bare_number(value, "duration", DURATION_HELP)
    if number is not None:
        return Millis(_whole(number * 1_000, value, "a millisecond", DURATION_HELP))
    text = str(value).strip()
    parts = _DURATION.fullmatch(text)
    if not text or parts is None:
        raise _not_a("duration", value, DURATION_HELP)
    amounts = ((parts[unit], millis) for unit, millis in DURATION_UNITS.items())
    total = sum((Decimal(amount) * millis for amount, millis in amounts if amount), Decimal())
    return Millis(_whole(total, value, "a millisecond", DURATION_HELP))


def parse_size(value: object) -> int:
    """Bytes of `64GB` (decimal), `64GiB` (binary), or of a bare number."""
    number = _bare_number(value, "size", SIZE_HELP)
    if number is not None:
        return _whole(number, value, "a byte", SIZE_HELP)
    parts = _SIZE.fullmatch(str(value).strip())
    unit = _SIZE_BY_SPELLING.get(parts[2].lower()) if parts else None
    if parts is None or unit is None:
        raise _not_a("size", value, SIZE_HELP)
    return _whole(Decimal(parts[1]) * unit, value, "a byte", SIZE_HELP)


def parse_cpu(value: object) -> int:
    """Millicores of a number of cores (`4`, `0.5`) or of `500m`."""
    millicores = _MILLICORES.fullmatch(value.strip()) if isinstance(value, str) else None
    if millicores and len(millicores[1]) <= _LONGEST_TEXT:
        return _whole(Decimal(millicores[1]), value, "a millicore", CPU_HELP)
    number = _bare_number(value, "number of cpus", CPU_HELP)
    if number is None:
        raise _not_a("number of cpus", value, CPU_HELP)
    exact = number * 1_000
    if exact != exact.to_integral_value():
        raise BadQuantity(f"{shown(value)} is finer than a millicore", CPU_HELP)
    return _whole(exact, value, "a millicore", CPU_HELP)


def parse_price(value: object) -> int:
    """Millionths of a dollar, of a price in dollars."""
    number = _bare_number(value, "price", PRICE_HELP)
    if number is None:
        raise _not_a("price", value, PRICE_HELP)
    return _whole(number * 1_000_000, value, "a millionth of a dollar", PRICE_HELP)


def format_duration(span: Millis) -> str:
    """A span as `parse_duration` reads it back: `1h30m`, `250ms`, `0s`."""
    if span < 0:
        return f"-{format_duration(Millis(-span))}"
    rest, parts = int(span), []
    for unit, millis in DURATION_UNITS.items():
        count, rest = divmod(rest, millis)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def format_size(size: int) -> str:
    """A size for people: exact where that is short (`64GB`, `2GiB`), else to three digits."""
    for unit, count in SIZE_UNITS.items():
        if size % count == 0 and 0 < abs(size) // count < 10_000:
            return f"{size // count}{unit}"
    for unit, count in SIZE_UNITS.items():
        if abs(size) >= count and not unit.endswith("iB"):
            return f"{size / count:.3g}{unit}"
    return "0B"


def _bare_number(value: object, kind: str, help: str) -> Decimal | None:
    """The number that `value` is or spells without a unit, or None; refuses negative ones."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _not_a(kind, value, help)
    text = value.strip() if isinstance(value, str) else repr(value)
    if len(text) > _LONGEST_TEXT:
        raise _not_a(kind, value, help)
    if text.startswith("-"):
        raise BadQuantity(f"{shown(value)} is negative", help)
    if isinstance(value, float) and not _PLAIN.fullmatch(text):
        raise BadQuantity(f"{shown(value)} is not a finite number", help)
    return Decimal(text) if _PLAIN.fullmatch(text) else None


def _whole(number: Decimal, value: object, smallest: str, help: str) -> int:
    """The nearest whole number, unless that hides a value or is beyond all reason."""
    if number > _LARGEST:
        raise BadQuantity(f"{shown(value)} is too large", help)
    whole = int(number.to_integral_value(ROUND_HALF_EVEN))
    if whole == 0 and number > 0:
        raise BadQuantity(f"{shown(value)} is less than {smallest}", help)
    return whole


def _not_a(kind: str, value: object, help: str) -> BadQuantity:
    return BadQuantity(f"{shown(value)} is not a {kind}", help)


def timestamp(millis: int) -> str:
    """Milliseconds since 1970 as RFC 3339, UTC."""
    return datetime.fromtimestamp(millis / 1_000, UTC).isoformat().replace("+00:00", "Z")
