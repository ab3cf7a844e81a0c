"""`iris config`: says what a cluster.yaml means, in numbers, or everything that is wrong with it.

Needs no network and changes nothing. A scenario is accepted, too: it holds a cluster.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from iris.cli.lazy import load
from iris.cli.tables import count

if TYPE_CHECKING:
    from iris.config import ClusterConfig
    from iris.core.spec import ClusterSpec, GroupSpec
    from iris.problems import Finding, Problem
    from iris.yaml_source import Document

SCENARIO_LOADER: Final = "sim.scenario:load_scenario"
"""Named, not imported: only `iris sim` is built on the simulator."""

SCENARIO_KEYS: Final = ("cluster", "workload")
"""A file with one of these at its top is a scenario."""


@dataclass(frozen=True, slots=True)
class Report:
    """What one file says."""

    file: str
    kind: str
    spec: "ClusterSpec"
    warnings: "tuple[Problem, ...]"


@click.group()
def config() -> None:
    """Check a cluster's configuration."""


@config.command(
    epilog="""\b
Examples:
  iris config check cluster.yaml
  iris config check --json clusters/*.yaml
"""
)
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE..."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check(files: tuple[Path, ...], *, as_json: bool) -> None:
    """Say what files of a cluster or a scenario mean, or all that is wrong with them."""
    from iris.problems import BadInput, Problem

    reports: list[Report] = []
    problems: list[Problem] = []
    for path in files:
        try:
            reports.append(_read(path))
        except BadInput as error:
            problems.extend(error.problems)
    if as_json and not problems:
        click.echo(json.dumps(_as_json(reports), indent=2))
    if not as_json:
        for report in reports:
            _print(report)
    if problems:
        raise BadInput(problems)


def _read(path: Path) -> Report:
    """The report about one file, or `BadInput`."""
    from iris.config import read_cluster, spec_suspicions, suspicions
    from iris.yaml_source import load_mapping

    document = load_mapping(path)
    if any(key in document.data for key in SCENARIO_KEYS):
        spec = _scenario_cluster(path)
        warnings = _warnings(document, spec_suspicions(spec), below=("cluster",))
        return Report(str(path), "scenario", spec, warnings)
    cluster = read_cluster(document)
    found = (*suspicions(cluster), *_tls_suspicions(document, cluster))
    return Report(str(path), "cluster", cluster.spec, _warnings(document, found))


def _tls_suspicions(document: "Document", cluster: "ClusterConfig") -> "Iterator[Finding]":
    """Files of TLS that are not here, though they may be where the controller is to run.

    Raises:
        BadInput: they are here, and the key is not the certificate's.
    """
    from iris.cluster.tls_files import NoPair, read_pair
    from iris.problems import BadInput

    controller = cluster.controller
    if controller.tls is None or controller.host is not None:
        return
    try:
        read_pair(controller.tls)
    except NoPair as error:
        if not error.is_absence:
            at, message, help, _ = error.finding
            raise BadInput([document.problem(at, message, help)]) from error
        yield error.finding


def _scenario_cluster(path: Path) -> "ClusterSpec":
    """The cluster of a scenario, after all of the scenario was checked."""
    from iris.core.spec import ClusterSpec

    read = load(SCENARIO_LOADER)
    assert callable(read), SCENARIO_LOADER
    spec = read(path).cluster
    assert isinstance(spec, ClusterSpec), path
    return spec


def _warnings(
    document: "Document", findings: "Sequence[Finding]", *, below: tuple[str, ...] = ()
) -> "tuple[Problem, ...]":
    return tuple(
        document.problem((*below, *found.at), found.message, found.help, at_key=found.at_key)
        for found in findings
    )


def _print(report: Report) -> None:
    """The report for people: a line for each group, then the sums."""
    groups = report.spec.groups
    click.echo(f"{report.file}: a valid {report.kind} of {count(len(groups), 'group')}")
    header = ("GROUP", "TYPE", "HOSTS", "EACH", "SLICES", "AT MOST", "ZONES")
    rows = [header, *(_row(group) for group in groups)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(f"  {'  '.join(cells)}".rstrip())
    click.echo(f"  at most {count(_slices(groups), 'slice')}: {_amounts(groups)}")
    for warning in report.warnings:
        click.echo(warning.render("warning"), err=True)


def _row(group: "GroupSpec") -> tuple[str, ...]:
    unit = _unit(group)
    return (
        group.name,
        group.accelerator_type,
        str(group.hosts),
        count(group.chips, unit),
        f"{group.min_slices} to {group.max_slices}",
        count(group.chips * group.max_slices, unit),
        ", ".join(group.zones),
    )


def _unit(group: "GroupSpec") -> str:
    return "core" if group.accelerator is None else "chip"


def _slices(groups: "Sequence[GroupSpec]") -> int:
    return sum(group.max_slices for group in groups)


def _total(groups: "Sequence[GroupSpec]", unit: str) -> int:
    """Chips or cores of all groups that count in them, at their largest."""
    return sum(group.chips * group.max_slices for group in groups if _unit(group) == unit)


def _dollars_per_hour(groups: "Sequence[GroupSpec]") -> float:
    return sum(group.price_per_hour * group.max_slices for group in groups) / 1_000_000


def _amounts(groups: "Sequence[GroupSpec]") -> str:
    sums = [(_total(groups, unit), unit) for unit in ("chip", "core")]
    parts = [count(total, unit) for total, unit in sums if total] or ["nothing"]
    price = _dollars_per_hour(groups)
    return " and ".join(parts) + (f", {price:,.2f} dollars an hour" if price else "")


def _as_json(reports: Sequence[Report]) -> dict[str, object]:
    items = [_item(report) for report in reports]
    return {"schema": "iris/v1", "kind": "ConfigCheckList", "items": items, "total": len(items)}


def _item(report: Report) -> dict[str, object]:
    groups = report.spec.groups
    return {
        "file": report.file,
        "kind": report.kind,
        "groups": [_group_item(group) for group in groups],
        "max_slices": _slices(groups),
        "max_chips": _total(groups, "chip"),
        "max_cores": _total(groups, "core"),
        "max_dollars_per_hour": _dollars_per_hour(groups),
        "warnings": [asdict(warning) for warning in report.warnings],
    }


def _group_item(group: "GroupSpec") -> dict[str, object]:
    return {
        "name": group.name,
        "accelerator_type": group.accelerator_type,
        "hosts": group.hosts,
        "unit": _unit(group),
        "units_per_slice": group.chips,
        "min_slices": group.min_slices,
        "max_slices": group.max_slices,
        "zones": list(group.zones),
        "host": group.host._asdict(),
    }
