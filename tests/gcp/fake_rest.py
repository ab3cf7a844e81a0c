"""The REST twin of the TPU service, for gcloud, the discovery document and `transport="rest"`."""

import re
from typing import Any, Final

import grpc
from google.protobuf import json_format

from tests.gcp.fake_calls import Call, Handler
from tests.gcp.fake_errors import ApiError, Json, invalid
from tests.gcp.fake_http import Answer, HttpFront, Request, of_json
from tests.gcp.fake_messages import ANSWERS, LONG_RUNNING, MIXINS, messages_of, written

_PARENT: Final = r"(?P<parent>projects/[^/]+/locations/[^/]+)"
_NODE: Final = r"(?P<name>projects/[^/]+/locations/[^/]+/nodes/[^/:]+)"
_QUEUED: Final = r"(?P<name>projects/[^/]+/locations/[^/]+/queuedResources/[^/:]+)"
_OPERATION: Final = r"(?P<name>projects/[^/]+/locations/[^/]+/operations/[^/:]+)"
_THING: Final = r"(?P<name>projects/[^/]+/locations/[^/]+/{}/[^/:]+)"

_ROUTES: Final = (
    ("POST", _PARENT + "/nodes", "CreateNode", "node"),
    ("GET", _PARENT + "/nodes", "ListNodes", ""),
    ("GET", _NODE, "GetNode", ""),
    ("DELETE", _NODE, "DeleteNode", ""),
    ("PATCH", _NODE, "UpdateNode", "node"),
    ("POST", _NODE + ":stop", "StopNode", "*"),
    ("POST", _NODE + ":start", "StartNode", "*"),
    ("POST", _NODE + ":getGuestAttributes", "GetGuestAttributes", "*"),
    ("POST", _PARENT + "/queuedResources", "CreateQueuedResource", "queuedResource"),
    ("GET", _PARENT + "/queuedResources", "ListQueuedResources", ""),
    ("GET", _QUEUED, "GetQueuedResource", ""),
    ("DELETE", _QUEUED, "DeleteQueuedResource", ""),
    ("POST", _QUEUED + ":reset", "ResetQueuedResource", "*"),
    ("GET", _PARENT + "/acceleratorTypes", "ListAcceleratorTypes", ""),
    ("GET", _THING.format("acceleratorTypes"), "GetAcceleratorType", ""),
    ("GET", _PARENT + "/runtimeVersions", "ListRuntimeVersions", ""),
    ("GET", _THING.format("runtimeVersions"), "GetRuntimeVersion", ""),
    ("POST", _PARENT + ":generateServiceIdentity", "GenerateServiceIdentity", "*"),
    ("GET", _OPERATION, "GetOperation", ""),
    ("POST", _OPERATION + ":cancel", "CancelOperation", "*"),
    ("DELETE", _OPERATION, "DeleteOperation", ""),
    ("GET", r"(?P<name>projects/[^/]+/locations/[^/]+)/operations", "ListOperations", ""),
    ("GET", r"(?P<name>projects/[^/]+)/locations", "ListLocations", ""),
    ("GET", r"(?P<name>projects/[^/]+/locations/[^/:]+)", "GetLocation", ""),
)
"""Verb, path, method, and the field that the body is; `*` for all fields."""

_TABLE: Final = tuple(
    (verb, re.compile(path), method, body) for verb, path, method, body in _ROUTES
)
_VERSION: Final = re.compile(r"/(v1|v2|v2alpha1)/(.+)")
_PARAMETERS: Final = frozenset(
    {"nodeId", "queuedResourceId", "pageSize", "pageToken", "updateMask", "requestId", "filter"}
)


class RestFront:
    """The TPU API over HTTP, v2 and v2alpha1; of v1 what gcloud still asks there."""

    def __init__(self, handle: Handler) -> None:
        self._handle = handle
        self._http = HttpFront(self._answer)
        self.address = self._http.address

    @property
    def log(self) -> list[tuple[Request, Answer]]:
        """Every request that was answered, and how."""
        return self._http.log

    def close(self) -> None:
        """Listen no more."""
        self._http.close()

    def _answer(self, request: Request) -> Answer:
        try:
            call = _call_of(request)
            return of_json(_typed(call, self._handle(call), _ints(request)))
        except ApiError as error:
            return of_json(error.body(), error.http)


def _call_of(request: Request) -> Call:
    versioned = _VERSION.fullmatch(request.path)
    if versioned is not None:
        version, path = versioned.groups()
        for verb, pattern, method, body in _TABLE:
            found = pattern.fullmatch(path)
            if found is not None and verb == request.verb:
                fields = _fields(request, body) | found.groupdict()
                if method == "UpdateNode":
                    fields["node"] = fields.get("node", {}) | {"name": fields.pop("name")}
                return Call(
                    "tpu",
                    method,
                    "v2" if version == "v1" else version,
                    fields,
                    "rest",
                    request.headers,
                    request.is_alive,
                )
    raise ApiError(grpc.StatusCode.NOT_FOUND, f"Method not found: {request.verb} {request.path}")


def _fields(request: Request, body: str) -> Json:
    fields: Json = {key: v for key, v in request.query.items() if key in _PARAMETERS}
    if "force" in request.query:
        fields["force"] = request.query["force"].lower() == "true"
    if not body:
        return fields
    try:
        sent = request.json()
    except (ValueError, TypeError) as error:
        raise invalid(f"Invalid JSON payload received. {error}") from error
    return fields | (sent if body == "*" else {body: sent})


def _ints(request: Request) -> bool:
    return "enum-encoding=int" in request.query.get("$alt", "")


def _typed(call: Call, answer: Json, ints: bool) -> Json:
    """The answer with the fields, and in the spelling, of the version that was asked for."""
    _, kind = messages_of(call.method, call.version)
    message: Any = written(answer, kind)
    found: Json = json_format.MessageToDict(message, use_integers_for_enums=ints)
    is_operation = call.method in MIXINS or ANSWERS.get(call.method) == LONG_RUNNING
    if is_operation and "done" in answer:
        found["done"] = answer["done"]
    return found
