"""The way into a cluster from Python: submit, find, list."""

import getpass
import hashlib
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict, Unpack

from iris.client.bundle import pack
from iris.client.job import PATIENCE_S, Job
from iris.client.request import check, launch_of, name_for, pickled, spec_of
from iris.cluster.types import (
    Constraint,
    Entrypoint,
    EnvironmentSpec,
    JobRequest,
    ResourceSpec,
)
from iris.rpc import iris_pb2 as pb
from iris.rpc.addresses import parse_address
from iris.rpc.channel import Channel
from iris.rpc.codec import spec_from_wire
from iris.rpc.methods import CHUNK_BYTES, HAS_BLOB, LIST_ENDPOINTS, LIST_JOBS, PUT_BLOB, SUBMIT_JOB

if TYPE_CHECKING:
    from iris.actor.cluster import ClusterResolver
    from iris.client.forecasts import Effort, Start
    from iris.client.local import LocalCluster

INLINE_BYTES: Final = 1 << 20
"""Blobs that together are no larger travel with the submission."""


class Asked(TypedDict, total=False):
    """What a submission may ask for, beside what runs and its name; `IrisClient.submit` says of what kind."""

    resources: ResourceSpec
    environment: EnvironmentSpec
    replicas: int
    coscheduled: bool
    constraints: Sequence[Constraint]
    ports: Sequence[str]
    band: str
    max_retries_failure: int
    max_retries_preemption: int
    scheduling_timeout: float | str | None
    timeout: float | str | None
    checkpoint_every: float | str | None


