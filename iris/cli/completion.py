"""`iris completion`: what a shell needs to complete commands, options and the ids of jobs."""

import click

SHELLS = ("bash", "zsh", "fish")
EXAMPLES = """\b
Examples:
  iris completion bash > ~/.local/share/bash-completion/completions/iris
  iris completion zsh > ~/.zfunc/_iris
  iris completion fish > ~/.config/fish/completions/iris.fish
"""


@click.command(epilog=EXAMPLES)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print a script that makes a shell complete iris commands."""
    from click.shell_completion import get_completion_class

    from iris.cli.main import root

    kind = get_completion_class(shell)
    assert kind is not None, shell
    click.echo(kind(root, {}, "iris", "_IRIS_COMPLETE").source())
