"""`iris sim fuzz`: drawn worlds in which everything goes wrong, each judged by what must be true.

stdout holds the result and nothing else; stderr is told of each failure when it is found.
"""

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from iris.cli.progress import Progress
from iris.cli.sim import Interrupt
from iris.exit_status import ExitStatus

if TYPE_CHECKING:
    from sim.fuzz import Campaign
    from sim.story import Story

PROFILES: Final = ("swarm", "lite", "crash", "cloud", "policy")
_SEEDS: Final = 200
_ENDLESS: Final = 10**12
_TOLD: Final = 3
"""Of so many failures a story is written: those that fail in the fewest turns, one of each kind."""

EXAMPLES: Final = """\b
Examples:
  iris sim fuzz
  iris sim fuzz --profile crash --seeds 2000 --jobs 4
  iris sim fuzz --minutes 480 --out findings/
\b
Profiles: swarm (a random subset of all faults), lite (one fault), crash (the
controller dies again and again), cloud (only the cloud is unkind), policy
(no faults: order, bands, holds, evictions, limits).
\b
Exit status: 0 nothing was violated, 9 something was, 1 a process died with
its world, 130 interrupted.
"""


@click.command(epilog=EXAMPLES)
@click.option(
    "--seeds",
    type=click.IntRange(1),
    help="How many worlds; 200, or as many as there are minutes for.",
)
@click.option("--first", type=click.IntRange(0), default=0, show_default=True, help="First seed.")
@click.option(
    "--minutes",
    type=click.FloatRange(0, 1e6, min_open=True),
    callback=lambda _, __, value: _finite(value),
    help="Begin none after so long.",
)
@click.option("--jobs", type=click.IntRange(1, 1024), metavar="J", help="Processes.")
@click.option(
    "--profile",
    type=click.Choice(PROFILES),
    default="swarm",
    show_default=True,
    help="Which worlds.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write each kind of failure as a small scenario and a transcript.",
)
@click.option(
    "--shrink-seconds",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    help="How long to make each smaller.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def fuzz(
    *,
    seeds: int | None,
    first: int,
    minutes: float | None,
    jobs: int | None,
    profile: str,
    out: Path | None,
    shrink_seconds: float,
    as_json: bool,
) -> int:
    """Look for a world in which Iris does something that must not be."""
    from sim.export import json_text
    from sim.fuzz import campaign

    _make(out)
    whole = seeds or (_SEEDS if minutes is None else None)
    with Interrupt() as interrupt, Progress("fuzz", None, whole) as progress:
        total = campaign(
            profile,
            range(first, first + (whole or _ENDLESS)),
            processes=min(whole or _ENDLESS, jobs or os.cpu_count() or 1),
            minutes=minutes,
            stop=lambda: interrupt.seen,
            finished=_telling(progress),
        )
        stories = [] if out is None else _stories(total, out, shrink_seconds, interrupt)
    if as_json:
        results = total.results()
        results["stories"] = [[str(path) for path in story.files] for story in stories]
        click.echo(json_text(results), nl=False)
    else:
        click.echo(_text(total, stories), nl=False)
    if total.failures:
        return ExitStatus.INVARIANT_VIOLATED
    if interrupt.seen:
        return ExitStatus.INTERRUPTED
    return ExitStatus.FAILED if total.lost else ExitStatus.DONE


def _telling(progress: Progress) -> "Callable[[Campaign], None]":
    """Tells each failure once, and how far a campaign is."""
    told: set[int] = set()

    def ended(total: "Campaign") -> None:
        for failure in total.failures:
            if failure.seed not in told:
                told.add(failure.seed)
                progress.say(f"seed {failure.seed}: {failure.sentences[0]}")
        progress.ended(total.seeds)

    return ended


def _make(out: Path | None) -> None:
    if out is not None:
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise click.ClickException(f"cannot make {out}: {error.strerror}") from error


def _finite(minutes: float | None) -> float | None:
    if minutes is not None and math.isnan(minutes):
        raise click.BadParameter("nan is no length of time")
    return minutes


def _stories(total: "Campaign", out: Path, seconds: float, interrupt: Interrupt) -> "list[Story]":
    """One of each kind of failure, told."""
    from sim.story import tell

    stories: list[Story] = []
    kinds: dict[str, None] = {}
    for failure in total.failures:
        if failure.kinds[0] in kinds or interrupt.seen or len(kinds) >= _TOLD:
            continue
        kinds[failure.kinds[0]] = None
        stories.append(tell(failure, out, seconds=seconds, stop=lambda: interrupt.seen))
    return stories


def _text(total: "Campaign", stories: "list[Story]") -> str:
    figures = total.results()
    lines = [
        f"profile     {total.profile}",
        f"seeds       {total.seeds:,} in {figures['seconds']} s: {figures['seeds_per_minute']:,} a minute",
        f"simulated   {figures['simulated_hours']:,} h: {figures['simulated_hours_per_second']:,} h a second",
        f"faults      {total.faults:,}; {total.turns:,} turns",
        f"violations  in {len(total.failures)} of {total.seeds:,} worlds",
    ]
    lines += [f"  seed {f.seed}: {f.sentences[0]}" for f in total.failures[:20]]
    if total.lost:
        seeds = ", ".join(str(seed) for seed in sorted(total.lost))
        lines.append(f"lost        seeds {seeds}: their process died; memory may have run out")
    if total.failures and not stories:
        again = f"--profile {total.profile} --first {total.failures[0].seed} --seeds 1 --out DIR"
        lines.append(f"told        by: iris sim fuzz {again}")
    lines += ["", "sometimes"]
    lines += [f"  {name:<48} {count or 'never':>9}" for name, count in total.hits().items()]
    for story in stories:
        if not story.same_again:
            lines.append(f"seed {story.outcome.seed} did NOT fail in the same way again")
        lines += [f"written: {path}" for path in story.files]
    return "\n".join(lines) + "\n"
