"""How a forecast is told: three lines for people, one object for programs."""

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from iris.cli.tables import age, print_object
from iris.exit_status import ExitStatus
from iris.units import timestamp

if TYPE_CHECKING:
    from iris.client.forecasts import Effort, Start


def effort(futures: int, horizon: str) -> "Effort":
    """As hard as the command line says, with progress on a terminal."""
    from iris.client.forecasts import Effort
    from iris.units import parse_duration

    def progress(done: int) -> None:
        if sys.stderr.isatty():
            end = "\r" if done < futures else "\r" + " " * 40 + "\r"
            click.echo(f"{done} of {futures} futures{end}", err=True, nl=False)

    return Effort(futures, parse_duration(horizon), progress=progress)


def say(start: "Start", *, as_json: bool) -> ExitStatus:
    """Print a forecast; the status says whether the job can start at all."""
    if as_json:
        print_object("Forecast", as_object(start))
    else:
        for sentence in sentences(start):
            click.echo(sentence)
    return ExitStatus.NEVER_PLACEABLE if start.never else ExitStatus.DONE


def as_object(start: "Start") -> dict[str, object]:
    """A forecast for programs."""
    told = asdict(start)
    told["at"] = timestamp(told.pop("at_ms"))
    started = told.pop("started_at_ms")
    told["started_at"] = None if started is None else timestamp(started)
    told["waits_for"] = [{"what": what, "futures": count} for what, count in start.waits_for]
    runs, boots, losses = start.learned_from
    told["learned_from"] = {"runs": runs, "boots": boots, "losses": losses}
    return told


def sentences(start: "Start") -> list[str]:
    """A forecast for people."""
    if start.never:
        return [f"{start.job} never starts: {start.why or 'no reason is on record'}"]
    if not start.futures and start.state == "running" and start.started_at_ms is not None:
        return [
            f"{start.job} runs since {timestamp(start.started_at_ms)}; nothing is to be forecast"
        ]
    if not start.futures:
        return [f"{start.job} has ended as {start.state}; see `iris job why {start.job}`"]
    runs, boots, losses = start.learned_from
    waits = ", ".join(f"{what} ({count})" for what, count in start.waits_for)
    horizon = _span(start.horizon_s)
    return [
        _first(start, horizon),
        f"waits for, in so many of {start.futures} futures: {waits}",
        f"{start.starting} of {start.futures} futures start it within {horizon}; on record are"
        f" {runs} ended runs, {boots} boots and {losses} losses of slices",
    ]


def _first(start: "Start", horizon: str) -> str:
    if not start.starting:
        return f"{start.job} starts in none of {start.futures} futures within {horizon}"
    low, middle, high = (
        f"later than {horizon}" if wait is None else _span(wait)
        for wait in (start.p10_s, start.p50_s, start.p90_s)
    )
    at = ""
    if start.p50_s is not None:
        at = f", at {timestamp(int(start.at_ms + start.p50_s * 1_000))}"
    return f"{start.job} starts in {middle}{at} (80 % of futures: {low} to {high})"


def _span(seconds: float) -> str:
    return age(0, int(seconds * 1_000))
