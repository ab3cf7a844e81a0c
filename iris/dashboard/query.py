"""What an address asks of its page: filters and numbers, checked here and refused in full sentences."""

from enum import Enum
from http import HTTPStatus
from typing import Final, TypeVar
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from iris.dashboard.subject import Refusal

ROWS: Final = 50
"""Of a table, on one page."""
_LONGEST: Final = 200
_MOST_PAGES: Final = 100_000

_E = TypeVar("_E", bound=Enum)


class Query:
    """The part of an address behind its question mark."""

    def __init__(self, params: QueryParams) -> None:
        """Of a request."""
        self._params = params

    def text(self, name: str) -> str:
        """A text; empty when it is not said.

        Raises:
            Refusal: it is too long.
        """
        found = str(self._params.get(name, "")).strip()
        if len(found) > _LONGEST:
            raise _bad(f"{name}: {len(found)} characters are more than {_LONGEST}")
        return found

    def number(self, name: str, default: int, *, most: int) -> int:
        """A whole number that is not negative.

        Raises:
            Refusal: it is none, or too large.
        """
        found = self.text(name)
        if not found:
            return default
        if not (found.isascii() and found.isdecimal()) or int(found) > most:
            raise _bad(f"{name}: {found!r} is no whole number from 0 to {most}")
        return int(found)

    def choice(self, name: str, kind: type[_E]) -> _E | None:
        """A member of an enumeration by its value; nothing when it is not said.

        Raises:
            Refusal: there is none of that value.
        """
        found = self.text(name)
        if not found:
            return None
        try:
            return kind(found)
        except ValueError:
            words = ", ".join(str(member.value) for member in kind)
            raise _bad(f"{name}: {found!r} is none of {words}") from None

    @property
    def page(self) -> int:
        """Which page of a table, from 1 on.

        Raises:
            Refusal: no number.
        """
        return max(1, self.number("page", 1, most=_MOST_PAGES))

    def to(self, **changes: object) -> str:
        """The same question with some parts changed; an empty part is left out."""
        parts = {key: self._params[key] for key in self._params} | {
            key: str(value) for key, value in changes.items()
        }
        kept = {key: value for key, value in parts.items() if value}
        return f"?{urlencode(kept)}" if kept else "?"


def _bad(message: str) -> Refusal:
    return Refusal(HTTPStatus.BAD_REQUEST, message)
