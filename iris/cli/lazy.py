"""A group of commands that imports a command only when it runs, so that `--help` stays quick.

What `--help` prints of a command stands here, beside its import path; a test holds both together.
"""

import importlib
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

import click


class Lazy(NamedTuple):
    """Where a command lives, and its line in the help of the group above it."""

    path: str
    """`package.module:name`."""
    help: str


class LazyGroup(click.Group):
    """A group whose commands are named by import path."""

    lazy: Mapping[str, Lazy] = {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands, loaded or not, in the order of the table."""
        return [*self.lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now; None when there is none."""
        entry = self.lazy.get(cmd_name)
        return super().get_command(ctx, cmd_name) if entry is None else load_command(entry.path)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but the hint for a wrong name knows the commands that are not loaded."""
        name = args[0]
        if name.startswith("-") or self.get_command(ctx, name) is not None:
            return super().resolve_command(ctx, args)
        names = self.list_commands(ctx)
        nearest = get_close_matches(name, names, n=1)
        hint = f". Did you mean {nearest[0]!r}?" if nearest else f"; there is {', '.join(names)}"
        raise click.UsageError(f"No such command {name!r}{hint}", ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands out of the table, without importing any."""
        rows = [(name, entry.help) for name, entry in self.lazy.items()]
        for name in super().list_commands(ctx):
            command = self.commands[name]
            rows.append((name, command.get_short_help_str(formatter.width)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class CommandWithVerbs(click.Command):
    """A command that is also a group: its first word may be a verb, and else is its argument.

    A file that is called like a verb is reached as `./verb`.
    """

    verbs: Mapping[str, Lazy] = {}

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """The context of the verb that the words begin with, or of the command itself."""
        verb = self.verbs.get(args[0]) if args else None
        if verb is None:
            return super().make_context(info_name, args, parent, **extra)
        command = load_command(verb.path)
        return command.make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options, and below them the verbs, without importing any."""
        super().format_options(ctx, formatter)
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in self.verbs.items()])


def load_command(path: str) -> click.Command:
    """The command that an import path names."""
    command = load(path)
    assert isinstance(command, click.Command), path
    return command


def load(path: str) -> object:
    """What `package.module:name` names."""
    module, _, name = path.partition(":")
    found: object = getattr(importlib.import_module(module), name)
    return found
