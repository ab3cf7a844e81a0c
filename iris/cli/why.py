"""`iris job why` and `iris job events`: what a job waits for, when it is likely to start, what happened to it."""

from pathlib import Path
from typing import Final

import click

from iris.cli.connect import client, controller_options, job_argument, named
from iris.cli.events import events_of
from iris.cli.tables import print_object
from iris.exit_status import ExitStatus
from iris.rpc.kinds import explanation

FUTURES: Final = 50
HORIZON: Final = "7d"


@click.command(
    epilog="\b\nExamples:\n  iris job why /alice/train\n  iris job why /alice/train --when\n"
)
@controller_options
@job_argument("id")
@click.option("--when", is_flag=True, help="Say when it is likely to start.")
@click.option(
    "--futures",
    type=click.IntRange(1, 10_000),
    default=FUTURES,
    show_default=True,
    help="With --when: how often the cluster is run forward.",
)
@click.option(
    "--horizon",
    default=HORIZON,
    show_default=True,
    metavar="DURATION",
    help="With --when: how far it is looked ahead.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def why(
    id: str,
    controller_url: str | None,
    config: Path | None,
    when: bool,
    futures: int,
    horizon: str,
    as_json: bool,
) -> int:
    """Say why a job waits, or how it ended; with --when, when it is likely to start."""
    iris = client(controller_url, config)
    found = named(iris, id)
    if when:
        from iris.cli.forecasts import effort, say
        from iris.client.forecasts import image_of, start_of

        start = start_of(image_of(iris.channel), found.id, effort(futures, horizon))
        return say(start, as_json=as_json)
    told = found.explain()
    if as_json:
        print_object("Explanation", explanation(told))
        return ExitStatus.DONE
    for sentence in told.sentences:
        click.echo(sentence)
    return ExitStatus.DONE


events = events_of(
    "job",
    "/alice/train",
    "/alice/train --journal iris-data",
    argument=job_argument("id"),
)
