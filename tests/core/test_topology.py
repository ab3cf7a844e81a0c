"""Accelerator types: the Cloud TPU API's table, GPU machines, hints for wrong names."""

import pytest

from iris.core.resources import Resources
from iris.core.topology import (
    MOST_GPUS,
    UnknownAccelerator,
    gang_size,
    gpu_name,
    known_gpus,
    known_tpu_types,
    resolve,
    tpu_type,
)

# name, family, chips, hosts; from Google's pages, where the API's VMs count as hosts.
ROWS = [
    ("v2-8", "v2", 4, 1),
    ("v2-32", "v2", 16, 4),
    ("v2-512", "v2", 256, 64),
    ("v3-8", "v3", 4, 1),
    ("v3-32", "v3", 16, 4),
    ("v3-2048", "v3", 1_024, 256),
    ("v4-8", "v4", 4, 1),
    ("v4-16", "v4", 8, 2),
    ("v4-384", "v4", 192, 48),
    ("v4-4096", "v4", 2_048, 512),
    ("v5p-8", "v5p", 4, 1),
    ("v5p-128", "v5p", 64, 16),
    ("v5p-12288", "v5p", 6_144, 1_536),
    ("v5litepod-1", "v5e", 1, 1),
    ("v5litepod-4", "v5e", 4, 1),
    ("v5litepod-8", "v5e", 8, 1),
    ("v5litepod-16", "v5e", 16, 4),
    ("v5litepod-256", "v5e", 256, 64),
    ("v6e-1", "v6e", 1, 1),
    ("v6e-8", "v6e", 8, 1),
    ("v6e-16", "v6e", 16, 4),
    ("v6e-256", "v6e", 256, 64),
]


@pytest.mark.parametrize(("name", "family", "chips", "hosts"), ROWS)
def test_a_tpu_type_is_what_the_api_gives(name: str, family: str, chips: int, hosts: int) -> None:
    found = tpu_type(name)
    assert found is not None
    assert (found.name, found.family, found.chips, found.hosts) == (name, family, chips, hosts)
    assert found.host.chips == chips // hosts
    assert gang_size(name) == hosts


@pytest.mark.parametrize("name", known_tpu_types())
def test_i_50_the_hosts_of_every_type_hold_all_of_its_chips(name: str) -> None:
    shape, found = resolve(name), tpu_type(name)
    assert found is not None
    assert shape.hosts * shape.host.chips == found.chips
    assert (shape.accelerator, shape.family) == (name, found.family)
    assert min(shape.host) > 0


def test_the_table_is_complete_and_in_reading_order() -> None:
    by_family: dict[str, list[str]] = {}
    for name in known_tpu_types():
        by_family.setdefault(name.rpartition("-")[0], []).append(name)
    assert list(by_family) == ["v2", "v3", "v4", "v5p", "v5litepod", "v6e"]
    assert by_family["v6e"] == [f"v6e-{n}" for n in (1, 4, 8, 16, 32, 64, 128, 256)]
    assert by_family["v3"] == [f"v3-{n}" for n in (8, 32, 64, 128, 256, 512, 1024, 2048)]
    assert (by_family["v4"][-1], by_family["v5p"][-1]) == ("v4-4096", "v5p-12288")


@pytest.mark.parametrize("spelling", ["H100:8", "h100:8", "H100:08"])
def test_a_gpu_machine_is_one_host_in_any_spelling(spelling: str) -> None:
    shape = resolve(spelling)
    assert (shape.accelerator, shape.family, shape.hosts) == ("H100", "H100", 1)
    assert shape.host.chips == 8
    assert shape.host.cpu == 8 * resolve("H100:1").host.cpu


@pytest.mark.parametrize("name", known_gpus())
def test_every_gpu_is_known_by_its_lower_case(name: str) -> None:
    assert name in known_gpus()
    assert gpu_name(name.lower()) == name
    assert resolve(f"{name.lower()}:{MOST_GPUS}").host.chips == MOST_GPUS


def test_no_other_word_is_a_gpu() -> None:
    assert gpu_name("v6e-8") is None


def test_a_cpu_group_has_one_machine_without_chips() -> None:
    shape = resolve("cpu")
    assert (shape.accelerator, shape.family, shape.hosts) == (None, "cpu", 1)
    assert shape.host._replace(chips=0) == shape.host
    assert shape.host != Resources()


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("v5litepod-12", ("v5litepod-8", "v5litepod-16")),
        ("v5litepod-2", ("v5litepod-1", "v5litepod-4")),
        ("v5e-16", ("v5litepod-16",)),
        ("V6E-8", ("v6e-8",)),
        ("v5p-7", ("v5p-8", "v5p-16")),
        ("v5p-99999", ("v5p-12160", "v5p-12288")),
        ("h100", ("H100:1", "H100:8")),
        ("H100:0", ("H100:1",)),
        ("H100:17", ("H100:8",)),
        ("cpus", ("cpu",)),
        ("", ("v5litepod-16", "H100:8", "cpu")),
        ("zzz", ("v5litepod-16", "H100:8", "cpu")),
    ],
)
def test_a_wrong_type_is_refused_with_the_nearest_right_ones(
    wrong: str, nearest: tuple[str, ...]
) -> None:
    with pytest.raises(UnknownAccelerator) as refusal:
        resolve(wrong)
    assert refusal.value.nearest == nearest
    assert repr(wrong) in str(refusal.value)
    for name in nearest:
        assert name in str(refusal.value)
        assert resolve(name).hosts >= 1


@pytest.mark.parametrize("wrong", ["v9-3", "v6e-", "v6e-x", "v6e-9999999", "H1000:8", "H100:8x"])
def test_what_is_not_quite_a_type_gets_valid_hints(wrong: str) -> None:
    with pytest.raises(ValueError, match="did you mean") as refusal:
        gang_size(wrong)
    assert isinstance(refusal.value, UnknownAccelerator)
    assert 1 <= len(refusal.value.nearest) <= 3
    for name in refusal.value.nearest:
        resolve(name)
