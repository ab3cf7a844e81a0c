"""Every call on the wire: its messages, how long it may take, whether it may be repeated, and who may make it.

One table for both sides. A client that loses a call repeats it only where `repeatable` says that
twice is the same as once; the server asks a caller for one of the kinds in `kinds`.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final, Generic, TypeVar

from google.protobuf.message import Message

from iris.core.cadence import CALL_DEADLINE, LONG_POLL
from iris.rpc import iris_pb2 as pb

_Q = TypeVar("_Q", bound=Message)
_A = TypeVar("_A", bound=Message)

CHUNK_BYTES: Final = 1 << 20
"""Of streamed content, in one message."""
EXEC_WINDOW_BYTES: Final = 1 << 20
"""Of a command's input, that may be under way before the command has taken it."""
MAX_MESSAGE_BYTES: Final = 16 << 20
MAX_LOG_BYTES: Final = 1 << 30
"""Of one attempt's log, at its worker and at the controller, so that nobody else loses a line; what comes
after is dropped, and a line says so."""
LONG_POLL_MS: Final = int(LONG_POLL)
"""As `LONG_POLL`, for what is said on the wire."""


class Kind(Enum):
    """Who calls."""

    USER = "user"
    ADMIN = "admin"
    WORKER = "worker"
    TASK = "task"


class Stream(Enum):
    """Which sides send more than one message."""

    NONE = "none"
    REQUEST = "request"
    ANSWER = "answer"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Method(Generic[_Q, _A]):
    """One call."""

    service: str
    name: str
    request: type[_Q]
    answer: type[_A]
    kinds: frozenset[Kind]
    deadline_s: float = 10.0
    """Seconds; of a stream, between two messages."""
    repeatable: bool = True
    stream: Stream = Stream.NONE

    @property
    def path(self) -> str:
        """As gRPC names it."""
        return f"/iris.v1.{self.service}/{self.name}"


_PEOPLE: Final = frozenset({Kind.USER, Kind.ADMIN, Kind.TASK})
_USERS: Final = frozenset({Kind.USER, Kind.ADMIN})
_ADMINS: Final = frozenset({Kind.ADMIN})
_WORKERS: Final = frozenset({Kind.WORKER})
_TASKS: Final = frozenset({Kind.TASK})
_ALL: Final = frozenset(Kind)
_C: Final = "ControllerService"
_W: Final = "WorkerService"
_L: Final = "LogService"
_E: Final = "ExecService"
_V: Final = "VmService"
_X: Final = "ExplainService"
_P: Final = "EndpointService"
_POLL_S: Final = CALL_DEADLINE / 1_000
_EXEC_S: Final = 86_400.0
"""A shell in a task may stay open for a day."""

# A submission and the operator's requests carry an id, so that the same twice is the same once.
SUBMIT_JOB: Final = Method(_C, "SubmitJob", pb.SubmitJobRequest, pb.SubmitJobResponse, _PEOPLE, 30)
GET_JOB: Final = Method(_C, "GetJob", pb.GetJobRequest, pb.GetJobResponse, _PEOPLE, _POLL_S)
LIST_JOBS: Final = Method(_C, "ListJobs", pb.ListJobsRequest, pb.ListJobsResponse, _PEOPLE)
STOP_JOB: Final = Method(_C, "StopJob", pb.StopJobRequest, pb.StopJobResponse, _PEOPLE)
EXPLAIN_JOB: Final = Method(_C, "ExplainJob", pb.ExplainJobRequest, pb.ExplainJobResponse, _PEOPLE)
# The whole state, of which a task's token may see only its own tree.
GET_IMAGE: Final = Method(
    _C, "GetImage", pb.GetImageRequest, pb.Chunk, _USERS, 60, stream=Stream.ANSWER
)
GET_RESULT: Final = Method(
    _C, "GetResult", pb.GetResultRequest, pb.Chunk, _PEOPLE, 30, stream=Stream.ANSWER
)
LIST_WORKERS: Final = Method(
    _C, "ListWorkers", pb.ListWorkersRequest, pb.ListWorkersResponse, _PEOPLE
)
DRAIN_WORKER: Final = Method(
    _C, "DrainWorker", pb.DrainWorkerRequest, pb.DrainWorkerResponse, _ADMINS
)
LIST_SLICES: Final = Method(_C, "ListSlices", pb.ListSlicesRequest, pb.ListSlicesResponse, _PEOPLE)
TERMINATE_SLICE: Final = Method(
    _C, "TerminateSlice", pb.TerminateSliceRequest, pb.TerminateSliceResponse, _ADMINS
)
CREATE_SLICE: Final = Method(
    _C, "CreateSlice", pb.CreateSliceRequest, pb.CreateSliceResponse, _ADMINS
)
GET_STATUS: Final = Method(_C, "GetStatus", pb.GetStatusRequest, pb.GetStatusResponse, _ALL)
SHUTDOWN: Final = Method(_C, "Shutdown", pb.ShutdownRequest, pb.ShutdownResponse, _ADMINS)
HAS_BLOB: Final = Method(_C, "HasBlob", pb.HasBlobRequest, pb.HasBlobResponse, _PEOPLE)
PUT_BLOB: Final = Method(
    _C, "PutBlob", pb.PutBlobRequest, pb.PutBlobResponse, _PEOPLE, 300, stream=Stream.REQUEST
)
GET_BLOB: Final = Method(
    _C, "GetBlob", pb.GetBlobRequest, pb.Chunk, _ALL, 300, stream=Stream.ANSWER
)

