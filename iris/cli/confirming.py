"""The question before something ends: yes goes on, no says that nothing was done."""

import click

from iris.exit_status import ExitStatus


def confirm(what: str) -> None:
    """Ask on stderr.

    Raises:
        Failure: the answer is no.
    """
    from iris.problems import Failure

    if not click.confirm(what, err=True):
        raise Failure(
            "nothing was done: the answer was no", ExitStatus.BAD_INPUT, "answer y, or say --yes"
        )
