"""A YAML file as plain values that know where they stand, so that every error can point there.

`load_mapping` reads, `Document.override` applies `--set`, `Document.graft` puts one file into
another, `validate` holds the values against a model and reports all that does not fit at once.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path as FilePath
from types import UnionType
from typing import Annotated, Final, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from iris.problems import BadInput, Finding, Problem, Unfit, one_of, shown
from iris.units import BadQuantity
from iris.yaml_reader import Mark, Path, Place, Source, dotted, read, scalar

__all__ = [
    "BadInput",
    "Document",
    "Finding",
    "Problem",
    "Unfit",
    "load_mapping",
    "parse_mapping",
    "validate",
]

Model = TypeVar("Model", bound=BaseModel)

_SET: Final = "--set"
_KIND_WORDING: Final = {
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dict_type": "a mapping",
    "list_type": "a list",
    "tuple_type": "a list",
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
}
"""What was expected, by pydantic's type of error."""
_CHOICE_KEYS: Final = ("literal_error", "enum", "union_tag_invalid", "union_tag_not_found")
_BOUND_WORDING: Final = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


@dataclass(slots=True)
class Document:
    """The values of one file and their places; `--set` and grafts change both together."""

    file: str
    data: dict[str, object]
    _places: dict[Path, Place] = field(repr=False)

    def position(self, path: Path) -> tuple[int, int]:
        """Line and column of a value, or of the nearest entry around it that is there."""
        mark = self._place(path).value
        return mark.line, mark.column

    def problem(self, path: Path, message: str, help: str = "", *, at_key: bool = False) -> Problem:
        """What is wrong with the value at a path, or (`at_key`) with the key that names it."""
        place = self._place(path)
        found = path in self._places
        mark = place.key if at_key or not found else place.value
        return mark.problem(dotted(path), message, help)

    def override(self, key: str, value_text: str) -> None:
        """Set the value at a dotted key, whose text is read as YAML; a list's items go by index."""
        mark = Mark(Source(_SET, (f"{key}={value_text}",)), 1, 1)
        value_mark = Mark(mark.source, 1, len(key) + 2)
        try:
            value, inner = read(value_text, Source(_SET, (value_text,)))
        except BadInput as error:
            said = error.problems[0].message
            raise BadInput([value_mark.problem(key, said, "write it as a YAML value")]) from None
        path = self._store(key, value, mark)
        self._forget(path)
        self._places[path] = Place(mark, value_mark)
        self._places.update({(*path, *below): Place(mark, value_mark) for below in inner})

    def graft(self, path: Path, other: "Document") -> None:
        """Put another file's values at a path; problems there will name the other file."""
        self._store_at(path, other.data, self._place(path).key)
        self._forget(path)
        self._places.update({(*path, *below): place for below, place in other._places.items()})

    def _place(self, path: Path) -> Place:
        while path not in self._places and path:
            path = path[:-1]
        return self._places[path]

    def _forget(self, path: Path) -> None:
        """Drop the places of an entry that is replaced, and of all that stood below it."""
        depth = len(path)
        for known in [known for known in self._places if known[:depth] == path]:
            del self._places[known]

    def _store(self, key: str, value: object, mark: Mark) -> Path:
        """Store a value under a dotted key, and return the path that the key means here."""
        steps = key.split(".")
        if not all(steps):
            raise BadInput(
                [mark.problem("", f"{shown(key)} is not a dotted key", "write KEY.KEY=VALUE")]
            )
        path: Path = ()
        at: object = self.data
        for step in steps:
            path = (*path, int(step) if isinstance(at, list) and step.isdecimal() else step)
            at = _child(at, path[-1])
        self._store_at(path, value, mark)
        return path

    def _store_at(self, path: Path, value: object, mark: Mark) -> None:
        """Store a value, making the mappings on the way to it that are not there yet."""
        at: object = self.data
        for depth, step in enumerate(path, start=1):
            last = depth == len(path)
            if isinstance(at, dict):
                if last:
                    at[step] = value
                elif at.get(step) is None:
                    at[step] = {}
                    self._places.setdefault(path[:depth], Place(mark, mark))
            elif isinstance(at, list) and isinstance(step, int) and step < len(at):
                if last:
                    at[step] = value
            else:
                raise BadInput([_no_way(path[: depth - 1], step, at, mark)])
            at = _child(at, step)


