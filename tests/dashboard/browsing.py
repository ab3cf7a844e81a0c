"""A real browser, and dashboards served to it from a thread of the tests' own process."""

import asyncio
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from iris.dashboard.app import Dashboard
from iris.dashboard.listener import bind
from iris.dashboard.server import HttpServer
from iris.dashboard.subject import Door
from sim.on_stage import OwnMachine, Stage
from tests.dashboard.stages import KEY, Still

PROGRAMS: Final = ("chromium-headless-shell", "chromium")
"""The first starts in half the time: it has no windows that it would not show."""
PATIENCE_MS: Final = 15_000
WIDE: Final = (1280, 900)
NARROW: Final = (400, 800)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's own browser; whoever has none skips."""
    path = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("needs chromium, as from `apt-get install chromium`")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Served:
    """A dashboard at an address."""

    url: str
    subject: Stage | Still
    loop: asyncio.AbstractEventLoop

    def advance(self, hours: float) -> None:
        """Let a simulation go on, in the loop that serves it."""

        async def go_on() -> None:
            stage = self.subject
            assert isinstance(stage, Stage)
            stage.advance(int(hours * 3_600_000))

        asyncio.run_coroutine_threadsafe(go_on(), self.loop).result(20)


@contextmanager
def served(subject: Stage | Still, door: Door | None = None) -> Iterator[Served]:
    """Serve a subject until the end."""
    listener = bind("127.0.0.1", 0)
    loop = asyncio.new_event_loop()
    dashboard = Dashboard(subject, door or OwnMachine(KEY))
    server = HttpServer(dashboard.app, listener, dashboard.stopping)
    thread = threading.Thread(target=loop.run_until_complete, args=(server.serve(),))
    thread.start()
    try:
        yield Served(f"http://127.0.0.1:{listener.getsockname()[1]}", subject, loop)
    finally:
        loop.call_soon_threadsafe(server.stop)
        thread.join(20)
        loop.close()


@dataclass
class Visit:
    """A page in a browser, and everything that went wrong on it."""

    page: Page
    url: str
    troubles: list[str] = field(default_factory=list)

    def to(self, path: str) -> Page:
        """Go there, and wait until it is told of changes."""
        self.page.goto(f"{self.url}{path}")
        if self.page.locator("#link").count():
            expect(self.page.locator("#link")).to_have_text("live")
        return self.page


@contextmanager
def visit(browser: Browser, url: str, size: tuple[int, int] = WIDE) -> Iterator[Visit]:
    """A window of its own; at its end nothing may have gone wrong, and nothing been asked of others."""
    width, height = size
    context = browser.new_context(viewport={"width": width, "height": height})
    context.set_default_timeout(PATIENCE_MS)
    found = Visit(context.new_page(), url)
    page, troubles = found.page, found.troubles
    page.on("console", lambda said: troubles.append(f"{page.url}: console: {said.text}"))
    page.on("pageerror", lambda error: troubles.append(f"{page.url}: {error}"))
    page.on("dialog", lambda dialog: troubles.append(f"{page.url}: dialog {dialog.message}"))

    def asked(address: str) -> None:
        if not address.startswith((f"{url}/", "data:")):
            troubles.append(f"{page.url}: asked for {address}")

    page.on("request", lambda request: asked(request.url))
    try:
        yield found
        assert not troubles, "\n".join(troubles)
    finally:
        context.close()
