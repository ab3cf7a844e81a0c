"""A submission as it goes on the wire; what cannot be is refused here, before anything is sent."""

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final

from iris.client.errors import BadRequest
from iris.cluster.types import (
    PYTHON_MINOR,
    Constraint,
    Entrypoint,
    EnvironmentSpec,
    JobRequest,
    ResourceSpec,
)
from iris.core.ids import is_name
from iris.core.spec import MAX_REPLICAS
from iris.pickling import NotPicklable, culprit, parts_of
from iris.rpc import codec
from iris.rpc import iris_pb2 as pb

NAME_HELP: Final = "use 1 to 63 letters, digits, `_`, `.` or `-`, no `.` or `-` first"
_SHOWN: Final = 80
"""Letters of a name that is none, which are enough to know it by."""


def check(request: JobRequest, workspace: Path | None) -> None:
    """Refuse a job that cannot be as it was asked for.

    Raises:
        BadRequest: a value cannot be; says which, and what would be right.
    """
    _check_kinds(request)
    for what, text in (("name", request.name), ("user", request.user)):
        if not is_name(text) and (what == "name" or text):
            shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
            raise BadRequest(f"{what} {shown!r} cannot be one: {NAME_HELP}")
    if request.replicas < 1:
        raise BadRequest(f"replicas: {request.replicas} is less than 1")
    if request.replicas > MAX_REPLICAS:
        raise BadRequest(f"replicas: {request.replicas} is more than {MAX_REPLICAS}")
    _check_ports(request.ports)
    _check_environment(request.environment, workspace)


def _check_ports(ports: Sequence[str]) -> None:
    for name in ports:
        if not name.isidentifier():
            raise BadRequest(f"ports: {name!r} cannot be part of a variable; use letters and `_`")
        if [other.upper() for other in ports].count(name.upper()) > 1:
            raise BadRequest(f"ports: {name!r} is there twice; give each port a name of its own")


def _check_environment(environment: EnvironmentSpec, workspace: Path | None) -> None:
    variables: Mapping[str, object] = environment.env_vars
    for name, value in variables.items():
        if not isinstance(value, str):
            kind = type(value).__name__
            raise BadRequest(f"env_vars: {name} is {value!r}, a {kind}; write a text")
    if environment.extras and not environment.sync:
        raise BadRequest("extras: they are those of the workspace's project; say sync=True, too")
    if environment.sync and workspace is None:
        raise BadRequest("sync: there is no workspace whose project could be installed; name one")
    if environment.sync and workspace is not None and not (workspace / "pyproject.toml").is_file():
        raise BadRequest(f"sync: {workspace} has no pyproject.toml; name the project's own folder")


_KINDS: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    "name": ((str,), "a text"),
    "resources": ((ResourceSpec,), "a ResourceSpec"),
    "environment": ((EnvironmentSpec,), "an EnvironmentSpec"),
    "replicas": ((int,), "a whole number"),
    "coscheduled": ((bool,), "True or False"),
    "band": ((str,), "a text"),
    "max_retries_failure": ((int,), "a whole number"),
    "max_retries_preemption": ((int,), "a whole number"),
    "scheduling_timeout": ((int, float, str, type(None)), "seconds, or a text as '10m'"),
    "checkpoint_every": ((int, float, str, type(None)), "seconds, or a text as '10m'"),
    "timeout": ((int, float, str, type(None)), "seconds, or a text as '10m'"),
}
_MEMBERS: Final[Mapping[str, tuple[type, str]]] = {
    "constraints": (Constraint, "Constraint"),
    "ports": (str, "text"),
}


def _check_kinds(request: JobRequest) -> None:
    """Refuse values of a wrong type: no type checker has seen the caller."""
    for field, (kinds, right) in _KINDS.items():
        value = getattr(request, field)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise BadRequest(f"{field}: {value!r} is of type {type(value).__name__}; give {right}")
    for field, (kind, word) in _MEMBERS.items():
        values = getattr(request, field)
        if isinstance(values, str) or not isinstance(values, Sequence):
            raise BadRequest(f"{field}: {values!r} is no list; give a list, each a {word}")
        for value in values:
            if not isinstance(value, kind):
                raise BadRequest(
                    f"{field}: {value!r} is of type {type(value).__name__}; give a {word}"
                )


def name_for(entrypoint: Entrypoint, request_id: str | None) -> str:
    """A name for a job without one: of what it runs, with what makes it unique, or as its request is."""
    if entrypoint.call is not None:
        told = getattr(entrypoint.call[0], "__name__", type(entrypoint.call[0]).__name__)
    else:
        told = Path(entrypoint.command[0]).name
    stem = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in told)
    if request_id is None:
        suffix = f"{time.time_ns() // 1_000_000:x}-{os.getpid():x}"
    else:
        suffix = hashlib.sha256(request_id.encode()).hexdigest()[:16]
    return f"{stem.lstrip('.-')[:30] or 'job'}-{suffix}"


def launch_of(entrypoint: Entrypoint, request: JobRequest, *, call: str) -> pb.Launch:
    """What each task runs; `call` is the digest of a pickled call, or empty.

    Raises:
        BadRequest: no process can be started with such a command.
    """
    try:
        codec.check_words(entrypoint.command, "command")
    except codec.Malformed as error:
        raise BadRequest(str(error)) from error
    if entrypoint.call is None and not entrypoint.command[0]:
        raise BadRequest("command: its first word is empty; give a program to run")
    environment = request.environment
    for requirement in environment.pip_packages:
        if requirement.startswith("-"):
            raise BadRequest(
                f"pip_packages: {requirement!r} is an option; give a requirement, as numpy>=2"
            )
    return pb.Launch(
        command=entrypoint.command,
        call=call,
        python_minor=PYTHON_MINOR,
        pip=environment.pip_packages,
        extras=environment.extras,
        sync=environment.sync,
    )


def spec_of(request: JobRequest, payload: str) -> pb.JobSpec:
    """The job as the controller is told it, and as it will read it.

    Raises:
        BadRequest: a value cannot be; says which.
    """
    try:
        spec = request.spec(payload)
    except ValueError as error:
        raise BadRequest(str(error)) from error
    try:
        message = codec.spec_to_wire(spec)
        codec.spec_from_wire(message)
    except codec.Malformed as error:
        raise BadRequest(str(error)) from error
    except UnicodeEncodeError as error:
        raise BadRequest(
            f"{error.object!r} holds half a character, which cannot be sent"
        ) from error
    except ValueError as error:  # Protobuf's own: a number that its field cannot hold.
        raise BadRequest(f"a number is larger than any cluster has: {error}") from error
    return message


def pickled(call: tuple[Any, ...]) -> bytes:
    """A call as bytes; functions of the program's own modules travel by value where they must.

    Raises:
        NotPicklable: something in it cannot be sent.
    """
    import cloudpickle

    function, args, named = call
    try:
        return bytes(cloudpickle.dumps((function, args, named)))
    except Exception as error:
        whole = ("the function, or something that it closes over,", function)
        what = culprit(chain([whole], parts_of(args, named))) or "the call"
        name = getattr(function, "__name__", repr(function))
        raise NotPicklable(
            f"{name} cannot be sent: {what} cannot be pickled ({error}); make what it needs"
            " inside the function"
        ) from error
