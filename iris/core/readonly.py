"""The tables of the state as a reader sees them: what the deadline rules and views may ask for."""

from collections.abc import Mapping
from typing import Protocol

from iris.core.ids import JobId, SliceId, TaskId, WorkerId
from iris.core.records import Books, Job, Slice, Task, Worker
from iris.core.spec import ClusterSpec


class Tables(Protocol):
    """The tables, to be read."""

    @property
    def spec(self) -> ClusterSpec:
        """The configuration in force."""
        ...

    @property
    def books(self) -> Books:
        """Counters and shared limits."""
        ...

    @property
    def jobs(self) -> Mapping[JobId, Job]:
        """Every job on record."""
        ...

    @property
    def tasks(self) -> Mapping[TaskId, Task]:
        """Every task of these jobs."""
        ...

    @property
    def slices(self) -> Mapping[SliceId, Slice]:
        """Every slice on the books, and those gone lately."""
        ...

    @property
    def workers(self) -> Mapping[WorkerId, Worker]:
        """Every worker of these slices."""
        ...
