"""A scenario made whole: one text that needs nothing but files which lie beside it.

The cluster stands in its place already; what is left of the machine that it was written on are the
paths of traces, and of the cluster what a simulation does not look at, its tokens among them. The
former become names in one folder, made of their content, so that one file is there once, however many
points of a sweep read it; the latter is left out.
"""

import copy
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

from iris.yaml_source import Document

_FOREIGN: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""What JSON writes as it is, and YAML reads otherwise or not at all."""
_OF_THE_REAL_ONE: Final = ("auth", "controller", "docker", "storage")
"""Sections of a cluster's config that say nothing to a simulation."""


@dataclass(frozen=True, slots=True)
class Folder:
    """Where the files of packed scenarios are put."""

    path: Path
    _names: dict[Path, str] = field(default_factory=dict)

    @property
    def files(self) -> list[str]:
        """The names of all that was put in, in that order."""
        return list(dict.fromkeys(self._names.values()))

    def put(self, file: Path) -> str:
        """Copy a file into the folder, unless its content is there; by what name.

        Raises:
            OSError: it cannot be read, or the folder not be written.
        """
        if file not in self._names:
            with file.open("rb") as content:
                digest = sha256()
                while piece := content.read(1 << 20):
                    digest.update(piece)
            # The ending says how a file is read.
            name = f"{digest.hexdigest()[:16]}-{file.name}"
            shutil.copyfile(file, self.path / name)
            self._names[file] = name
        return self._names[file]


def pack(document: Document, name: str, home: Path, folder: Folder) -> str:
    """The text of a scenario that was read and found right, with its files put into a folder.

    Args:
        document: what it says, with its cluster and overrides in place.
        name: what it is called.
        home: the folder that its paths are relative to.
        folder: where its files go.

    Raises:
        OSError: a file could not be copied.
    """
    said = copy.deepcopy(document.data)
    said["name"] = name
    cluster = said["cluster"]
    assert isinstance(cluster, dict), cluster
    for section in _OF_THE_REAL_ONE:
        cluster.pop(section, None)
    for holder, key in list(paths_in(said)):
        holder[key] = folder.put((home / str(holder[key])).resolve())
    text = json.dumps(said, ensure_ascii=False, allow_nan=False)
    return _FOREIGN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def paths_in(said: dict[str, object]) -> Iterator[tuple[dict[str, object], str]]:
    """Each place that holds the path of a file: the mapping and the key in it."""
    workload = said["workload"]
    assert isinstance(workload, list), workload
    for entry in workload:
        if isinstance(entry.get("trace"), dict):
            yield entry["trace"], "file"
        elif entry.get("trace") is not None:
            yield entry, "trace"
    cloud = said.get("cloud")
    capacity = cloud.get("capacity") if isinstance(cloud, dict) else None
    for steps in (capacity or {}).values():
        if isinstance(steps, dict) and steps.get("trace") is not None:
            yield steps, "trace"
