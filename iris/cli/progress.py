"""How far long work is, on stderr: for people as a line that changes, in a pipe as a line now and then."""

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    import rich.progress

SHOWN_AFTER_S: Final = 1.0
SHOWN_EVERY_S: Final = 0.2
SAID_EVERY_S: Final = 60.0


class Progress:
    """How far a run that takes a while is, on stderr: in a line that changes, or in a pipe in one a minute."""

    def __init__(self, name: str, duration: int | None, count: int | None) -> None:
        self._name = name
        self._duration = duration  # None: until all jobs have ended
        self._count = count  # None: as many as there is time for
        self._on_terminal = sys.stderr.isatty()
        self._ended = 0
        self._started = self._shown = time.monotonic()
        self._bar: rich.progress.Progress | None = None  # None: nothing is shown yet

    def __enter__(self) -> "Progress":
        """Nothing is shown before the run has lasted a while."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wipe the line."""
        if self._bar is not None:
            self._bar.stop()

    def simulated(self, now: int, jobs_ended: int) -> None:
        """A run in this process has come so far."""
        if not self._is_due():
            return
        from sim.tables import span_text

        ratio = now / 1000 / (time.monotonic() - self._started)
        text = f"{span_text(now / 1000)} simulated, {ratio:,.0f} times real time, "
        text += f"{jobs_ended:,} jobs ended"
        if self._count is not None and self._count > 1:
            text = f"run {self._ended + 1} of {self._count}: {text}"
        self._show(text, now, self._duration)

    def ended(self, runs: int) -> None:
        """So many of the study's runs have ended."""
        self._ended = runs
        if self._count != 1 and self._is_due():
            whole = "" if self._count is None else f" of {self._count:,}"
            self._show(f"{runs:,}{whole} runs", runs, self._count)

    def say(self, line: str) -> None:
        """Something that stays to be read."""
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            click.echo(line, err=True)

    def _is_due(self) -> bool:
        """Whether a reader has waited for long enough."""
        now = time.monotonic()
        every = SHOWN_EVERY_S if self._on_terminal else SAID_EVERY_S
        if now - self._started < SHOWN_AFTER_S or now - self._shown < every:
            return False
        self._shown = now
        return True

    def _show(self, text: str, done: int, whole: int | None) -> None:
        if not self._on_terminal:
            self.say(f"{self._name}: {text}")
            return
        if self._bar is None:
            self._bar = _bar()
            self._bar.add_task(self._name, text=text)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=done, total=whole, text=text)
        self._bar.refresh()


def _bar() -> "rich.progress.Progress":
    import rich.console
    import rich.progress

    return rich.progress.Progress(
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(bar_width=12),
        rich.progress.TextColumn("{task.fields[text]}"),
        console=rich.console.Console(stderr=True),
        # No thread of its own: what simulates also draws.
        auto_refresh=False,
        transient=True,
    )
