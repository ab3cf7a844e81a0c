"""Object stores on this machine, which speak the protocols of the real ones: S3's and Google's."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.request import Request, urlopen

import fsspec

from tests.cluster.running import free_port

BUCKET = "iris-tests"


@dataclass(frozen=True)
class ObjectStore:
    """One that runs."""

    url: str
    """Of an empty bucket."""
    variables: Mapping[str, str]
    """What its client's process must have in its environment to find it."""


@contextmanager
def s3() -> Iterator[ObjectStore]:
    """S3, as moto serves it."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    variables = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "tests",
        "AWS_SECRET_ACCESS_KEY": "tests",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
    }
    # A server that ran before in this process has left its buckets to this one.
    reset = Request(f"http://{host}:{port}/moto-api/reset", method="POST")
    urlopen(reset, timeout=10).close()
    files = fsspec.filesystem(
        "s3",
        key="tests",
        secret="tests",
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        skip_instance_cache=True,
    )
    files.mkdir(BUCKET)
    try:
        yield ObjectStore(f"s3://{BUCKET}", variables)
    finally:
        server.stop()


@contextmanager
def gcs() -> Iterator[ObjectStore]:
    """Google Cloud Storage, as an emulator serves it."""
    from gcp_storage_emulator.server import create_server

    port = free_port()
    server = create_server("127.0.0.1", port, in_memory=True, default_bucket=BUCKET)
    server.start()
    try:
        yield ObjectStore(f"gs://{BUCKET}", {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}"})
    finally:
        server.stop()
