"""`iris job`: run a command on the cluster, follow it, find out how it went and why it waits."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from iris.cli.connect import channel, client, controller_options, job_argument, named
from iris.cli.tables import age, print_list, print_object, print_table
from iris.cli.told import print_status, progress, say_end
from iris.cli.trees import Line, in_a_row, in_trees
from iris.cli.watch import watchable
from iris.cli.why import FUTURES, HORIZON, events, why
from iris.exit_status import ExitStatus
from iris.rpc import kinds_cluster

if TYPE_CHECKING:
    from iris.client import IrisClient, Job
    from iris.client.client import Asked
    from iris.cluster.types import Device, Entrypoint, EnvironmentSpec, ResourceSpec

BANDS = ("production", "interactive", "batch")


@click.group()
def job() -> None:
    """Run jobs, follow them, and say why they wait."""


@job.command(
    epilog="""\b
Examples:
  iris job run -- python train.py
  iris job run --tpu v5litepod-16 --replicas 4 --coscheduled --workspace . -- python train.py
  iris job run --no-wait --name nightly --band batch -- make all
  iris job run --plan --tpu v5litepod-16 -- python train.py
"""
)
@controller_options
@click.argument("command", nargs=-1, required=True, metavar="-- COMMAND...")
@click.option("--name", help="Unique among your jobs; made of the command if not given.")
@click.option("--cpu", default="1", show_default=True, help="Cores of each task.")
@click.option("--memory", default="1GB", show_default=True, help="Memory of each task.")
@click.option("--disk", default="0", help="Disk of each task.")
@click.option("--tpu", metavar="TYPE", help="A TPU type, as v5litepod-16.")
@click.option("--gpu", metavar="TYPE:N", help="GPUs of one machine, as H100:8.")
@click.option("--replicas", type=click.IntRange(1), default=1, help="How many tasks.")
@click.option("--coscheduled", is_flag=True, help="All tasks at once on one slice, or none.")
@click.option("--band", type=click.Choice(BANDS), default="interactive", show_default=True)
@click.option("--timeout", help="A task that runs longer has failed, as 2h.")
@click.option("--checkpoint-every", metavar="SPAN", help="How often a task saves, as 10m.")
@click.option("--env", "env", multiple=True, metavar="K=V", help="A variable; may be repeated.")
@click.option("--pip", multiple=True, metavar="PACKAGE", help="A package; may be repeated.")
@click.option("--workspace", type=click.Path(path_type=Path), help="A folder to take along.")
@click.option("--max-retries-failure", type=click.IntRange(0), default=0)
@click.option("--max-retries-preemption", type=click.IntRange(0), default=100)
@click.option("--plan", is_flag=True, help="Say when it would start, and submit nothing.")
@click.option("--no-wait", is_flag=True, help="Print the job's id and return.")
@click.option("--stop-on-exit", is_flag=True, help="Stop the job on Ctrl-C, instead of detaching.")
@click.option("--json", "as_json", is_flag=True, help="Print the ended job as JSON.")
def run(
    command: tuple[str, ...],
    controller_url: str | None,
    config: Path | None,
    name: str | None,
    cpu: str,
    memory: str,
    disk: str,
    tpu: str | None,
    gpu: str | None,
    replicas: int,
    coscheduled: bool,
    band: str,
    timeout: str | None,
    checkpoint_every: str | None,
    env: tuple[str, ...],
    pip: tuple[str, ...],
    workspace: Path | None,
    max_retries_failure: int,
    max_retries_preemption: int,
    plan: bool,
    no_wait: bool,
    stop_on_exit: bool,
    as_json: bool,
) -> int:
    """Submit a command, follow its output, and end with the job's status."""
    entrypoint = _entrypoint(command)
    asked: Asked = {
        "resources": _resources(cpu, memory, disk, _device(tpu, gpu)),
        "environment": _environment(env, pip),
        "replicas": replicas,
        "coscheduled": coscheduled,
        "band": band,
        "timeout": timeout,
        "checkpoint_every": checkpoint_every,
        "max_retries_failure": max_retries_failure,
        "max_retries_preemption": max_retries_preemption,
    }
    with client(controller_url, config, workspace) as iris:
        if plan:
            return _plan(iris, entrypoint, name, asked, as_json=as_json)
        submitted = iris.submit(entrypoint, name, **asked)
        return _go_on(submitted, wait=not no_wait, stop_on_exit=stop_on_exit, as_json=as_json)


