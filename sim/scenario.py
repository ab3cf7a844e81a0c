"""Reads a scenario: the file with its overrides, held against its form, its cluster and its traces.

`cluster:` is a production config, in place or as the path of one, and is read by production's own
loader. All that is wrong is told at once, each thing at its line; nothing here draws or simulates.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from hashlib import sha256
from pathlib import Path
from typing import Final

from iris.config import ClusterModel, to_cluster_spec
from iris.core.ids import Zone
from iris.core.instant import Instant
from iris.core.spec import ClusterSpec
from iris.problems import BadInput, Problem, one_of
from iris.yaml_source import Document, load_mapping, parse_mapping, validate
from sim.expect import parse_expectation
from sim.model import Expectation, Fault, FaultKind, Fidelity, Scenario
from sim.protocol_model import ControllerModel, NetworkModel, RuntimeModel
from sim.scenario_cluster import Checked
from sim.scenario_entries import entries
from sim.scenario_machines import cloud_model
from sim.scenario_models import FaultForm, ScenarioForm

_CLUSTER: Final = "cluster"


def load_scenario(
    path: Path, *, seed: int | None = None, overrides: Sequence[str] = ()
) -> Scenario:
    """The scenario in the file, or `BadInput` with everything that is wrong with it.

    An override is `KEY=VALUE`: a dotted key, a workload entry by its name or its number, and a
    value in YAML. `scale_groups.cpu.max_slices` is short for the same key of `cluster`.
    """
    return scenario_in(load_document(path, overrides), path, seed=seed)


def load_document(path: Path, overrides: Sequence[str] = ()) -> Document:
    """What the file says with its cluster and the overrides in place, or `BadInput`; else unchecked."""
    document = load_mapping(path)
    _apply(document, path, overrides)
    return document


def scenario_of(text: str, path: Path, *, seed: int | None = None) -> Scenario:
    """The scenario that a text says, or `BadInput`; `path` is where it would stand."""
    return scenario_in(parse_mapping(text, path.name), path, seed=seed)


def scenario_in(document: Document, path: Path, *, seed: int | None = None) -> Scenario:
    """The scenario that a document holds, or `BadInput` with everything that is wrong with it."""
    form = validate(document, ScenarioForm)
    checked = Checked(document, path.parent, to_cluster_spec(form.cluster))
    scenario = Scenario(
        name=form.name or path.stem,
        seed=form.seed if seed is None else seed,
        duration=form.duration,
        warm_up=form.warm_up,
        cluster=checked.cluster,
        cloud=cloud_model(form.cloud, checked),
        workload=entries(form, checked),
        faults=tuple(
            _fault(fault, index, checked, document) for index, fault in enumerate(form.faults)
        ),
        expect=tuple(_expectations(form.expect, checked)),
        fidelity=Fidelity(form.fidelity),
        network=NetworkModel() if form.network is None else form.network.made(),
        runtime=RuntimeModel() if form.runtime is None else form.runtime.made(),
        controller=ControllerModel() if form.controller is None else form.controller.made(),
        calm_after=None if form.calm_after is None else Instant(form.calm_after),
        check_every_turn=form.check_every_turn,
        path=path,
        config_hash=_digest(document),
        resolved=_resolved(document),
    )
    checked.refuse()
    return scenario


def _apply(document: Document, path: Path, overrides: Sequence[str]) -> None:
    """Puts the cluster's file into its place, and then the overrides, which may change it."""
    pairs = [_pair(text) for text in overrides]
    for key, value in pairs:
        if key == _CLUSTER:
            document.override(key, value)
    named = document.data.get(_CLUSTER)
    if isinstance(named, str):
        file = path.parent / named
        if not file.is_file():
            message = f"there is no cluster config {file}"
            hint = "a path is relative to the scenario"
            raise BadInput([document.problem((_CLUSTER,), message, hint)])
        document.graft((_CLUSTER,), load_mapping(file))
    for key, value in pairs:
        if key != _CLUSTER:
            document.override(_real_key(document, key), value)


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        message = f"`{text}` is no override"
        hint = "write KEY=VALUE, as workload.train.count=5"
        raise BadInput([Problem("--set", 1, 1, "", message, hint, text)])
    return key.strip(), value


def _real_key(document: Document, key: str) -> str:
    """The key with a workload entry's name turned into its number, and `cluster.` put before it."""
    steps = key.split(".")
    if steps[0] not in ScenarioForm.model_fields and steps[0] in ClusterModel.model_fields:
        steps.insert(0, _CLUSTER)
    workload = document.data.get("workload")
    if steps[0] == "workload" and len(steps) > 1 and isinstance(workload, list):
        names = [str(entry.get("name")) if isinstance(entry, dict) else "" for entry in workload]
        if steps[1] in names:
            steps[1] = str(names.index(steps[1]))
        elif not steps[1].isdecimal():
            message = f"no workload entry is called `{steps[1]}`"
            raise BadInput([Problem("--set", 1, 1, key, message, one_of(steps[1], names), key)])
    return ".".join(steps)


def _fault(form: FaultForm, index: int, checked: Checked, document: Document) -> Fault:
    path = ("faults", index)
    if form.zone is not None:
        checked.zone(form.zone, (*path, "zone"))
    if form.group is not None:
        checked.group(form.group, (*path, "group"))
    return Fault(
        at=Instant(form.at),
        kind=FaultKind(form.kind),
        zone=None if form.zone is None else Zone(form.zone),
        slice=None if form.slice is None else str(form.slice),
        group=form.group,
        host=form.host,
        count=form.count,
        duration=form.duration,
        job=form.job,
        config=_edited(form, document) if form.kind == "edit_config" else None,
    )


def _edited(form: FaultForm, document: Document) -> ClusterSpec:
    """The cluster's configuration as the file has it, with what an edit of it sets or takes away."""
    edited = deepcopy(document)
    for key, value in form.set.items():
        edited.override(f"{_CLUSTER}.{key}", json.dumps(value))
    whole = edited.data[_CLUSTER]
    if form.without is not None and isinstance(whole, dict):
        whole["scale_groups"].pop(form.without, None)
    return to_cluster_spec(validate(edited, ScenarioForm).cluster)


def _expectations(texts: Iterable[str], checked: Checked) -> Iterable[Expectation]:
    groups = [group.name for group in checked.cluster.groups]
    for index, text in enumerate(texts):
        try:
            yield parse_expectation(text, groups)
        except ValueError as error:
            checked.wrong(("expect", index), str(error))


def _digest(document: Document) -> str:
    """Of everything that was said but the seed; comments and layout do not count."""
    said = {key: value for key, value in document.data.items() if key != "seed"}
    return sha256(json.dumps(said, separators=(",", ":")).encode()).hexdigest()


def _resolved(document: Document) -> str:
    """The whole document as YAML, its overrides and the cluster's file in it; who may log in is left out."""
    import yaml

    data = dict(document.data)
    if isinstance(cluster := data.get(_CLUSTER), Mapping):
        data[_CLUSTER] = {key: part for key, part in cluster.items() if key != "auth"}
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
