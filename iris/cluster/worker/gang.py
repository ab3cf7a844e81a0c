"""What the members of a gang are told of each other: variables that JAX and PyTorch read by themselves.

All members of an attempt agree on them, and no two attempts in a row have the same coordinator. What
a job sets itself is left as it is.
"""

from collections.abc import Iterable
from typing import Final

from iris.core.topology import tpu_type
from iris.rpc import iris_pb2 as pb

_ELSEWHERE: Final = ("JAX_COORDINATOR_ADDRESS", "OMPI_", "SLURM_", "MEGASCALE_")
"""A job that sets a variable which begins so has JAX find its processes in its own way."""


def gang_variables(wanted: pb.Wanted) -> dict[str, str]:
    """What a member of a gang finds in its environment, beside what every task does; nothing for other tasks."""
    spec = wanted.spec
    if not (spec.coscheduled and wanted.coordinator):
        return {}
    size, rank = str(spec.replicas), str(wanted.rank)
    hosts = ",".join(wanted.hosts)
    names = {"IRIS_GANG_HOSTS": hosts, **_torch(wanted, size, rank)}
    own = [variable.name for variable in spec.environment]
    on_tpu = tpu_type(spec.accelerator) is not None
    if on_tpu:
        names |= {"TPU_WORKER_ID": rank, "TPU_WORKER_HOSTNAMES": hosts}
    if not _is_led_elsewhere(own):
        names["JAX_COORDINATOR_ADDRESS"] = wanted.coordinator
        if not on_tpu:  # There JAX learns the rest from the TPU's own variables.
            names |= _jax(wanted, size, rank)
    return names


def _is_led_elsewhere(names: Iterable[str]) -> bool:
    return any(name.startswith(_ELSEWHERE) for name in names)


def _jax(wanted: pb.Wanted, size: str, rank: str) -> dict[str, str]:
    """Count and rank, in the only words off a TPU by which every JAX learns them without arguments: Open MPI's."""
    names = {
        "OMPI_MCA_orte_hnp_uri": f"0.0;tcp://{wanted.coordinator}",
        "OMPI_COMM_WORLD_SIZE": size,
        "OMPI_COMM_WORLD_RANK": rank,
        "OMPI_COMM_WORLD_LOCAL_RANK": "0",
    }
    chips = wanted.spec.resources.chips
    if chips:  # One process has all of them; as of Open MPI's, JAX would take the first GPU only.
        names["JAX_LOCAL_DEVICE_IDS"] = ",".join(map(str, range(chips)))
    return names


def _torch(wanted: pb.Wanted, size: str, rank: str) -> dict[str, str]:
    """What `init_method="env://"` reads, and what `torchrun` takes instead of its options."""
    host, _, port = wanted.coordinator.rpartition(":")
    names = {
        "MASTER_ADDR": host,
        "MASTER_PORT": port,
        "RANK": rank,
        "WORLD_SIZE": size,
        "LOCAL_RANK": "0",
        "LOCAL_WORLD_SIZE": "1",
        "GROUP_RANK": rank,
        "GROUP_WORLD_SIZE": size,
        "PET_MASTER_ADDR": host,
        "PET_MASTER_PORT": port,
        "PET_NNODES": size,
        "PET_NODE_RANK": rank,
    }
    chips = wanted.spec.resources.chips
    if chips and tpu_type(wanted.spec.accelerator) is None:
        names["PET_NPROC_PER_NODE"] = str(chips)
    return names
