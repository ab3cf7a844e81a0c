"""Google's discovery document as a judge: does an answer have the fields, types and values that it lists?

The documents are those that google-api-python-client brings along.
"""

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any, Final

from tests.gcp.fake_errors import Json
from tests.gcp.fake_http import Answer, Request

_STAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_DURATION: Final = re.compile(r"\d+(\.\d+)?s")


class Judge:
    """The documents of one API, by version."""

    def __init__(self, api: str, *versions: str) -> None:
        folder = files("googleapiclient") / "discovery_cache" / "documents"
        self._documents: dict[str, Json] = {
            version: json.loads((folder / f"{api}.{version}.json").read_text())
            for version in versions
        }

    def faults(self, request: Request, answer: Answer) -> list[str]:
        """What of an answer is not as documented; also a request that no method has."""
        for document in self._documents.values():
            for method in _methods(document):
                flat = document["servicePath"] + method["flatPath"]
                pattern = re.sub(r"\{[^}]*\}", "[^/:]+", flat)
                path = request.path.lstrip("/")
                if method["httpMethod"] == request.verb and re.fullmatch(pattern, path):
                    if answer.status != 200:
                        return list(_of_error(json.loads(answer.body)))
                    schema = {"$ref": method["response"]["$ref"]}
                    return list(self._of(document, schema, json.loads(answer.body), "$"))
        return [f"no method for {request.verb} {request.path}"]

    def _of(self, document: Json, schema: Json, value: Any, where: str) -> Iterator[str]:
        if "$ref" in schema:
            yield from self._of(document, document["schemas"][schema["$ref"]], value, where)
        elif schema.get("type") == "object" and isinstance(value, dict):
            known = schema.get("properties", {})
            for key, inner in value.items():
                if key in known:
                    yield from self._of(document, known[key], inner, f"{where}.{key}")
                elif "additionalProperties" in schema:
                    rest = schema["additionalProperties"]
                    yield from self._of(document, rest, inner, f"{where}.{key}")
                else:
                    yield f"{where}.{key}: no such field"
        elif schema.get("type") == "array" and isinstance(value, list):
            for index, inner in enumerate(value):
                yield from self._of(document, schema["items"], inner, f"{where}[{index}]")
        else:
            yield from _of_scalar(schema, value, where)


def _methods(resource: Json) -> Iterator[Json]:
    yield from resource.get("methods", {}).values()
    for inner in resource.get("resources", {}).values():
        yield from _methods(inner)


_TYPES: Final[dict[str, type | tuple[type, ...]]] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "any": object,
}


def _of_scalar(schema: Json, value: Any, where: str) -> Iterator[str]:
    kind = _TYPES.get(schema.get("type", "any"), ())
    if not isinstance(value, kind):
        yield f"{where}: {value!r} is no {schema.get('type')}"
    elif "enum" in schema and value not in schema["enum"]:
        yield f"{where}: {value!r} is not one of {schema['enum']}"
    elif schema.get("format") == "google-datetime" and not _STAMP.fullmatch(str(value)):
        yield f"{where}: {value!r} is no time"
    elif schema.get("format") == "google-duration" and not _DURATION.fullmatch(str(value)):
        yield f"{where}: {value!r} is no duration"
    elif schema.get("format") == "int64" and not re.fullmatch(r"-?\d+", str(value)):
        yield f"{where}: {value!r} is no int64"


def _of_error(body: Json) -> Iterator[str]:
    error = body.get("error", {})
    for key, kind in (("code", int), ("message", str)):
        if not isinstance(error.get(key), kind):
            yield f"$.error.{key}: {error.get(key)!r} is no {kind.__name__}"
