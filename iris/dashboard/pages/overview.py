"""The overview: what needs attention first, then what there is."""

from collections.abc import Mapping
from dataclasses import dataclass

from iris.core.lifecycle import JobState
from iris.core.views import GroupView, group_views
from iris.dashboard.page import Asked, Json, Page, object_of
from iris.dashboard.subject import Subject


@dataclass(frozen=True, slots=True)
class Overview:
    """What the page shows."""

    jobs: Mapping[JobState, int]
    workers: int
    groups: tuple[GroupView, ...]


def load(subject: Subject, _: Asked) -> Overview:
    """The cluster at a glance."""
    state = subject.state
    jobs = {it: len(found) for it, found in state.by_state.items() if found}
    return Overview(jobs, len(state.workers), group_views(state))


def told(model: Overview) -> Json:
    """The same for programs."""
    jobs = {state.value: count for state, count in model.jobs.items()}
    return object_of("Overview", {"jobs": jobs, "workers": model.workers})


PAGE = Page("/", "overview.html", "Overview", load, told)
