"""The pages, in the order of the menu; each module knows how one is made from the state."""

from typing import Final

from iris.dashboard.page import Page
from iris.dashboard.pages import overview

PAGES: Final[tuple[Page, ...]] = (overview.PAGE,)
