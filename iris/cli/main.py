"""`iris`: the root of all commands, and the one place where an error becomes an exit status.

Imports click and nothing else that is heavy. A command raises; what is printed, where, and with
which status is decided here: the user's mistakes in full sentences, Iris's own as a file.
"""

import errno
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from iris import __version__
from iris.cli.lazy import Lazy, LazyGroup
from iris.exit_status import ExitStatus

if TYPE_CHECKING:
    from iris.problems import BadInput

COMMANDS: Final = {
    "sim": Lazy("iris.cli.sim:sim", "Simulate a scenario against the fake cloud."),
    "config": Lazy("iris.cli.config:config", "Check a cluster's configuration."),
    "job": Lazy("iris.cli.job:job", "Run jobs, follow them, and say why they wait."),
    "task": Lazy("iris.cli.task:task", "Look at a job's tasks and their logs."),
    "slice": Lazy(
        "iris.cli.events:slices",
        "Say what happened to a slice.",
    ),
    "worker": Lazy("iris.cli.worker:worker", "Look at workers, and take them out of use."),
    "endpoint": Lazy("iris.cli.endpoint:endpoint", "Look at actors and whatever else tasks serve."),
    "cluster": Lazy("iris.cli.cluster:cluster", "Run a cluster, and look at its machines."),
    "build": Lazy("iris.cli.build:build", "Build the images of workers and of the controller."),
    "doctor": Lazy(
        "iris.cli.doctor:doctor",
        "Look whether a cluster can work, and say what to correct.",
    ),
    "completion": Lazy(
        "iris.cli.completion:completion",
        "Print the script that completes commands and options in a shell.",
    ),
}

EXAMPLES: Final = """\b
Examples:
  iris config check cluster.yaml
  iris sim scenario.yaml --seed 7
  iris job run -- python train.py
  iris sim -h
"""


class Root(LazyGroup):
    """All nouns."""

    lazy = COMMANDS


@click.group(
    cls=Root,
    epilog=EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="iris")
@click.option(
    "--traceback", is_flag=True, expose_value=False, help="Show where a bug in Iris happened."
)
def root() -> None:
    """Run Python jobs on fleets of accelerators that come and go."""


@dataclass(frozen=True, slots=True)
class Style:
    """How errors are told. Read off the words, because bad words are an error, too."""

    words: tuple[str, ...]
    as_json: bool
    debugging: bool

    @staticmethod
    def of(words: Sequence[str]) -> "Style":
        """What the words ask for; those behind a `--` are another command's."""
        own = words[: words.index("--")] if "--" in words else words
        debugging = "--traceback" in own or os.environ.get("IRIS_DEBUG", "") not in ("", "0")
        return Style(tuple(words), as_json="--json" in own, debugging=debugging)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if sys.stdout is None or sys.stderr is None:  # The shell closed them: there is nobody to tell.
        return ExitStatus.FAILED
    try:
        status = _run(words, Style.of(words))
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has seen enough; Python would complain once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitStatus.FAILED
    return status


def _run(words: list[str], style: Style) -> int:
    """Run a command line; every exception but a closed pipe becomes a status."""
    try:
        result = root.main(words, prog_name="iris", standalone_mode=False)
    except click.Abort as error:
        return _aborted(error, style)
    except click.ClickException as error:
        return _usage_error(error, style)
    except BrokenPipeError:
        raise
    # This is the end of every command: what is left is a bad file, the system's refusal, or a bug.
    except Exception as error:  # noqa: BLE001
        if isinstance(error, RuntimeError) and sys.stdin is None:  # What input() makes of that.
            return _unanswered(style)
        return _failed(error, style)
    return result if isinstance(result, int) else ExitStatus.DONE


def _aborted(error: click.Abort, style: Style) -> ExitStatus:
    """Ctrl-C, or a question that nobody could answer."""
    if any(isinstance(cause, EOFError) for cause in (error.__cause__, error.__context__)):
        return _unanswered(style)
    return ExitStatus.INTERRUPTED


def _unanswered(style: Style) -> ExitStatus:
    remedy = "confirm with an option; see -h"
    _say(style, "usage", "no answer: standard input is closed", remedy)
    return ExitStatus.BAD_INPUT


def _usage_error(error: click.ClickException, style: Style) -> int:
    """A command line that click refused."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return error.exit_code
    message, _, nearest = error.format_message().partition(" Did you mean ")
    message = message[:1].lower() + message[1:].rstrip(".")
    if context is None:
        _say(style, "usage", message, "")
        return error.exit_code
    usage = context.get_usage().replace("Usage: ", "usage: ")
    remedy = f"did you mean {nearest}" if nearest else f"see `{context.command_path} -h`"
    _say(style, "usage", message, remedy, cause=usage)
    return error.exit_code


def _failed(error: Exception, style: Style) -> ExitStatus:
    """What a command could not do."""
    from iris.problems import BadInput, Failure
    from iris.units import BadQuantity

    if isinstance(error, BadInput):
        _say_bad_input(error, style)
        return ExitStatus.BAD_INPUT
    if isinstance(error, Failure):
        _say(style, error.status.name.lower(), str(error), error.help)
        return error.status
    if isinstance(error, BadQuantity):
        _say(style, "bad_input", error.message, error.help)
        return ExitStatus.BAD_INPUT
    import traceback

    trace = "".join(traceback.format_exception(error))
    if style.debugging:
        click.echo(trace, err=True, nl=False)
    if isinstance(error, OSError) and (error.filename is not None or error.errno == errno.ENOSPC):
        where = error.filename if error.filename is not None else "the output"
        message = f"{where}: {(error.strerror or str(error)).lower()}"
        _say(style, "os", message, "check the path, its permissions and the space that is left")
        return ExitStatus.FAILED
    _say_bug(error, trace, style)
    return ExitStatus.BUG


def _say_bad_input(error: "BadInput", style: Style) -> None:
    if not style.as_json:
        click.echo(error.render(), err=True)
        return
    import dataclasses

    problems = [dataclasses.asdict(problem) for problem in error.problems]
    _say_json("bad_input", str(error), error.problems[0].help, {"problems": problems})


def _say_bug(error: Exception, trace: str, style: Style) -> None:
    """A bug is ours: the traceback goes to a file that can be sent to us."""
    import tempfile

    version = f"iris {__version__}, Python {sys.version}, {sys.platform}"
    with tempfile.NamedTemporaryFile(
        "w", prefix="iris-bug-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        file.write(f"{version}\niris {' '.join(style.words)}\n\n{trace}")
    message = f"a bug in Iris: {type(error).__name__}: {error}"
    _say(style, "bug", message, f"report it with {file.name}")


def _say(style: Style, code: str, message: str, remedy: str, *, cause: str = "") -> None:
    """An error for people, or with `--json` for programs; on stderr, for stdout is the result."""
    if style.as_json:
        _say_json(code, message, remedy, {})
        return
    lines = [f"error: {message}", cause, f"help:  {remedy}" if remedy else ""]
    click.echo("\n".join(line for line in lines if line), err=True)


def _say_json(code: str, message: str, hint: str, details: dict[str, object]) -> None:
    import json

    error = {"code": code, "message": message, "hint": hint, "details": details}
    click.echo(json.dumps({"error": error}), err=True)