# What is decided, and what happened, names the jobs of everybody.
EXPLAIN_GROUP: Final = Method(
    _X, "ExplainGroup", pb.ExplainGroupRequest, pb.ExplainGroupResponse, _USERS
)
LIST_EVENTS: Final = Method(
    _X, "ListEvents", pb.ListEventsRequest, pb.ListEventsResponse, _USERS, 30
)

LIST_VMS: Final = Method(_V, "ListVms", pb.ListVmsRequest, pb.ListVmsResponse, _PEOPLE)
# What a machine says of itself names the jobs of everybody.
READ_VM_LOG: Final = Method(
    _V, "ReadVmLog", pb.ReadVmLogRequest, pb.Chunk, _ADMINS, 60, stream=Stream.ANSWER
)

REGISTER: Final = Method(_W, "Register", pb.RegisterRequest, pb.RegisterResponse, _WORKERS)
RECONCILE: Final = Method(
    _W, "Reconcile", pb.ReconcileRequest, pb.ReconcileResponse, _WORKERS, _POLL_S
)
PUT_RESULT: Final = Method(
    _W, "PutResult", pb.PutResultRequest, pb.PutResultResponse, _WORKERS, 300, stream=Stream.REQUEST
)

APPEND_LOG: Final = Method(_L, "AppendLog", pb.AppendLogRequest, pb.AppendLogResponse, _WORKERS)
READ_LOG: Final = Method(
    _L, "ReadLog", pb.ReadLogRequest, pb.LogChunk, _PEOPLE, 30, stream=Stream.ANSWER
)

EXEC_TASK: Final = Method(
    _E,
    "ExecTask",
    pb.ExecInput,
    pb.ExecOutput,
    _USERS,
    _EXEC_S,
    repeatable=False,
    stream=Stream.BOTH,
)
SERVE_EXEC: Final = Method(
    _E,
    "ServeExec",
    pb.ExecOutput,
    pb.ExecInput,
    _WORKERS,
    _EXEC_S,
    repeatable=False,
    stream=Stream.BOTH,
)

REGISTER_ENDPOINT: Final = Method(
    _P, "RegisterEndpoint", pb.RegisterEndpointRequest, pb.RegisterEndpointResponse, _TASKS
)
RENEW_ENDPOINTS: Final = Method(
    _P, "RenewEndpoints", pb.RenewEndpointsRequest, pb.RenewEndpointsResponse, _TASKS
)
WITHDRAW_ENDPOINTS: Final = Method(
    _P, "WithdrawEndpoints", pb.WithdrawEndpointsRequest, pb.WithdrawEndpointsResponse, _TASKS
)
LIST_ENDPOINTS: Final = Method(
    _P, "ListEndpoints", pb.ListEndpointsRequest, pb.ListEndpointsResponse, _PEOPLE, _POLL_S
)

LONG_POLLS: Final = frozenset({GET_JOB.name, RECONCILE.name, LIST_ENDPOINTS.name})
"""Calls that are answered when something happens, and late if nothing does."""

METHODS: Final[tuple[Method[Message, Message], ...]] = tuple(
    value for value in list(globals().values()) if isinstance(value, Method)
)
