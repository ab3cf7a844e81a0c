"""The files that pages are made of: read once from the wheel, named by what they hold, never fetched."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Final

MANIFEST: Final = "manifest.json"
"""Where each file that others wrote comes from, its licence and its SHA-256."""
_TYPES: Final = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file."""

    content: bytes
    media_type: str
    digest: str


def load_assets() -> Mapping[str, Asset]:
    """Every file that a page may ask for, by its name."""
    folder = files("iris.dashboard").joinpath("static")
    found = {}
    for entry in folder.iterdir():
        media_type = _TYPES.get(entry.name.rpartition(".")[2])
        if media_type is not None:
            content = entry.read_bytes()
            found[entry.name] = Asset(content, media_type, sha256(content).hexdigest())
    return found


def load_manifest() -> Mapping[str, Mapping[str, str]]:
    """What is said of each file that others wrote."""
    text = files("iris.dashboard").joinpath("static", MANIFEST).read_text(encoding="utf-8")
    loaded: Mapping[str, Mapping[str, str]] = json.loads(text)
    return loaded
