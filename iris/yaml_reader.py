"""YAML text to plain values and the place of each: the strict subset that a config needs.

Values are read by the rules of YAML 1.2: `no` and `12:30` are text, and only `true` and `false`
are booleans. Duplicate keys, unknown tags and second documents are refused, never guessed at.
Aliases and merge keys work, within limits on depth and on the size that they expand to.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, TypeAlias

import yaml

from iris.problems import BadInput, Problem

Path: TypeAlias = tuple[str | int, ...]

_DEEPEST: Final = 64
_MOST_VALUES: Final = 500_000
_LONGEST_NUMBER: Final = 100
_BREAK: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_UNPRINTABLE: Final = re.compile("[^\t\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
_PREFIXED: Final = re.compile(r"0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL_FLOAT: Final = re.compile(r"([-+]?)\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_NULLS: Final = ("", "~", "null", "Null", "NULL")
_BOOLEANS: Final = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_STRING_TAG: Final = "tag:yaml.org,2002:str"
_MERGE: Final = "<<"
_SYNTAX_HELP: Final = "look at the indentation, brackets and quotes here and just above"
# libyaml reads ten times as fast; both give the same events.
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _LibraryMark(Protocol):
    """A place as either of the library's readers tells it, counted from 0."""

    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...


class Source(NamedTuple):
    """A text, by the name that messages give it."""

    name: str
    lines: tuple[str, ...]

    @staticmethod
    def of(name: str, text: str) -> "Source":
        """The text, cut into lines as YAML counts them."""
        return Source(name, tuple(_BREAK.split(text)))


class Mark(NamedTuple):
    """A place in a text; line and column count from 1."""

    source: Source
    line: int
    column: int

    def problem(self, path: str, message: str, help: str) -> Problem:
        """What is wrong at this place."""
        lines = self.source.lines
        text = lines[self.line - 1] if 0 < self.line <= len(lines) else ""
        return Problem(self.source.name, self.line, self.column, path, message, help, text)


class Place(NamedTuple):
    """Where an entry stands: its key (of a list's item: the item), and its value."""

    key: Mark
    value: Mark


@dataclass(frozen=True, slots=True)
class _Scalar:
    value: object
    mark: Mark


@dataclass(frozen=True, slots=True)
class _Sequence:
    items: "list[_Node]"
    mark: Mark


@dataclass(frozen=True, slots=True)
class _Mapping:
    entries: "dict[str, tuple[Mark, _Node]]"
    mark: Mark


_Node: TypeAlias = _Scalar | _Sequence | _Mapping


def read(text: str, source: Source) -> tuple[object, dict[Path, Place]]:
    """The value of the text's only document, and the place of every entry by its path."""
    _refuse_unprintable(source)
    node = _Composer(text, source).document()
    if node is None:
        return None, {}
    places: dict[Path, Place] = {}
    return _build(node, node.mark, (), places), places


def _refuse_unprintable(source: Source) -> None:
    """Control characters, and bytes of a command line that are no text, end the library itself."""
    for number, line in enumerate(source.lines, start=1):
        found = _UNPRINTABLE.search(line)
        if found:
            mark = Mark(source, number, found.start() + 1)
            message = f"not valid YAML: the character {found[0]!a} may not stand in a text"
            raise BadInput([mark.problem("", message, "write it as an escape in double quotes")])


def dotted(path: Path) -> str:
    """A path as messages spell it: `scale_groups.cpu.zones.0`."""
    return ".".join(str(step) for step in path)


