"""`iris sim compare`: two scenarios, or one with two settings, under the same seeds.

stdout holds the comparison and nothing else. What an expectation says does not matter here: both
sides are told as they are.
"""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from iris.cli.sim import Interrupt, Request, folder_option, runs_of
from iris.exit_status import ExitStatus

if TYPE_CHECKING:
    from sim.study import Run

EXAMPLES: Final = """\b
Examples:
  iris sim compare today.yaml tomorrow.yaml
  iris sim compare a.yaml a.yaml --set-b cluster.scale_groups.tpu.max_slices=16
  iris sim compare a.yaml b.yaml --replications 40 --jobs 2 --json
  iris sim compare a.yaml b.yaml --out compared/
\b
Exit status: 0 done, 9 an invariant was violated (no number can be trusted),
2 a scenario is wrong, 130 interrupted.
"""


@click.command(epilog=EXAMPLES)
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.option("--seed", type=click.IntRange(min=0), help="The first seed, not that of A.")
@click.option("--set", "both", multiple=True, metavar="KEY=VALUE", help="Change a key in both.")
@click.option("--set-a", "only_a", multiple=True, metavar="KEY=VALUE", help="Only in A.")
@click.option("--set-b", "only_b", multiple=True, metavar="KEY=VALUE", help="Only in B.")
@click.option(
    "--replications",
    type=click.IntRange(2, 100_000),
    default=10,
    show_default=True,
    metavar="K",
    help="Pairs of runs, with K seeds in a row.",
)
@click.option("--jobs", type=click.IntRange(1, 1024), metavar="N", help="Processes.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@folder_option("Write the comparison and a page about it into this folder.")
def compare(
    a: Path,
    b: Path,
    *,
    seed: int | None,
    both: tuple[str, ...],
    only_a: tuple[str, ...],
    only_b: tuple[str, ...],
    replications: int,
    jobs: int | None,
    as_json: bool,
    out: Path | None,
) -> int:
    """Run two scenarios under the same seeds, and tell how their figures differ."""
    if any(word.partition("=")[0].strip() == "seed" for word in (*both, *only_a, *only_b)):
        raise click.UsageError("both sides run under the same seeds: say --seed instead of --set")
    first = Request(a, seed, (*both, *only_a), as_json, out, replications, jobs)
    second = Request(b, seed, (*both, *only_b), as_json, out, replications, jobs)
    return _compare(first, second)


def _compare(first: Request, second: Request) -> ExitStatus:
    from dataclasses import replace

    from sim.compare import comparison, comparison_text
    from sim.export import json_text, prepare_directory
    from sim.scenario import load_scenario
    from sim.suspicions import suspicions

    before = load_scenario(first.path, seed=first.seed, overrides=first.overrides)
    after = load_scenario(second.path, seed=before.seed, overrides=second.overrides)
    for side, scenario in (("A", before), ("B", after)):
        for sentence in suspicions(scenario):
            click.echo(f"warning: {side}: {sentence}", err=True)
    if first.out is not None:
        prepare_directory(first.out)
    with Interrupt() as interrupt:
        sides = [
            runs_of(request, scenario, interrupt)
            for request, scenario in ((first, before), (replace(second, seed=before.seed), after))
        ]
    if interrupt.seen:
        click.echo("interrupted before all pairs had ended: there is no comparison", err=True)
        return ExitStatus.INTERRUPTED
    results = [[run.results for run in runs] for runs in sides]
    names = (_name(first, before.name), _name(second, after.name))
    if first.out is not None:
        _write(first.out, names, sides, _command(first, second, before.seed))
    if first.as_json:
        click.echo(json_text(comparison(results[0], results[1])), nl=False)
    else:
        click.echo(comparison_text(results[0], results[1], names), nl=False)
        if first.out is not None:
            click.echo(f"report: {first.out / 'report.html'}")
    return _status(results)


def _write(
    directory: Path, names: tuple[str, str], sides: "Sequence[Sequence[Run]]", command: str
) -> None:
    from sim.compare_export import Side, write_comparison

    first, second = (
        Side(
            name,
            [run.results for run in runs],
            [run.measures for run in runs if run.measures is not None],
        )
        for name, runs in zip(names, sides, strict=True)
    )
    write_comparison(directory, first, second, command)


def _command(first: Request, second: Request, seed: int) -> str:
    """The command line that gives the same comparison again."""
    words = ["iris", "sim", "compare", str(first.path), str(second.path), "--seed", str(seed)]
    for option, request in (("--set-a", first), ("--set-b", second)):
        for change in request.overrides:
            words += [option, change]
    return shlex.join([*words, "--replications", str(first.replications)])


def _name(request: Request, scenario: str) -> str:
    """A scenario with what was changed in it."""
    return " ".join([scenario, *(f"--set {change}" for change in request.overrides)])


def _status(results: list[list[dict[str, object]]]) -> ExitStatus:
    """Whether the numbers can be trusted."""
    violated = False
    for invariants in (run["invariants"] for runs in results for run in runs):
        assert isinstance(invariants, Mapping), invariants
        violated = violated or bool(invariants["violated"])
    if not violated:
        return ExitStatus.DONE
    click.echo("an invariant was violated: trust no number; see `iris sim`", err=True)
    return ExitStatus.INVARIANT_VIOLATED
