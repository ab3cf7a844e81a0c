"""gRPC's standard services, asked on the wire as their own clients do."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from tests.cluster.running import RunningCluster, running

TOKEN = "alices-long-enough-token"


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    yield from running(tmp_path_factory.mktemp("open"))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    auth = {"tokens": {"alice": TOKEN}}
    yield from running(tmp_path_factory.mktemp("guarded"), auth=auth)


def check(cluster: RunningCluster, service: str, token: str = "") -> int:
    return health_of(cluster.port, service, token)


def health_of(port: int, service: str = "", token: str = "") -> int:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        metadata = (("authorization", f"Bearer {token}"),) if token else ()
        request = health_pb2.HealthCheckRequest(service=service)
        ask = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        return int(ask(request, timeout=10, metadata=metadata).status)


@pytest.mark.parametrize("service", ["", "iris.v1.ControllerService", "iris.v1.LogService"])
def test_a_controller_that_serves_is_healthy(opened: RunningCluster, service: str) -> None:
    assert check(opened, service) == health_pb2.HealthCheckResponse.SERVING


def test_the_health_of_what_there_is_not_is_unknown(opened: RunningCluster) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        check(opened, "iris.v1.Nothing")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_reflection_names_every_service_and_its_messages(opened: RunningCluster) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{opened.port}") as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        assert {
            "iris.v1.ControllerService",
            "iris.v1.WorkerService",
            "iris.v1.LogService",
            "grpc.health.v1.Health",
        } <= set(database.get_services())
        file = database.FindFileContainingSymbol("iris.v1.SubmitJobRequest")
        assert "SubmitJobRequest" in {message.name for message in file.message_type}


def test_where_calls_need_a_token_these_do(guarded: RunningCluster) -> None:
    assert check(guarded, "", TOKEN) == health_pb2.HealthCheckResponse.SERVING
    for token in ("", "another-token-of-nobody"):
        with pytest.raises(grpc.RpcError) as caught:
            check(guarded, "", token)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    with grpc.insecure_channel(f"127.0.0.1:{guarded.port}") as channel:
        with pytest.raises(grpc.RpcError) as caught:
            ProtoReflectionDescriptorDatabase(channel).get_services()
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_controller_serves_without_the_extra(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    for package in ("grpc_health", "grpc_reflection"):
        (hidden / package).mkdir(parents=True)
        (hidden / package / "__init__.py").write_text("raise ImportError('not installed')")
    cluster = RunningCluster(tmp_path)
    try:
        cluster.variables["PYTHONPATH"] = str(hidden)
        cluster.start()
        assert cluster.status().version
        with pytest.raises(grpc.RpcError) as caught:
            check(cluster, "")
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    finally:
        cluster.end()