def _plan(
    iris: "IrisClient",
    entrypoint: "Entrypoint",
    name: str | None,
    asked: "Asked",
    *,
    as_json: bool,
) -> ExitStatus:
    from iris.cli.forecasts import effort, say

    start = iris.plan(entrypoint, name, effort=effort(FUTURES, HORIZON), **asked)
    return say(start, as_json=as_json)


def _go_on(job: "Job", *, wait: bool, stop_on_exit: bool, as_json: bool) -> int:
    if wait:
        return _follow(job, stop_on_exit=stop_on_exit, as_json=as_json)
    if as_json:
        print_object("Job", {"id": job.id})
    else:
        click.echo(job.id)
    return ExitStatus.DONE


def _follow(job: "Job", *, stop_on_exit: bool, as_json: bool) -> int:
    from iris.cli.follow import follow, say_detached
    from iris.client.errors import END_STATUS

    click.echo(f"submitted {job.id}", err=True)
    try:
        ended = follow(job, to_stderr=as_json)
    except (KeyboardInterrupt, BrokenPipeError) as error:
        if stop_on_exit:
            job.terminate()
            click.echo(f"\nstopped {job.id}", err=True)
        else:
            say_detached(job)
        if isinstance(error, BrokenPipeError):
            raise
        return ExitStatus.INTERRUPTED
    if as_json:
        print_object("Job", kinds_cluster.job(ended))
    say_end(ended)
    return END_STATUS[ended.state]


def _entrypoint(command: tuple[str, ...]) -> "Entrypoint":
    from iris.cluster.types import Entrypoint

    return Entrypoint.from_command(*command)


def _resources(cpu: str, memory: str, disk: str, device: "Device | None") -> "ResourceSpec":
    from iris.cluster.types import ResourceSpec

    return ResourceSpec(cpu, memory, disk, device)


def _environment(env: tuple[str, ...], pip: tuple[str, ...]) -> "EnvironmentSpec":
    from iris.cluster.types import EnvironmentSpec

    return EnvironmentSpec(_variables(env), pip)


def _variables(env: tuple[str, ...]) -> dict[str, str]:
    pairs = [word.partition("=") for word in env]
    for word, (name, equals, _) in zip(env, pairs, strict=True):
        if not name:
            raise click.BadParameter(f"{word!r} names no variable; write --env NAME=VALUE")
        if not equals:
            raise click.BadParameter(f"{name!r} has no value; write --env NAME=VALUE")
    return {name: value for name, _, value in pairs}


def _device(tpu: str | None, gpu: str | None) -> "Device | None":
    from iris.cluster.types import gpu_device, tpu_device

    if tpu is not None and gpu is not None:
        raise click.UsageError("--tpu and --gpu: a task has one kind of accelerator")
    try:
        if tpu is not None:
            return tpu_device(tpu)
        if gpu is not None:
            kind, _, count = gpu.partition(":")
            if count and not count.isdecimal():
                raise click.BadParameter(f"--gpu {gpu!r}: write a kind and a number, as H100:8")
            return gpu_device(kind, int(count or "1"))
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    return None


