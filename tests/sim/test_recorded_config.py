"""A recorded configuration, written as a cluster.yaml so that its keys can be changed."""

from pathlib import Path

import pytest

from iris.config import load_cluster
from iris.core.instant import HOUR
from iris.problems import BadInput
from sim.recorded_config import changed, document_of
from sim.scenario import load_scenario
from tests.tidy.tree import ROOT


@pytest.mark.parametrize(
    "name", ["preemption", "quota_wall", "fair_share", "bulk_loss", "eviction", "unkind_cloud"]
)
def test_a_recorded_configuration_reads_back_as_itself(name: str) -> None:
    spec = load_scenario(ROOT / "scenarios" / f"{name}.yaml").cluster
    assert changed(spec, (), None) == spec
    assert document_of(spec).data["scale_groups"]


def test_quotas_read_back_as_themselves(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(
        "scale_groups: {x: {accelerator_type: cpu, vm: {cpu: 4}, max_slices: 2}}\n"
        "scheduler: {quotas: {alice: {tasks: 9, cpu: 1.5, levels: 2}, '*': {memory: 3GiB, chips: 4}}}\n"
    )
    spec = load_cluster(file).spec
    assert changed(spec, (), None) == spec
    found = changed(spec, ("scheduler.quotas.alice.tasks=3",), None)
    assert [quota.tasks for quota in found.scheduler.quotas] == [None, 3]


def test_one_key_is_changed_and_a_wrong_one_refused(tmp_path: Path) -> None:
    spec = load_scenario(ROOT / "scenarios" / "preemption.yaml").cluster
    found = changed(spec, ("scale_groups.cpu.max_slices=9", "autoscaler.idle_timeout=1h"), None)
    cpu = next(group for group in found.groups if group.name == "cpu")
    assert (cpu.max_slices, found.autoscaler.idle_timeout) == (9, HOUR)
    assert [group.name for group in found.groups] == [group.name for group in spec.groups]
    file = tmp_path / "other.yaml"
    file.write_text("scale_groups: {x: {accelerator_type: cpu, vm: {cpu: 4}, max_slices: 2}}\n")
    assert changed(spec, (), file) == load_cluster(file).spec
    for wrong, said in (("scale_groups.cpu.max_slice=9", "did you mean"), ("x", "write KEY=VALUE")):
        with pytest.raises(BadInput) as refused:
            changed(spec, (wrong,), None)
        assert said in refused.value.problems[0].help
