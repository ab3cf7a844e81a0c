"""`--watch`: show again and again, until there is nothing more to come."""

import contextlib
import functools
import io
import json
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import click

EVERY_S: Final = 1.0
_LONGEST_S: Final = 10.0


def watchable(command: Callable[..., bool | None]) -> Callable[..., None]:
    """Give a command `-w`. It prints what is now, and returns true once that will not change any more.

    On a terminal each picture takes the place of the last. In a pipe one follows the other when
    something has changed; with `--json` each is one line. While the controller is away, the command
    waits, and says so once.
    """

    @click.option("-w", "--watch", "watching", is_flag=True, help="Show it again as it changes.")
    @functools.wraps(command)
    def run(*arguments: Any, watching: bool, **named: Any) -> None:
        if watching:
            _watch(lambda: command(*arguments, **named), as_json=bool(named.get("as_json")))
        else:
            command(*arguments, **named)

    return run


def _watch(show: Callable[[], bool | None], *, as_json: bool) -> None:
    from iris.rpc.errors import RemoteError

    last: str | None = None
    pause = EVERY_S
    while True:
        shown = io.StringIO()
        over: bool | None = False
        try:
            with contextlib.redirect_stdout(shown):
                over = show()
        except RemoteError as error:
            if not error.is_passing:
                raise
            if pause == EVERY_S:
                click.echo(f"waiting: {error}", err=True)
            pause = min(2 * pause, _LONGEST_S)
        else:
            pause = EVERY_S
            text = shown.getvalue()
            if text != last:
                _draw(json.dumps(json.loads(text)) + "\n" if as_json else text, as_json=as_json)
            last = text
        if over:
            return
        time.sleep(pause)


def _draw(text: str, *, as_json: bool) -> None:
    if sys.stdout.isatty() and not as_json:
        click.clear()
    click.echo(text, nl=False)
    sys.stdout.flush()