@job.command(
    "list",
    epilog="\b\nExamples:\n  iris job list\n  iris job list --state running --json\n"
    "  iris job list --tree --name nightly\n",
)
@controller_options
@click.option("--user", help="Only this user's.")
@click.option("--state", help="Only those in this state.")
@click.option("--name", default="", help="Only those with this in their path.")
@click.option("--since", metavar="DURATION", help="Only those submitted in the last 2h, say.")
@click.option("--limit", type=click.IntRange(1, 1_000), default=50, show_default=True)
@click.option("--tree", is_flag=True, help="Show jobs below their parents, which are shown, too.")
@click.option("-q", "quiet", is_flag=True, help="Ids only.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@watchable
def list_(
    controller_url: str | None,
    config: Path | None,
    user: str | None,
    state: str | None,
    name: str,
    since: str | None,
    limit: int,
    tree: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Show the newest jobs."""
    from iris.rpc import iris_pb2 as pb
    from iris.rpc.methods import LIST_JOBS
    from iris.units import parse_duration

    request = pb.ListJobsRequest(user=user or "", state=state or "", name=name, limit=limit)
    if since is not None:
        request.since_ms = max(0, int(time.time() * 1_000) - parse_duration(since))
    request.above = tree
    answer = channel(controller_url, config).call(LIST_JOBS, request)
    lines = in_trees(answer.jobs, answer.above) if tree else in_a_row(answer.jobs)
    if as_json:
        items = [kinds_cluster.job(line.job) | line.told() for line in lines]
        print_list("Job", items, answer.total)
        return
    if quiet:
        click.echo("".join(f"{line.job.id}\n" for line in lines), nl=False)
        return
    _print_lines(lines)
    if answer.total > len(answer.jobs):
        click.echo(f"{len(answer.jobs)} of {answer.total} jobs; see --limit", err=True)


def _print_lines(lines: list[Line]) -> None:
    rows = [
        (
            line.label,
            line.job.state,
            progress(line.job),
            line.job.band,
            age(line.job.submitted_at_ms),
            line.job.why,
        )
        for line in lines
    ]
    header = ("JOB", "STATE", "TASKS", "BAND", "AGE", "WHY")
    print_table(header, rows, spare=("WHY", "BAND", "TASKS"))


@job.command(
    epilog="\b\nExamples:\n  iris job status /alice/train\n  iris job status /alice/train --json\n"
)
@controller_options
@job_argument("id")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@watchable
def status(id: str, controller_url: str | None, config: Path | None, as_json: bool) -> int | None:
    """Show a job with its tasks and their attempts."""
    found = client(controller_url, config).job(id).status()
    if as_json:
        print_object("Job", kinds_cluster.job(found))
    else:
        print_status(found)
    return ExitStatus.DONE if found.HasField("ended_at_ms") else None


@job.command(
    epilog="\b\nExamples:\n  iris job logs /alice/train -f\n  iris job logs /alice/train --task 3\n"
)
@controller_options
@job_argument("id")
@click.option("--task", "index", type=click.IntRange(0), help="Only this task; all if not given.")
@click.option("--attempt", type=click.IntRange(0), help="This attempt; the last if not given.")
@click.option("-f", "--follow", "follow_", is_flag=True, help="To the end of the job.")
@click.option("--tail", type=click.IntRange(1), metavar="LINES", help="Only the end.")
def logs(
    id: str,
    controller_url: str | None,
    config: Path | None,
    index: int | None,
    attempt: int | None,
    follow_: bool,
    tail: int | None,
) -> None:
    """Show what a job's tasks have written."""
    from iris.cli.follow import print_logs
    from iris.client.printing import Part
    from iris.problems import Failure

    tasks = named(client(controller_url, config), id).tasks()
    if index is not None and index >= len(tasks):
        message = f"job {id} has no task {index}, only 0 to {len(tasks) - 1}"
        raise Failure(message, ExitStatus.NOT_FOUND)
    chosen = tasks if index is None else [tasks[index]]
    print_logs(chosen, Part(attempt, tail or 0, follow=follow_))


@job.command(epilog="\b\nExamples:\n  iris job stop /alice/train\n")
@controller_options
@job_argument("ids", many=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def stop(
    ids: tuple[str, ...], controller_url: str | None, config: Path | None, as_json: bool
) -> None:
    """Stop jobs, each with everything below it."""
    iris = client(controller_url, config)
    stopped: list[Mapping[str, object]] = []
    for id in ids:
        found = named(iris, id)
        found.terminate()
        click.echo(f"stopping {found.id}", err=True)
        stopped.append({"id": found.id})
    if as_json:
        print_list("Job", stopped)


@job.command(epilog="\b\nExamples:\n  iris job wait /alice/train --timeout 2h\n")
@controller_options
@job_argument("ids", many=True)
@click.option("--timeout", help="For all of them together, as 2h; no limit if not given.")
@click.option("--json", "as_json", is_flag=True, help="Print the ended jobs as one JSON object.")
def wait(
    ids: tuple[str, ...],
    controller_url: str | None,
    config: Path | None,
    timeout: str | None,
    as_json: bool,
) -> int:
    """Wait for jobs to end; end with the worst result."""
    from iris.client.errors import END_STATUS
    from iris.units import parse_duration

    iris = client(controller_url, config)
    end = None if timeout is None else time.monotonic() + parse_duration(timeout) / 1_000
    worst = ExitStatus.DONE
    found: list[Mapping[str, object]] = []
    for id in ids:
        left = None if end is None else max(0.0, end - time.monotonic())
        ended = named(iris, id).wait(left)
        say_end(ended)
        found.append(kinds_cluster.job(ended))
        worst = max(worst, END_STATUS[ended.state])
    if as_json:
        print_list("Job", found)
    return worst


job.add_command(why)
job.add_command(events)
