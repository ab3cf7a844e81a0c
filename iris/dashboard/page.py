"""A page: where it is, what it is made of, and how the same is told to programs."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

from iris.dashboard.breath import Breath
from iris.dashboard.query import Query
from iris.dashboard.subject import Subject, Viewer

Json: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants to see."""

    query: Query
    viewer: Viewer
    breath: Breath
    """Drawn between the pieces of what takes long."""
    name: str = ""
    """Of the one thing that the page is about; empty for a list."""


class Sharing(Enum):
    """Who may be shown the same copy of a page while nothing changes."""

    ALL = "all"
    VIEWER = "viewer"
    """One viewer's browsers: it shows what they may do."""
    NOBODY = "nobody"
    """It changes without a turn."""


@dataclass(frozen=True, slots=True)
class Page:
    """One kind of page."""

    path: str
    """Of its address; `{name:path}` stands for the name of a thing."""
    template: str
    title: str
    load: Callable[[Subject, Asked], Awaitable[Any]]
    """What the template shows; raises `Refusal` for what there is not."""
    told: Callable[[Any], Json]
    """The same for programs: `kind`, and what a list or an object of that kind holds."""
    in_menu: bool = True
    sharing: Sharing = Sharing.ALL


def object_of(kind: str, item: Json) -> Json:
    """One thing for programs."""
    return {"schema": "iris/v1", "kind": kind, **item}


def list_of(kind: str, items: Sequence[Json], total: int) -> Json:
    """A list for programs; `total` counts also what is not on this page."""
    return {"schema": "iris/v1", "kind": f"{kind}List", "items": list(items), "total": total}
