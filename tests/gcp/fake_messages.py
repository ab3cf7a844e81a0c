"""Google's own message classes as the fake's: JSON in the widest form, to and from each version."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any, Final

from google.cloud import tpu_v2, tpu_v2alpha1
from google.cloud.location import locations_pb2
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2, json_format
from google.protobuf.message import Message
from google.rpc import error_details_pb2

from tests.gcp.fake_errors import Json

VERSIONS: Final[Mapping[str, ModuleType]] = {"v2": tpu_v2, "v2alpha1": tpu_v2alpha1}

_DETAILS: Final = error_details_pb2  # in the pool, so that an Any of it can be written

LONG_RUNNING: Final = "Operation"
ANSWERS: Final[Mapping[str, str]] = {
    "CreateNode": LONG_RUNNING,
    "GetNode": "Node",
    "ListNodes": "ListNodesResponse",
    "DeleteNode": LONG_RUNNING,
    "UpdateNode": LONG_RUNNING,
    "StopNode": LONG_RUNNING,
    "StartNode": LONG_RUNNING,
    "CreateQueuedResource": LONG_RUNNING,
    "GetQueuedResource": "QueuedResource",
    "ListQueuedResources": "ListQueuedResourcesResponse",
    "DeleteQueuedResource": LONG_RUNNING,
    "ResetQueuedResource": LONG_RUNNING,
    "GetGuestAttributes": "GetGuestAttributesResponse",
    "ListAcceleratorTypes": "ListAcceleratorTypesResponse",
    "GetAcceleratorType": "AcceleratorType",
    "ListRuntimeVersions": "ListRuntimeVersionsResponse",
    "GetRuntimeVersion": "RuntimeVersion",
    "GenerateServiceIdentity": "GenerateServiceIdentityResponse",
}
"""What each method of the service Tpu answers with; its request is named after it."""

MIXINS: Final[Mapping[str, tuple[type[Message], type[Message]]]] = {
    "GetOperation": (operations_pb2.GetOperationRequest, operations_pb2.Operation),
    "ListOperations": (
        operations_pb2.ListOperationsRequest,
        operations_pb2.ListOperationsResponse,
    ),
    "CancelOperation": (operations_pb2.CancelOperationRequest, empty_pb2.Empty),
    "DeleteOperation": (operations_pb2.DeleteOperationRequest, empty_pb2.Empty),
    "WaitOperation": (operations_pb2.WaitOperationRequest, operations_pb2.Operation),
    "ListLocations": (locations_pb2.ListLocationsRequest, locations_pb2.ListLocationsResponse),
    "GetLocation": (locations_pb2.GetLocationRequest, locations_pb2.Location),
}
"""The methods that every service has beside its own, and their messages."""


def messages_of(method: str, version: str) -> tuple[type[Message], type[Message]]:
    """The request and the answer of a method."""
    if method in MIXINS:
        return MIXINS[method]
    module: Any = VERSIONS[version]
    request = getattr(module, f"{method}Request").pb()
    kind = ANSWERS[method]
    answer = operations_pb2.Operation if kind == LONG_RUNNING else getattr(module, kind).pb()
    return request, answer


def read(message: Message) -> Json:
    """A message as JSON."""
    found: Json = json_format.MessageToDict(message)
    return found


def written(answer: Json, kind: type[Message]) -> Message:
    """JSON as a message; fields that its version does not have are left out."""
    return json_format.ParseDict(answer, kind(), ignore_unknown_fields=True)
