"""Short words for what tests ask genuine clients for."""

from typing import Any

from google.cloud import tpu_v2
from google.longrunning import operations_pb2

from tests.gcp.fake_google import FakeGoogle

ZONE = "us-central2-b"
TYPE = "v4-32"
RUNTIME = "tpu-ubuntu2204-base"
State = tpu_v2.Node.State


class Asking:
    """A genuine client over gRPC, and names that need no more than an id."""

    def __init__(self, google: FakeGoogle) -> None:
        self.google = google
        self.client = google.tpu_client()
        self.parent = google.parent(ZONE)

    def name(self, node_id: str = "a") -> str:
        """A node's whole name."""
        return f"{self.parent}/nodes/{node_id}"

    def create(self, node_id: str = "a", type: str = TYPE, **rest: Any) -> Any:
        """Ask for a node."""
        node = tpu_v2.Node(accelerator_type=type, runtime_version=RUNTIME, **rest)
        return self.client.create_node(parent=self.parent, node_id=node_id, node=node, timeout=5)

    def ready(self, node_id: str = "a", type: str = TYPE, **rest: Any) -> tpu_v2.Node:
        """Ask for a node, and let it boot."""
        self.create(node_id, type, **rest)
        self.google.advance(100)
        return self.get(node_id)

    def get(self, node_id: str = "a") -> tpu_v2.Node:
        """The node now."""
        return self.client.get_node(name=self.name(node_id), timeout=5)

    def delete(self, node_id: str = "a") -> Any:
        """Ask for its end."""
        return self.client.delete_node(name=self.name(node_id), timeout=5)

    def page(self, parent: str | None = None) -> tpu_v2.ListNodesResponse:
        """One page of the nodes of all zones."""
        request = {"parent": parent or self.google.parent()}
        pager = self.client.list_nodes(request, timeout=5)
        return next(iter(pager.pages))

    def ids(self) -> list[str]:
        """Of the nodes in that page."""
        return [node.name.rpartition("/")[2] for node in self.page().nodes]

    def operation(self, future: Any) -> operations_pb2.Operation:
        """A long-running operation now, asked once."""
        return self.client.get_operation({"name": future.operation.name}, timeout=5)
