"""Jobs as lines of a list, or below one another as the trees that they are."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from iris.rpc.kinds_cluster import parent_of

if TYPE_CHECKING:
    from iris.rpc import iris_pb2 as pb

_STEP: Final = "  "


@dataclass(frozen=True, slots=True)
class Line:
    """One job of a list."""

    job: "pb.Job"
    indent: int = 0
    """How many jobs of the list it is below."""
    matches: bool | None = None  # None: nobody is listed who does not

    @property
    def label(self) -> str:
        """Its path; below a job of the list, its own name."""
        if not self.indent:
            return self.job.id
        return _STEP * self.indent + self.job.id.rpartition("/")[2]

    def told(self) -> dict[str, object]:
        """What programs are told of it beside the job."""
        return {} if self.matches is None else {"matches": self.matches}


def in_a_row(jobs: "Iterable[pb.Job]") -> list[Line]:
    """Jobs as they come."""
    return [Line(job) for job in jobs]


def in_trees(found: "Iterable[pb.Job]", above: "Iterable[pb.Job]") -> list[Line]:
    """Jobs below their parents: the newest tree first, and in a tree what was submitted first.

    Args:
        found: the jobs that were looked for.
        above: those above them that were not. A job whose parent is neither is a tree of its own.
    """
    matching = {job.id: job for job in found}
    known = {**matching, **{job.id: job for job in above}}
    below: dict[str | None, list[pb.Job]] = {}
    for job in sorted(known.values(), key=lambda job: (job.submitted_at_ms, job.id)):
        parent = parent_of(job.id)
        below.setdefault(parent if parent in known else None, []).append(job)

    def tree(job: "pb.Job", indent: int) -> Iterator[Line]:
        yield Line(job, indent, job.id in matching)
        for child in below.get(job.id, ()):
            yield from tree(child, indent + 1)

    return [line for root in reversed(below.get(None, [])) for line in tree(root, 0)]
