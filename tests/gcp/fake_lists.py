"""Lists of nodes: what the simulator's listing says, lies and all, in pages."""

from collections.abc import Mapping, Sequence

from iris.core.events import CloudState
from iris.core.ids import SliceId
from tests.gcp import fake_errors as no
from tests.gcp.fake_catalog import both_ways
from tests.gcp.fake_errors import Json
from tests.gcp.fake_knobs import Knobs
from tests.gcp.fake_nodes import Node
from tests.gcp.fake_provider import Holding


def as_listed(node: Node, shown: Json, state: CloudState | None) -> Json:
    """A node as the listing has it, which may be of another time."""
    if state is not None and state is not node.holding.state and node.shown is None:
        return shown | {"state": "TERMINATED" if state is CloudState.OTHER else state.name}
    return shown


def zones_left_out(nodes: Sequence[Node], listed: Mapping[SliceId, CloudState]) -> list[str]:
    """The zones of nodes that exist and are not listed."""
    there = [node for node in nodes if node.holding.state is not None]
    return sorted({node.zone for node in there if node.holding.slice not in listed})


def stranger(project: str, holding: Holding, labels: Json) -> Node:
    """A node that somebody else made, with labels like ours."""
    node_id = holding.slice.rpartition(".")[2].replace("/", "-")
    body: Json = {
        "acceleratorType": holding.group.accelerator_type,
        "runtimeVersion": "tpu-ubuntu2204-base",
        "labels": labels,
    }
    kind, config = both_ways(body)
    name = f"projects/{project}/locations/{holding.zone}/nodes/{node_id}"
    return Node(name, body, kind, config, "v2", holding, holding.asked)


def page(request: Json, found: Sequence[Json], knobs: Knobs, key: str) -> Json:
    """One page of a list.

    Raises:
        ApiError: the page token is none, or none any more.
    """
    token = request.get("pageToken", "")
    if token and (knobs.expired_page_tokens or not token.isdecimal()):
        raise no.invalid("The page token is invalid or has expired.")
    first = int(token or 0)
    size = min(int(request.get("pageSize") or knobs.page_size), knobs.page_size)
    shown: Json = {key: list(found[first : first + size])}
    if first + size < len(found):
        shown["nextPageToken"] = str(first + size)
    return shown


def without_newest(found: Sequence[Json]) -> list[Json]:
    """A list that is a moment old."""
    newest = max(found, key=lambda one: str(one["createTime"]), default=None)
    return [one for one in found if one is not newest]
