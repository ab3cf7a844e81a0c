"""The pages, in the order of the menu; each module knows how one is made from the state."""

from typing import Final

from iris.dashboard.page import Page
from iris.dashboard.pages import (
    capacity,
    controller,
    decisions,
    endpoints,
    events,
    job,
    jobs,
    overview,
    simulations,
    slice_,
    task,
    users,
    worker,
    workers,
)

PAGES: Final[tuple[Page, ...]] = (
    overview.PAGE,
    jobs.PAGE,
    job.PAGE,
    task.PAGE,
    capacity.PAGE,
    slice_.PAGE,
    workers.PAGE,
    worker.PAGE,
    decisions.PAGE,
    events.PAGE,
    users.PAGE,
    endpoints.PAGE,
    controller.PAGE,
    simulations.PAGE,
    simulations.COMPARE,
    simulations.RUN,
)
