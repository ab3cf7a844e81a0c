"""Templates: everything that a user may have made up is escaped, whatever the template says."""

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from iris.dashboard import words
from iris.dashboard.assets import load_assets
from iris.dashboard.logs import TRACE
from iris.dashboard.page import Asked, Page
from iris.dashboard.pages.simulations import speed_text
from iris.dashboard.reasons import NEVER
from iris.dashboard.subject import Subject, Viewer


class Renderer:
    """Writes pages of one subject."""

    def __init__(self, subject: Subject, menu: list[Page]) -> None:
        """With the pages that every page leads to."""
        self._subject = subject
        self._menu = menu
        self._environment = environment()

    async def main(self, page: Page, model: Any, asked: Asked, url: str) -> str:
        """The part of a page that is written anew when something changed, written in pieces."""
        subject = self._subject
        now = subject.now()
        written: list[str] = []
        for text in self._environment.get_template(page.template).generate(
            model=model,
            query=asked.query,
            url=url,
            page=page,
            subject=subject,
            now=now,
            late=subject.recent.lateness(now),
            follows=getattr(model, "follows", False),
            ago=words.ago(subject.kind, now),
            moment=lambda at: words.moment(subject.kind, at),
        ):
            written.append(text)
            await asked.breath.draw_in_time()
        return "".join(written)

    def whole(self, page: Page, main: str, viewer: Viewer, seal: str) -> str:
        """A page with its frame."""
        return self._environment.get_template("frame.html").render(
            page=page, main=main, menu=self._menu, viewer=viewer, subject=self._subject, seal=seal
        )

    def alone(self, template: str, **told: Any) -> str:
        """A page that is about nothing of the subject's: a sign-in, a question, a refusal."""
        return self._environment.get_template(template).render(subject=self._subject, **told)


@cache
def environment() -> Environment:
    """All templates, read and compiled: that takes a while, and once is enough."""
    assets = load_assets()
    made = Environment(
        loader=PackageLoader("iris.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    filters = (
        words.span, words.short_span, words.amount, words.cores, words.size, words.dollars,
        words.job_url, words.task_url, words.slice_url, words.worker_url, words.plural,
        words.figure, words.marked,
    )  # fmt: skip
    made.filters |= {write.__name__: write for write in filters}
    made.globals |= {
        "asset": lambda name: f"/static/{name}?v={assets[name].digest[:12]}",
        "never": NEVER,
        "speed_text": speed_text,
        "trace": TRACE,
    }
    for name in made.list_templates():
        made.get_template(name)
    return made