def load_mapping(path: FilePath, *, max_bytes: int = 5_000_000) -> Document:
    """The mapping that a YAML file holds, or `BadInput` saying why there is none."""
    name = str(path)
    try:
        with path.open("rb") as file:
            raw = file.read(max_bytes + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise BadInput(
            [_whole_file(name, f"cannot read {name}: {reason}", "check the path")]
        ) from None
    if len(raw) > max_bytes:
        message = f"larger than {max_bytes} bytes"
        raise BadInput([_whole_file(name, message, "is this the right file? split it if it is")])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        message = f"not UTF-8: byte 0x{raw[error.start]:02x} in line {line}"
        raise BadInput([_whole_file(name, message, "save the file as UTF-8 text")]) from None
    return parse_mapping(text, name)


def parse_mapping(text: str, name: str) -> Document:
    """The mapping that a YAML text holds; `name` stands for the file in messages."""
    source = Source.of(name, text)
    data, places = read(text, source)
    if data is None:
        raise BadInput([_whole_file(name, "the file is empty", "write `key: value` lines")])
    if not isinstance(data, dict):
        message = f"the file holds {shown(data)}, not a mapping"
        raise BadInput([places[()].value.problem("", message, "write `key: value` lines")])
    return Document(name, data, places)


def validate(document: Document, model: type[Model]) -> Model:
    """The document as a model's instance, or `BadInput` with everything that does not fit."""
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        problems = [
            problem
            for details in error.errors(include_url=False)
            for problem in _problems(document, model, details)
        ]
    unique = list(dict.fromkeys(problems))
    raise BadInput(sorted(unique, key=lambda problem: (problem.file, problem.line, problem.column)))


def _problems(document: Document, model: type[BaseModel], error: ErrorDetails) -> list[Problem]:
    """One complaint of pydantic in our words; our own checks may have found several things."""
    path, kind = _real_path(document.data, error["loc"]), error["type"]
    if kind == "extra_forbidden":
        known = [name for found in _models_at(model, path[:-1]) for name in _field_names(found)]
        message = f"unknown key `{dotted(path)}`"
        return [document.problem(path, message, one_of(str(path[-1]), known), at_key=True)]
    if kind == "missing":
        message = f"missing key `{dotted(path)}`"
        return [document.problem(path, message, f"add `{path[-1]}: ...`", at_key=True)]
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, Unfit):
        return [
            document.problem(
                (*path, *finding.at), finding.message, finding.help, at_key=finding.at_key
            )
            for finding in cause.findings
        ]
    message, remedy = _wording(error, cause)
    return [document.problem(path, message, remedy)]


def _wording(error: ErrorDetails, cause: object) -> tuple[str, str]:
    """What is wrong with a value, and what would be right."""
    if isinstance(cause, BadQuantity):
        return cause.message, cause.help
    if isinstance(cause, Exception):
        return str(cause), ""
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    if kind in _KIND_WORDING:
        return f"expected {_KIND_WORDING[kind]}, got {shown(value)}", _quote_help(kind, value)
    if kind in _BOUND_WORDING:
        key, words = _BOUND_WORDING[kind]
        return f"{shown(value)} is out of range", f"it must be {words} {context[key]}"
    if kind in ("too_short", "string_too_short"):
        return f"{shown(value)} is too short", f"at least {context['min_length']} is needed"
    if kind in _CHOICE_KEYS:
        return _choice_wording(value, context)
    return f"{shown(value)}: {error['msg'][:1].lower()}{error['msg'][1:]}", ""


def _quote_help(kind: str, value: object) -> str:
    """Quotes make text of a number, and are easily too many or too few."""
    if kind == "string_type":
        return "put it in quotes" if isinstance(value, bool | int | float) else ""
    spelled = scalar(value) if isinstance(value, str) else None
    return "remove the quotes" if isinstance(spelled, bool | int | float) else ""


def _choice_wording(value: object, context: dict[str, object]) -> tuple[str, str]:
    """A word that is none of those allowed, standing for itself or in the key that tells kinds."""
    expected = context.get("expected", context.get("expected_tags", ""))
    choices = re.findall(r"'([^']*)'", str(expected))
    if "discriminator" not in context:
        return f"{shown(value)} is not a choice", _choice_help(value, choices)
    key = str(context["discriminator"]).strip("'")
    if "tag" not in context:
        return f"missing key `{key}`", f"add `{key}: ...`"
    return f"{key} is {shown(context['tag'])}", _choice_help(context["tag"], choices)


def _choice_help(value: object, choices: Sequence[str]) -> str:
    nearest = get_close_matches(str(value).lower(), choices, n=1, cutoff=0.6)
    listing = f"it is one of {', '.join(choices)}"
    return f"did you mean `{nearest[0]}`? {listing}" if nearest else listing


def _real_path(data: object, location: tuple[int | str, ...]) -> Path:
    """The path that a location of pydantic means: without the names of union members in it."""
    path: Path = ()
    for number, step in enumerate(location, start=1):
        known = isinstance(data, dict) and step in data
        known = known or (isinstance(data, list) and isinstance(step, int) and step < len(data))
        if known or (number == len(location) and isinstance(data, dict)):
            path = (*path, step)
            data = _child(data, step)
    return path


def _child(value: object, step: str | int) -> object:
    """What lies one step below a value; None where there is nothing."""
    if isinstance(value, dict):
        return value.get(step)
    if isinstance(value, list) and isinstance(step, int) and 0 <= step < len(value):
        return value[step]
    return None


def _models_at(annotation: object, path: Path) -> list[type[BaseModel]]:
    """The models that may stand at a path below a type."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType, Annotated):
        members = arguments[:1] if origin is Annotated else arguments
        return [found for member in members for found in _models_at(member, path)]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if not path:
            return [annotation]
        fields = annotation.model_fields.items()
        below = [info.annotation for name, info in fields if (info.alias or name) == path[0]]
        return [found for member in below for found in _models_at(member, path[1:])]
    return (
        _models_at(arguments[-1 if origin is dict else 0], path[1:]) if arguments and path else []
    )


def _field_names(model: type[BaseModel]) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items()]


def _whole_file(name: str, message: str, help: str) -> Problem:
    return Problem(name, 0, 0, "", message, help, "")


def _no_way(parent: Path, step: str | int, at: object, mark: Mark) -> Problem:
    """Why a dotted key leads nowhere."""
    where = f"`{dotted(parent)}`" if parent else "the file"
    if isinstance(at, list):
        message = f"{where} has no item {step}; it holds {len(at)}"
        return mark.problem("", message, "items count from 0")
    return mark.problem("", f"{where} is {shown(at)}, which has no key `{step}`", "name a mapping")
