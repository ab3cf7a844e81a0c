"""What a stranger may send to the port: the controller refuses it in a sentence, lives on, and logs no traceback."""

import random
import socket
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from iris.rpc import iris_pb2 as pb
from iris.rpc.methods import (
    APPEND_LOG,
    CREATE_SLICE,
    DRAIN_WORKER,
    EXPLAIN_JOB,
    GET_BLOB,
    GET_JOB,
    GET_RESULT,
    HAS_BLOB,
    LIST_JOBS,
    METHODS,
    PUT_RESULT,
    READ_LOG,
    RECONCILE,
    REGISTER,
    SHUTDOWN,
    STOP_JOB,
    SUBMIT_JOB,
    TERMINATE_SLICE,
    Method,
    Stream,
)
from tests.cluster.running import RunningCluster, running

INVALID, NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    yield from running(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def wire(shared: RunningCluster) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{shared.port}") as channel:
        yield channel


@pytest.fixture(autouse=True)
def unharmed(shared: RunningCluster) -> Iterator[None]:
    """After every test the same controller answers, and has told of no bug."""
    began = shared.status().started_at_ms
    yield
    assert shared.status().started_at_ms == began
    log = (shared.root.parent / "controller.log").read_text()
    assert "Traceback" not in log, log[-3_000:]
    assert " ERROR " not in log, log[-3_000:]


def send(channel: Any, method: Method[Any, Any], content: bytes) -> grpc.RpcError | None:
    """Bytes as the request of a call; how it was refused, or nothing."""
    try:
        if method.stream is Stream.REQUEST:
            channel.stream_unary(method.path)(iter([content]), timeout=20)
        elif method.stream is Stream.BOTH:
            for _ in channel.stream_stream(method.path)(iter([content]), timeout=20):
                pass
        elif method.stream is Stream.ANSWER:
            for _ in channel.unary_stream(method.path)(content, timeout=20):
                pass
        else:
            channel.unary_unary(method.path)(content, timeout=20)
    except grpc.RpcError as error:
        return error
    return None


def test_random_bytes_at_the_port_harm_nobody(shared: RunningCluster) -> None:
    dice = random.Random(1)
    for size in (1, 10, 1_000, 100_000):
        for opening in (b"", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", shared.port), 5) as link:
                try:
                    link.sendall(opening + dice.randbytes(size))
                except (BrokenPipeError, ConnectionResetError):
                    continue  # It has heard enough.


@pytest.mark.parametrize("method", METHODS, ids=[method.name for method in METHODS])
def test_bytes_that_are_no_message_are_refused_by_name(
    wire: grpc.Channel, method: Method[Any, Any]
) -> None:
    refused = send(wire, method, b"\xff\xff\xff\xff no protobuf")
    assert refused is not None
    assert refused.code() is INVALID
    expected = f"{method.name}: 16 bytes that are no {method.request.DESCRIPTOR.name}"
    assert expected in (refused.details() or "")


HARMLESS = [method for method in METHODS if method is not SHUTDOWN]
"""Every message of the other one means what it says, and is obeyed."""


@pytest.mark.parametrize("method", HARMLESS, ids=[method.name for method in HARMLESS])
def test_no_message_whatever_it_holds_is_a_bug(
    wire: grpc.Channel, method: Method[Any, Any]
) -> None:
    dice = random.Random(method.name)
    for _ in range(40):
        refused = send(wire, method, _forged(method.request, dice).SerializeToString())
        assert refused is None or refused.code() not in (
            grpc.StatusCode.INTERNAL,
            grpc.StatusCode.UNKNOWN,
        ), refused


TEXTS = [
    "",
    "x",
    "/",
    "/a/b",
    "/a/b:0",
    "/a/b:-1",
    "a:b",
    "../../etc/passwd",
    "\0",
    "running",
    "é" * 99,
]
NUMBERS = [0, 1, -1, 7, 2**31 - 1, -(2**31)]


def _forged(kind: type[Message], dice: random.Random, depth: int = 0) -> Message:
    """A message whose every field holds something that nobody would send."""
    message = kind()
    fields: Any = message.DESCRIPTOR.fields
    for field in fields:
        if dice.random() < 0.3:
            continue
        repeated = field.label == field.LABEL_REPEATED
        if field.message_type is not None:
            if depth < 3 and not repeated:
                inner = _forged(type(getattr(message, field.name)), dice, depth + 1)
                getattr(message, field.name).CopyFrom(inner)
            continue
        value: object = dice.choice(TEXTS)
        if field.cpp_type in (field.CPPTYPE_INT32, field.CPPTYPE_INT64):
            value = dice.choice(NUMBERS)
        elif field.cpp_type == field.CPPTYPE_BOOL:
            value = dice.random() < 0.5 and field.name != "follow"
        elif field.type == field.TYPE_BYTES:
            value = dice.randbytes(5)
        if field.name == "wait_ms":
            value = -1
        if repeated:
            getattr(message, field.name).append(value)
        else:
            setattr(message, field.name, value)
    return message


def spec(**changes: object) -> pb.SubmitJobRequest:
    launch = pb.Launch(command=["true"]).SerializeToString()
    import hashlib

    whole: dict[str, Any] = {
        "user": "alice",
        "name": "forged",
        "replicas": 1,
        "band": "batch",
        "resources": pb.Resources(cpu_milli=1_000),
        "payload": hashlib.sha256(launch).hexdigest(),
        **changes,
    }
    blobs = [pb.Blob(content=launch)]
    return pb.SubmitJobRequest(request_id="r", spec=pb.JobSpec(**whole), blobs=blobs)


CASES: list[tuple[Method[Any, Any], Message, grpc.StatusCode, str]] = [
    (SUBMIT_JOB, pb.SubmitJobRequest(), INVALID, "request_id: a submission needs one"),
    (SUBMIT_JOB, spec(name="a/b"), INVALID, "a/b"),
    (SUBMIT_JOB, spec(user="../x"), INVALID, "../x"),
    (SUBMIT_JOB, spec(replicas=0), INVALID, "replicas: 0 is less than 1"),
    (SUBMIT_JOB, spec(replicas=2**31 - 1), INVALID, "replicas: 2147483647 is more than"),
    (SUBMIT_JOB, spec(band="urgent"), INVALID, "band: 'urgent' is none of"),
    (SUBMIT_JOB, spec(resources=pb.Resources(cpu_milli=-1)), INVALID, "resources.cpu: -1"),
    (SUBMIT_JOB, spec(payload="0" * 64), INVALID, "there is no blob"),
    (SUBMIT_JOB, spec(payload="../../etc/passwd"), INVALID, "there is no blob"),
    (SUBMIT_JOB, spec(parent="/nobody/x"), NOT_FOUND, "parent /nobody/x is not known"),
    (SUBMIT_JOB, spec(environment=[pb.Variable(name="A", value="\0")]), INVALID, "holds a NUL"),
    (SUBMIT_JOB, spec(environment=[pb.Variable(name="A=B")]), INVALID, "'A=B' is no name"),
    (SUBMIT_JOB, spec(constraints=[pb.Constraint(key="zone", op="near")]), INVALID, "'near'"),
    (SUBMIT_JOB, spec(timeout_ms=-5), INVALID, "timeout_ms: -5 is less than 1"),
    (GET_JOB, pb.GetJobRequest(), NOT_FOUND, "job without a name is not known"),
    (LIST_JOBS, pb.ListJobsRequest(state="odd"), INVALID, "state: 'odd' is none of pending"),
    (LIST_JOBS, pb.ListJobsRequest(limit=-1), INVALID, "limit: -1 is less than 0"),
    (STOP_JOB, pb.StopJobRequest(job="/a/b"), NOT_FOUND, "job /a/b is not known"),
    (EXPLAIN_JOB, pb.ExplainJobRequest(job="/a/b"), NOT_FOUND, "job /a/b is not known"),
    (GET_RESULT, pb.GetResultRequest(task="/a/b"), INVALID, "'/a/b' is no task; write one as"),
    (GET_RESULT, pb.GetResultRequest(task="/a/b:٣"), INVALID, "is no task"),
    (HAS_BLOB, pb.HasBlobRequest(sha256="../signing.key"), grpc.StatusCode.OK, ""),
    (GET_BLOB, pb.GetBlobRequest(sha256="../signing.key"), NOT_FOUND, "blob"),
    (DRAIN_WORKER, pb.DrainWorkerRequest(worker="w"), NOT_FOUND, "worker w is not known"),
    (TERMINATE_SLICE, pb.TerminateSliceRequest(slice="s"), NOT_FOUND, "slice s is not known"),
    (CREATE_SLICE, pb.CreateSliceRequest(group="g"), NOT_FOUND, "group g is not configured"),
    (CREATE_SLICE, pb.CreateSliceRequest(group="cpu", keep_ms=-1), INVALID, "keep_ms: -1"),
    (CREATE_SLICE, pb.CreateSliceRequest(group="cpu", keep_ms=2**62), INVALID, "a year"),
    (REGISTER, pb.RegisterRequest(), INVALID, "slice: a worker without one is nobody"),
    (RECONCILE, pb.ReconcileRequest(worker="w"), grpc.StatusCode.OK, ""),
    (PUT_RESULT, pb.PutResultRequest(task="/a/../../b:0"), NOT_FOUND, "is not known"),
    (APPEND_LOG, pb.AppendLogRequest(task="/a/b:0", content=b"x"), NOT_FOUND, "is not known"),
    (READ_LOG, pb.ReadLogRequest(task="/a/b:0", offset=-1), NOT_FOUND, "task /a/b:0 is not known"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "request_", "code", "said"),
    CASES,
    ids=[f"{method.name}-{said[:30]}" for method, _, _, said in CASES],
)
def test_what_a_message_says_and_cannot_be_is_refused_in_a_sentence(
    wire: grpc.Channel,
    method: Method[Any, Any],
    request_: Message,
    code: grpc.StatusCode,
    said: str,
) -> None:
    refused = send(wire, method, request_.SerializeToString())
    assert (grpc.StatusCode.OK if refused is None else refused.code()) is code, refused
    assert refused is None or said in (refused.details() or "")


def test_places_in_a_log_that_cannot_be_are_refused(
    shared: RunningCluster, wire: grpc.Channel
) -> None:
    from iris.cluster.types import Entrypoint

    with shared.client() as client:
        job = client.submit(Entrypoint.from_command("echo", "hello"), "offsets")
        job.wait()
        task = f"{job.id}:0"
        for request in (
            pb.ReadLogRequest(task=task, offset=-1),
            pb.ReadLogRequest(task=task, tail_bytes=-1),
        ):
            refused = send(wire, READ_LOG, request.SerializeToString())
            assert refused is not None
            assert refused.code() is INVALID
        for request in (
            pb.ReadLogRequest(task=task, attempt=-1),
            pb.ReadLogRequest(task=task, attempt=9),
            pb.ReadLogRequest(task=task, from_attempt=9),
        ):
            refused = send(wire, READ_LOG, request.SerializeToString())
            assert refused is not None
            assert refused.code() is NOT_FOUND
        forged = pb.AppendLogRequest(task=task, offset=-3, content=b"forged")
        refused = send(wire, APPEND_LOG, forged.SerializeToString())
        assert refused is not None
        assert refused.code() is INVALID
        assert job.tasks()[0].logs() == "hello\n"


def test_a_message_that_is_too_large_is_refused(wire: grpc.Channel) -> None:
    huge = pb.SubmitJobRequest(request_id="x" * (17 << 20)).SerializeToString()
    refused = send(wire, SUBMIT_JOB, huge)
    assert refused is not None
    assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
