"""The state of a cluster on the wire: compressed JSON, without secrets, for whoever simulates it further."""

import gzip
import json
from dataclasses import dataclass

from iris.core.ids import UserName
from iris.core.instant import Instant
from iris.core.snapshot import Snapshot, snapshot_from_json, snapshot_to_json


class NoImage(ValueError):
    """Bytes that are no image that this version can read."""


@dataclass(frozen=True, slots=True)
class Image:
    """A state between two turns, as one of its users may see it."""

    at: Instant
    """The controller's present, no earlier than its last turn."""
    user: UserName | None  # None: the caller has no name of its own there
    """Who asked."""
    tables: Snapshot


def packed(image: Image) -> bytes:
    """An image as bytes; secrets must be gone from it already."""
    whole = {"at": image.at, "user": image.user, "tables": snapshot_to_json(image.tables)}
    return gzip.compress(json.dumps(whole, separators=(",", ":")).encode(), 1, mtime=0)


def unpacked(content: bytes) -> Image:
    """The image that was packed as these bytes.

    Raises:
        NoImage: they are none, or one of another version.
    """
    try:
        whole = json.loads(gzip.decompress(content))
        user = UserName(whole["user"]) if whole["user"] is not None else None
        return Image(Instant(whole["at"]), user, snapshot_from_json(whole["tables"]))
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise NoImage(f"the controller's state cannot be read: {error!s:.200}") from error
