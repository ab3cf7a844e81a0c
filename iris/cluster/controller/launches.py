"""What a job runs, as its description in the store says: checked when it is submitted, told to people."""

import shlex

from google.protobuf.message import DecodeError

from iris.cluster.controller.store import Store
from iris.rpc import iris_pb2 as pb
from iris.rpc.codec import Malformed, check_words


def check_launch(store: Store, payload: str) -> None:
    """See that a job's description is there, says something, and lacks nothing.

    Raises:
        Malformed: it cannot be run; says what is missing.
    """
    path = store.blob(payload)
    if path is None:
        raise Malformed(f"payload: there is no blob {payload!r}; send it with the job")
    try:
        launch = pb.Launch.FromString(path.read_bytes())
    except DecodeError as error:
        raise Malformed("payload: the blob is no launch description") from error
    for digest in (launch.call, launch.bundle):
        if digest and store.blob(digest) is None:
            raise Malformed(f"payload: there is no blob {digest!r}; send it first")
    check_words(launch.command, "command")
    if not launch.command and not launch.call:
        raise Malformed("payload: neither a command nor a call is to be run")


def command_of(store: Store, payload: str) -> str:
    """What a description says that is run, in words; empty when it is not there any more."""
    path = store.blob(payload)
    if path is None:
        return ""
    launch = pb.Launch.FromString(path.read_bytes())
    return shlex.join(launch.command) if launch.command else "a Python function"