class IrisClient:
    """A connection to one cluster; a context manager that closes it."""

    def __init__(
        self,
        channel: Channel,
        *,
        workspace: Path | None = None,
        user: str | None = None,
        local: "LocalCluster | None" = None,
    ) -> None:
        self.channel = channel
        self._workspace = workspace
        self._bundle: str | None = None
        self._login = _login()
        self._user = user  # None: whose token it is, and without one the login's
        self._local = local
        self._before_close: list[Callable[[], object]] = []

    @staticmethod
    def remote(
        address: str,
        *,
        workspace: Path | None = None,
        token: str | None = None,
        authority: Path | None = None,
        user: str | None = None,
    ) -> "IrisClient":
        """A client of a running controller.

        Args:
            address: as `http://controller:10000`, or https for TLS.
            workspace: a folder whose files every task of a job finds where it starts.
            token: who you are; `IRIS_TOKEN` if not given.
            authority: the certificate that signed the controller's, if no public authority did;
                `IRIS_AUTHORITY` if not given.
            user: in whose name; if not given, that of the token, and without one your login.

        Raises:
            BadAddress: the address is none.
            OSError: the authority cannot be read.
        """
        shown = token if token is not None else os.environ.get("IRIS_TOKEN", "")
        if authority is None and os.environ.get("IRIS_AUTHORITY"):
            authority = Path(os.environ["IRIS_AUTHORITY"])
        channel = Channel(parse_address(address), token=shown, authority=authority)
        return IrisClient(channel, workspace=workspace, user=user)

    @staticmethod
    def local(*, workspace: Path | None = None, cpu: int | None = None) -> "IrisClient":
        """A client of a cluster of its own on this machine, which ends with it.

        Args:
            workspace: as of `remote`.
            cpu: cores that its tasks may use; all of the machine's if not given.
        """
        from iris.client.local import LocalCluster

        cluster = LocalCluster.start(cpu)
        channel = Channel(parse_address(cluster.url))
        return IrisClient(channel, workspace=workspace, local=cluster)

    def close(self) -> None:
        """End the connection, and the local cluster if it is one; before that, pools of workers that use it."""
        for end in self._before_close:
            end()
        self.channel.close()
        if self._local is not None:
            self._local.stop()

    def before_close(self, end: Callable[[], object]) -> None:
        """Have something ended that needs the connection, before that is."""
        self._before_close.append(end)

    def __enter__(self) -> "IrisClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- jobs ----------------------------------------------------------------------------------

    def submit(  # noqa: PLR0913
        self,
        entrypoint: Entrypoint,
        name: str | None = None,
        *,
        resources: ResourceSpec = ResourceSpec(),  # noqa: B008
        environment: EnvironmentSpec = EnvironmentSpec(),  # noqa: B008
        replicas: int = 1,
        coscheduled: bool = False,
        constraints: Sequence[Constraint] = (),
        ports: Sequence[str] = (),
        band: str = "interactive",
        max_retries_failure: int = 0,
        max_retries_preemption: int = 100,
        scheduling_timeout: float | str | None = None,
        timeout: float | str | None = None,
        checkpoint_every: float | str | None = None,
        request_id: str | None = None,
    ) -> Job:
        """Submit a job; it is on the controller's disk when this returns.

        Args:
            entrypoint: what each task runs.
            name: unique among the user's jobs, or among its parent's; made of what runs if not given.
            resources: of one task.
            environment: variables and packages.
            replicas: how many tasks.
            coscheduled: all at once on one slice, or none.
            constraints: where it may run.
            ports: names of ports that each task wants, told as IRIS_PORT_<NAME>.
            band: `production`, `interactive` or `batch`.
            max_retries_failure: how often a task that failed is tried again.
            max_retries_preemption: how often one that lost its machine is.
            scheduling_timeout: seconds or `10m`; if it has not started by then, it is unschedulable.
            timeout: seconds or `10m`; a task that runs longer has failed.
            checkpoint_every: seconds or `10m`; how often a task saves what it has done, by which it is
                judged how much is lost when somebody more urgent wants its place.
            request_id: the same twice is the same job, also without a name, and refused if what was
                asked for differs in more than what runs; drawn if not given.

        Raises:
            NotPicklable: the call cannot be sent.
            BadRequest: a value cannot be, said in a sentence.
            RemoteError: the controller refused, or was away for `PATIENCE_S`.
        """
        request = JobRequest(
            name=name if name is not None else name_for(entrypoint, request_id),
            user=self._user or "",
            resources=resources,
            environment=environment,
            replicas=replicas,
            coscheduled=coscheduled,
            constraints=constraints,
            ports=ports,
            band=band,
            max_retries_failure=max_retries_failure,
            max_retries_preemption=max_retries_preemption,
            scheduling_timeout=scheduling_timeout,
            timeout=timeout,
            checkpoint_every=checkpoint_every,
            parent=self._own("IRIS_JOB_ID"),
        )
        check(request, self._workspace)
        return self._send(entrypoint, request, request_id or secrets.token_hex(16))

    def plan(
        self,
        entrypoint: Entrypoint,
        name: str | None = None,
        *,
        effort: "Effort | None" = None,
        **asked: Unpack[Asked],
    ) -> "Start":
        """When a job would be likely to start, as `Job.when` tells it; nothing is submitted.

        Args:
            entrypoint: what each task would run; it only gives a name.
            name: as of `submit`.
            effort: how often the cluster is run forward, and how far.
            asked: as of `submit`.

        Raises:
            BadRequest: a value cannot be.
            NoForecast: the job would be refused.
            RemoteError: the controller refused, or did not answer.
        """
        from iris.client.forecasts import Effort, image_of, start_if_submitted

        request = JobRequest(
            name=name if name is not None else name_for(entrypoint, None),
            user=self._user or "",
            parent=self._own("IRIS_JOB_ID"),
            **asked,
        )
        check(request, self._workspace)
        spec = spec_from_wire(spec_of(request, ""))
        return start_if_submitted(
            image_of(self.channel), spec, self._login, effort if effort is not None else Effort()
        )

    def _send(self, entrypoint: Entrypoint, request: JobRequest, request_id: str) -> Job:
        blobs = [pickled(entrypoint.call)] if entrypoint.call is not None else []
        launch = launch_of(entrypoint, request, call=_digest(blobs[0]) if blobs else "")
        spec_of(request, "")  # What cannot be is told before anything is sent.
        launch.bundle = self._bundle_digest()
        description = launch.SerializeToString(deterministic=True)
        spec = spec_of(request, _digest(description))
        inline = [description]
        for blob in blobs:
            if len(blob) <= INLINE_BYTES:
                inline.append(blob)
            else:
                self._upload(blob)
        message = pb.SubmitJobRequest(
            request_id=request_id,
            login=self._login,
            spec=spec,
            blobs=[pb.Blob(content=content) for content in inline],
        )
        answer = self.channel.call(SUBMIT_JOB, message, patience_s=PATIENCE_S)
        return Job(self.channel, answer.job)

    def _own(self, name: str) -> str | None:
        """What a task knows of its job, as long as this is the cluster that it runs on."""
        here = os.environ.get("IRIS_CONTROLLER_ADDRESS") == self.channel.address.url
        return os.environ.get(name) if here else None

    def _bundle_digest(self) -> str:
        if self._workspace is None:
            return self._own("IRIS_BUNDLE") or ""  # Within a task: that of its own job.
        if self._bundle is None:
            self._bundle = self._upload(pack(self._workspace))
        return self._bundle

    def _upload(self, content: bytes) -> str:
        digest = _digest(content)
        if not self.channel.call(HAS_BLOB, pb.HasBlobRequest(sha256=digest)).present:
            self.channel.send(PUT_BLOB, _pieces(content))
        return digest

    def job(self, id: str) -> Job:
        """A job by its path, as `/alice/train`; nothing is asked yet."""
        return Job(self.channel, id)

    def jobs(
        self,
        *,
        user: str | None = None,
        state: str | None = None,
        name: str | None = None,
        limit: int = 100,
    ) -> list[pb.Job]:
        """The newest jobs, in short: of a user, in a state, with `name` in their path."""
        request = pb.ListJobsRequest(
            user=user or "", state=state or "", name=name or "", limit=limit
        )
        return list(self.channel.call(LIST_JOBS, request).jobs)

    # ---- actors --------------------------------------------------------------------------------

    def resolver(self, job: str | None = None) -> "ClusterResolver":
        """Finds actors of a job and those below it, or of all your jobs, for an `ActorClient` of yours.

        Calls go to the actors' own hosts: from where you are, their addresses and ports must be reachable.
        """
        from iris.actor.cluster import ClusterResolver

        return ClusterResolver(self.channel, job=job)

    def endpoints(self, *, job: str | None = None, name: str | None = None) -> list[pb.Endpoint]:
        """Where tasks serve, oldest first: of a job and those below it, under a name with `*` for any characters."""
        request = pb.ListEndpointsRequest(job=job or "", tree=True, names=[name] if name else [])
        return list(self.channel.call(LIST_ENDPOINTS, request).endpoints)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _pieces(content: bytes) -> Iterator[pb.PutBlobRequest]:
    for start in range(0, len(content), CHUNK_BYTES):
        yield pb.PutBlobRequest(content=content[start : start + CHUNK_BYTES])


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid{os.getuid()}" if sys.platform != "win32" else "user"
