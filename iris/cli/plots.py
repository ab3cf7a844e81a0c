"""Whether pictures can be drawn of a run: asked before a long one."""

from pathlib import Path

import click

from iris.exit_status import ExitStatus
from iris.problems import Failure


def check_plots(out: Path | None, *, can_draw: bool) -> None:
    """Refuses, before a long run, what could not be drawn.

    Raises:
        click.UsageError: there is no folder for them.
        Failure: what draws is not installed.
    """
    if out is None:
        raise click.UsageError("--plots goes with --out DIR: the pictures go into DIR/plots")
    if not can_draw:
        raise Failure(
            "--plots needs altair and vl-convert, which are not installed",
            ExitStatus.BAD_INPUT,
            "pip install 'iris-orchestrator[report]'",
        )
