"""`iris completion`: what a shell needs to complete the words of `iris`."""

import click


@click.command(
    epilog="""\b
Examples:
  eval "$(iris completion bash)"
  iris completion zsh > ~/.zfunc/_iris
  iris completion fish > ~/.config/fish/completions/iris.fish
"""
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that completes commands and options in a shell."""
    from click.shell_completion import get_completion_class

    from iris.cli.main import root

    kind = get_completion_class(shell)
    assert kind is not None, shell
    # Its own `source` would run bash to ask for the version, which need not be installed here.
    click.echo(kind.source_template % kind(root, {}, "iris", "_IRIS_COMPLETE").source_vars())
