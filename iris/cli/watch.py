"""`--watch`: shows the same again and again, until it is over or Ctrl-C."""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, TypeVar, cast

import click

from iris.exit_status import ExitStatus

_F = TypeVar("_F", bound=Callable[..., Any])

EVERY_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 10.0
_KEY: Final = "iris.watching"


def watchable(command: _F) -> _F:
    """Gives a command that shows something `--watch`; it is over when the command returns a status."""

    @wraps(command)
    def shown(*arguments: Any, watching: bool, **named: Any) -> Any:
        if not watching:
            return command(*arguments, **named)
        click.get_current_context().meta[_KEY] = True
        return _again(lambda: command(*arguments, **named))

    option = click.option(
        "-w", "--watch", "watching", is_flag=True, help="Show it again and again, until Ctrl-C."
    )
    return cast("_F", option(shown))  # A command for click, whatever its arguments.


def is_watching() -> bool:
    """Whether the command that runs is shown again and again: then each JSON object is one line."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_KEY))


def _again(show: Callable[[], object]) -> object:
    from iris.problems import Failure

    seen, pause = False, EVERY_S
    while True:
        if seen:
            click.clear()  # On a terminal; elsewhere it does nothing.
        try:
            over = show()
        except Failure as error:
            if not seen or error.status is not ExitStatus.UNREACHABLE:
                raise
            if pause == EVERY_S:
                click.echo(f"{error}; trying again until it answers", err=True)
            pause = min(2 * pause, _LONGEST_PAUSE_S)
        else:
            seen, pause = True, EVERY_S
            if over is not None:
                return over
        time.sleep(pause)
