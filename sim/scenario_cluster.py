"""What a scenario says about its cluster: the names that it may use, and the problems it has."""

from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

from iris.core import topology
from iris.core.spec import ClusterSpec
from iris.problems import BadInput, Problem, one_of, shown
from iris.yaml_source import Document
from sim.traces import BadTrace

Where: TypeAlias = tuple[str | int, ...]


class Checked:
    """A scenario while it is read: its folder, its cluster, and what was found wrong so far."""

    def __init__(self, document: Document, folder: Path, cluster: ClusterSpec) -> None:
        self.folder = folder
        self.cluster = cluster
        self._document = document
        self._problems: list[Problem] = []
        self._zones = tuple(dict.fromkeys(zone for group in cluster.groups for zone in group.zones))

    @property
    def count(self) -> int:
        """How many problems there are so far."""
        return len(self._problems)

    def wrong(self, at: Where, message: str, hint: str = "", *, at_key: bool = False) -> None:
        """Notes a problem at a key of the scenario."""
        self._problems.append(self._document.problem(at, message, hint, at_key=at_key))

    def trace(self, error: BadTrace, at: Where) -> None:
        """Notes the problems of a trace, at its lines, or at the key that names it."""
        key = ".".join(map(str, at))
        for found in error.problems:
            if found.line == 0:
                self.wrong(at, f"{error.file}: {found.message}")
            else:
                file = str(error.file)
                message = f"{found.message} (trace of `{key}`)"
                self._problems.append(Problem(file, found.line, 1, "", message, "", found.source))

    def zone(self, name: str, at: Where) -> None:
        """A zone must be one that a scale group names."""
        if name not in self._zones:
            message = f"no scale group names zone {shown(name)}"
            self.wrong(at, message, one_of(name, self._zones), at_key=at[-1] == name)

    def group(self, name: str, at: Where) -> None:
        """A scale group must be one of the cluster's."""
        groups = [group.name for group in self.cluster.groups]
        if name not in groups:
            self.wrong(at, f"no scale group is called {shown(name)}", one_of(name, groups))

    def reservation(self, name: str, at: Where) -> None:
        """A reservation must be one that the cluster declares."""
        known = [held for held, _ in self.cluster.reservations]
        if name not in known:
            message = f"the cluster has no reservation {shown(name)}"
            self.wrong(at, message, one_of(name, known), at_key=True)

    def gpus(self) -> dict[str, int]:
        """The cluster's types of GPU, and the most of each on one machine."""
        found: dict[str, int] = {}
        for group in self.cluster.groups:
            name = group.accelerator
            if name is not None and topology.tpu_type(name) is None:
                found[name] = max(found.get(name, 0), group.host.chips)
        return found

    def refuse(self) -> None:
        """Raises `BadInput` if anything was wrong."""
        if self._problems:
            raise BadInput(_ordered(self._problems))


def _ordered(problems: Iterable[Problem]) -> list[Problem]:
    unique = dict.fromkeys(problems)
    return sorted(unique, key=lambda problem: (problem.file, problem.line, problem.column))
