"""What groups that are no TPUs are at Compute Engine."""

import pytest

from iris.config import Gcp, Machine, read_cluster
from iris.config_gcp import CPU_IMAGE
from iris.yaml_source import parse_mapping

HEAD = (
    "provider: {type: gcp, project_id: p, zone: us-central1-a}\nscale_groups: {g: {max_slices: 1, "
)


@pytest.mark.parametrize(
    ("group", "machine"),
    [
        ("accelerator_type: cpu", Machine("n2-standard-4", CPU_IMAGE)),
        (
            "accelerator_type: cpu, vm: {cpu: 16, memory: 64GB}",
            Machine("n2-standard-16", CPU_IMAGE),
        ),
        (
            "accelerator_type: cpu, vm: {cpu: 15, memory: 16GiB}",
            Machine("n2-highcpu-16", CPU_IMAGE),
        ),
        ("accelerator_type: cpu, vm: {cpu: 2, memory: 65GiB}", Machine("n2-highmem-16", CPU_IMAGE)),
        (
            "accelerator_type: cpu, vm: {machine_type: c3-highmem-8, image: i}",
            Machine("c3-highmem-8", "i"),
        ),
        ("accelerator_type: h100:8, vm: {image: i}", Machine("a3-highgpu-8g", "i")),
        (
            "accelerator_type: T4:2, vm: {image: i}",
            Machine("n1-standard-16", "i", ("nvidia-tesla-t4", 2)),
        ),
        (
            "accelerator_type: V100:4, vm: {image: i, machine_type: n1-highmem-32}",
            Machine("n1-highmem-32", "i", ("nvidia-tesla-v100", 4)),
        ),
        ("accelerator_type: v6e-8", None),
    ],
)
def test_a_group_is_of_the_smallest_machines_that_have_what_it_offers(
    group: str, machine: Machine | None
) -> None:
    provider = read_cluster(parse_mapping(f"{HEAD}{group}}}}}", "c.yaml")).provider
    assert isinstance(provider, Gcp)
    assert [found for _, found in provider.machines] == ([] if machine is None else [machine])
