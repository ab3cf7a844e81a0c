"""Manual hosts: machines with a real sshd each, from the first job to the last host's loss."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from iris.cluster.types import Entrypoint, ResourceSpec
from tests.cluster import sshds
from tests.cluster.sshds import TOKEN, Hosts, ManualCluster

pytestmark = pytest.mark.skipif(bool(sshds.lacking()), reason=sshds.lacking())

SMALL = ResourceSpec(cpu="0.5", memory="10MB")
PATIENCE_S = 60.0


def shell(script: str) -> Entrypoint:
    return Entrypoint.from_command("sh", "-c", script)


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Hosts]:
    yield from sshds.machines(tmp_path / "hosts", 1)


def test_a_job_runs_on_a_host_and_nothing_is_left_there(one: Hosts, tmp_path: Path) -> None:
    cluster = ManualCluster(tmp_path, one, {"max_slices": 1})
    try:
        cluster.start()
        with cluster.client(TOKEN) as client:
            job = client.submit(
                shell("hostname; echo $IRIS_ADVERTISE_HOST"), "hello", resources=SMALL
            )
            assert job.wait(PATIENCE_S).state == "succeeded", cluster.log()
            assert one.all[0].address in job.tasks()[0].logs()
    finally:
        cluster.end()