def scalar(text: str) -> object:
    """What an unquoted word means."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    number = _number(text) if len(text) <= _LONGEST_NUMBER else None
    return text if number is None else number


def _number(text: str) -> int | float | None:
    """The number that a word spells; None when it spells none."""
    if _INTEGER.fullmatch(text):
        return int(text)
    if _PREFIXED.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    special = _SPECIAL_FLOAT.fullmatch(text)
    return float((special[1] or "") + (special[2] or special[3])) if special else None


def _build(node: _Node, key: Mark, path: Path, places: dict[Path, Place]) -> object:
    """Plain values, anew for each alias, so that changing one changes no other."""
    places[path] = Place(key, node.mark)
    if len(places) > _MOST_VALUES or len(path) > _DEEPEST:
        message = f"over {_MOST_VALUES} values or {_DEEPEST} levels, aliases counted at each use"
        raise BadInput(
            [key.problem(dotted(path[:3]), message, "use fewer aliases or split the file")]
        )
    match node:
        case _Scalar():
            return node.value
        case _Sequence():
            return [
                _build(item, item.mark, (*path, index), places)
                for index, item in enumerate(node.items)
            ]
        case _Mapping():
            return {
                name: _build(value, mark, (*path, name), places)
                for name, (mark, value) in node.entries.items()
            }


class _Composer:
    """Reads events one by one, because composing in the library recurses without a limit."""

    def __init__(self, text: str, source: Source) -> None:
        self._source = source
        self._events = self._guarded(yaml.parse(text, Loader=_LOADER))
        self._anchors: dict[str, _Node] = {}
        self._depth = 0
        self._duplicates: list[Problem] = []

    def document(self) -> _Node | None:
        """The root of the only document; None when there is none."""
        root: _Node | None = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    raise self._refusal(event, "a second document begins", "keep one per file")
                root = self._node(next(self._events), ())
        if self._duplicates:
            raise BadInput(self._duplicates)
        return root

    def _guarded(self, events: Iterator[yaml.Event]) -> Iterator[yaml.Event]:
        """The events, with the library's complaints turned into ours."""
        try:
            yield from events
        except yaml.MarkedYAMLError as error:
            raise BadInput([self._syntax_problem(error)]) from None

    def _syntax_problem(self, error: yaml.MarkedYAMLError) -> Problem:
        at = self._mark(error.problem_mark)
        context = f" {error.context}" if error.context else ""
        tabbed = at.problem("", "", "").source_line.lstrip(" ").startswith("\t")
        remedy = "indent with spaces; YAML allows no tabs there" if tabbed else _SYNTAX_HELP
        return at.problem("", f"not valid YAML: {error.problem}{context}", remedy)

    def _mark(self, mark: _LibraryMark | None) -> Mark:
        assert mark is not None, "every event read from a text has its place"
        lines = self._source.lines
        if mark.line >= len(lines):  # the end of a text whose last line has no end
            return Mark(self._source, len(lines), len(lines[-1]) + 1)
        return Mark(self._source, mark.line + 1, mark.column + 1)

    def _refusal(self, event: yaml.Event, message: str, help: str, path: Path = ()) -> BadInput:
        return BadInput([self._mark(event.start_mark).problem(dotted(path), message, help)])

    def _node(self, event: yaml.Event, path: Path) -> _Node:
        assert isinstance(event, yaml.NodeEvent), event
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path)
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._refusal(event, f"nested deeper than {_DEEPEST} levels", "flatten it")
        node = self._plain_node(event, path)
        self._depth -= 1
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: yaml.AliasEvent, path: Path) -> _Node:
        if event.anchor not in self._anchors:
            message = f"no finished anchor `&{event.anchor}` stands before this alias"
            raise self._refusal(event, message, "define it above, outside of itself", path)
        return self._anchors[event.anchor]

    def _plain_node(self, event: yaml.NodeEvent, path: Path) -> _Node:
        mark = self._mark(event.start_mark)
        if isinstance(event, yaml.ScalarEvent):
            return _Scalar(self._scalar_value(event, path), mark)
        assert isinstance(event, yaml.CollectionStartEvent), event
        if event.tag not in (None, "!"):
            raise self._refusal(event, f"tag `{event.tag}` is not supported", "remove it", path)
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[_Node] = []
            while not isinstance(item := next(self._events), yaml.SequenceEndEvent):
                items.append(self._node(item, (*path, len(items))))
            return _Sequence(items, mark)
        return _Mapping(self._entries(path), mark)

    def _scalar_value(self, event: yaml.ScalarEvent, path: Path) -> object:
        if event.tag not in (None, "!", _STRING_TAG):
            raise self._refusal(event, f"tag `{event.tag}` is not supported", "remove it", path)
        return scalar(event.value) if event.implicit[0] and event.tag is None else event.value

    def _entries(self, path: Path) -> dict[str, tuple[Mark, _Node]]:
        entries: dict[str, tuple[Mark, _Node]] = {}
        merged: dict[str, tuple[Mark, _Node]] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise self._refusal(event, "a key is not a word", "write `key: value`", path)
            name = str(event.value)
            value = self._node(next(self._events), (*path, name))
            if name == _MERGE and event.implicit[0]:
                self._merge(merged, value, path)
                continue
            if name in entries:
                remedy = f"it stands in line {entries[name][0].line} already; keep one of them"
                message = f"duplicate key `{dotted((*path, name))}`"
                self._duplicates.append(self._mark(event.start_mark).problem("", message, remedy))
                continue
            entries[name] = (self._mark(event.start_mark), value)
        return {**merged, **entries}

    def _merge(self, merged: dict[str, tuple[Mark, _Node]], value: _Node, path: Path) -> None:
        """Add what `<<` brings in; the mapping named first wins."""
        for node in value.items if isinstance(value, _Sequence) else [value]:
            if not isinstance(node, _Mapping):
                problem = value.mark.problem(
                    dotted(path),
                    "`<<` merges something that is no mapping",
                    "name an anchor of a mapping",
                )
                raise BadInput([problem])
            for name, entry in node.entries.items():
                merged.setdefault(name, entry)
