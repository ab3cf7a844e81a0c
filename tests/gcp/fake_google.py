"""A Google Cloud for tests: `serve()` it, point genuine clients at it, and be as unkind as the real one.

    with serve(model=CloudModel(boot=Constant(Millis(100_000))), clock=HandClock()) as google:
        client = google.tpu_client()            # a genuine tpu_v2.TpuClient over gRPC
        operation = client.create_node(parent=google.parent("us-central2-b"), node_id="a", node=...)
        google.advance(100)                     # seconds of the fake's time; all 100 s at once
        google.knobs.stockout = True            # one fault, one field: see fake_knobs.Knobs
        google.preempt("a")
        google.gate.calls("CreateNode")         # what came over the wire

Without a `clock` time is real; `ScaledClock(60)` lets a minute pass in a second. `model` is the
simulator's own `sim.model.CloudModel`: stock, verdicts, boots, lifetimes, notices and lies are drawn
by the same classes. `hook` starts something in each VM that boots (fake_vms.Hook).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import grpc
from google.auth.credentials import AnonymousCredentials
from google.cloud import tpu_v2
from google.cloud.tpu_v2.services.tpu.transports import TpuGrpcTransport

from iris.core.instant import Millis
from sim.model import CloudModel
from tests.gcp.fake_auth import service_account
from tests.gcp.fake_boots import ProcessVms
from tests.gcp.fake_calls import Call, Gate
from tests.gcp.fake_care import Care
from tests.gcp.fake_catalog import ZONES
from tests.gcp.fake_compute import ComputeService
from tests.gcp.fake_compute_rest import ComputeFront
from tests.gcp.fake_errors import ApiError, Json
from tests.gcp.fake_fate import Fate
from tests.gcp.fake_grpc import UNLIMITED, GrpcFront
from tests.gcp.fake_knobs import Knobs
from tests.gcp.fake_offers import Offers
from tests.gcp.fake_provider import Provider
from tests.gcp.fake_queued import Queue
from tests.gcp.fake_rest import RestFront
from tests.gcp.fake_time import Clock, HandClock, ScaledClock, World
from tests.gcp.fake_tpu import TpuService
from tests.gcp.fake_vms import Hook

PROJECT = "iris-test"


class FakeGoogle:
    """The cloud, its doors, and what may befall it."""

    def __init__(  # noqa: PLR0913
        self,
        *,
        project: str = PROJECT,
        model: CloudModel | None = None,
        compute_model: CloudModel | None = None,
        clock: Clock | None = None,
        seed: int = 1,
        zones: Mapping[str, Sequence[str]] = ZONES,
        hook: Hook | None = None,
        tls: tuple[Path, Path] | None = None,
    ) -> None:
        """A cloud that listens, until it is closed.

        Args:
            project: the only one that there is.
            model: how TPU slices come and go; None is at once, without end and kind.
            compute_model: the same for instances of Compute Engine.
            clock: None is wall time.
            seed: of all draws.
            zones: the zones, and the TPU families of each.
            hook: starts something in each VM that boots.
            tls: a certificate and its key for gRPC, which then is served on `localhost`.
        """
        self.project = project
        self.clock = clock or ScaledClock()
        self.knobs = Knobs()
        self.world = World(self.clock)
        self.gate = Gate(self.world, self.knobs)
        self.tpu = TpuService(project, zones, self.world, self.knobs)
        self.slices = Provider(model or CloudModel(), self.world, seed, self.tpu.make_vm)
        """The simulator's cloud behind the TPU service."""
        self.compute = ComputeService(project, [*zones], self.world, self.knobs)
        self.machines = Provider(
            compute_model or CloudModel(), self.world, seed + 1, self.compute.make_vm
        )
        """The simulator's cloud behind Compute Engine."""
        self.tpu.provider, self.compute.provider = self.slices, self.machines
        self.queue = Queue(self.tpu)
        """Queued resources."""
        self.fate = Fate(self.tpu, self.compute)
        """What may befall its nodes, and its instances, by hand."""
        self._open(tls)
        self._begin(hook)

    def _open(self, tls: tuple[Path, Path] | None) -> None:
        parts = (self.tpu, Care(self.tpu), Offers(self.tpu), self.queue)
        self._methods = {name: method for part in parts for name, method in part.methods().items()}
        self._grpc = GrpcFront(self.handle, tls)
        self.grpc_address = self._grpc.address
        """Of the TPU service over gRPC: `host:port`."""
        self.rest = RestFront(self.handle)
        self.rest_address = self.rest.address
        """Of its REST twin: `host:port`, in plain HTTP."""
        self.compute_front = ComputeFront(self.compute, self.gate)
        self.compute_address = self.compute_front.address
        """Of Compute Engine: `host:port`, in plain HTTP; paths begin with /compute/v1."""

    def _begin(self, hook: Hook | None) -> None:
        if isinstance(hook, ProcessVms):
            endpoints = {
                "FAKE_TPU_ENDPOINT": f"http://{self.rest_address}",
                "FAKE_TPU_GRPC": self.grpc_address,
                "FAKE_COMPUTE_ENDPOINT": f"http://{self.compute_address}",
            }
            hook.joins(self.world, endpoints)
        self.slices.hook = self.machines.hook = hook
        with self.world.turn():
            self.slices.start()
            self.machines.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def handle(self, call: Call) -> Json:
        """Answer a call of the TPU API, whatever wire it came over.

        Raises:
            ApiError: the answer is an error.
            HangUp: there is no answer.
        """
        self.gate.enter(call)
        method = self._methods.get(call.method)
        if method is None:
            raise ApiError(grpc.StatusCode.UNIMPLEMENTED, f"Method {call.method} not found.")
        return method(call)

    def close(self) -> None:
        """Everything ends, the VMs too."""
        self.world.close()
        self._grpc.close()
        self.rest.close()
        self.compute_front.close()
        self.slices.close()
        self.machines.close()

    # ---- how to reach it -------------------------------------------------------------------

    def parent(self, zone: str = "-") -> str:
        """`projects/P/locations/Z`."""
        return f"projects/{self.project}/locations/{zone}"

    def service_account(self, path: Path) -> Path:
        """Write a key file for GOOGLE_APPLICATION_CREDENTIALS; all that it signs holds here."""
        return service_account(path, self.project, f"http://{self.compute_address}/token")

    def tpu_client(self) -> tpu_v2.TpuClient:
        """A genuine client, told of its channel as the product tells it."""
        return tpu_v2.TpuClient(
            transport=insecure,
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": self.grpc_address},
        )

    # ---- what may befall it ----------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        """Let time pass, if the clock is moved by hand; everything that is due by then happens."""
        assert isinstance(self.clock, HandClock), "a clock that runs by itself is not moved"
        self.clock.advance(Millis(int(seconds * 1000)))
        with self.world.turn():
            pass


def insecure(
    *, host: str, credentials: object = None, credentials_file: object = None, **rest: object
) -> TpuGrpcTransport:
    """A transport without TLS; `TpuClient(transport=insecure, ...)` calls it."""
    del credentials, credentials_file
    channel = grpc.insecure_channel(host, options=UNLIMITED)
    return TpuGrpcTransport(host=host, channel=channel, **rest)  # type: ignore[arg-type]


serve = FakeGoogle
"""`with serve(...) as google:`"""
