"""Manual hosts: machines with a real sshd each, from the first job to the last host's loss."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from iris.client import IrisClient
from iris.cluster.controller.main import provider_of
from iris.cluster.controller.service import CannotServe
from iris.cluster.types import Entrypoint, ResourceSpec
from iris.cluster.vm.ssh import SshHosts, Unreachable
from iris.cluster.vm.workers import WorkerProcesses
from iris.config import Ssh, load_cluster
from iris.core.ids import SliceId
from iris.ports import NoLog
from iris.rpc import iris_pb2 as pb
from iris.rpc.methods import READ_VM_LOG, TERMINATE_SLICE
from tests.cluster import sshds
from tests.cluster.running import until
from tests.cluster.sshds import PORT, TOKEN, Host, Hosts, ManualCluster, make_key

pytestmark = pytest.mark.skipif(bool(sshds.lacking()), reason=sshds.lacking())

SMALL = ResourceSpec(cpu="0.5", memory="10MB")
PATIENCE_S = 120.0


def shell(script: str) -> Entrypoint:
    return Entrypoint.from_command("sh", "-c", script)


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Hosts]:
    yield from sshds.machines(tmp_path / "hosts", 2)


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """Hosts that nobody is asked to run anything on."""
    yield from sshds.machines(tmp_path_factory.mktemp("still"), 2)


@pytest.fixture
def cluster(two: Hosts, tmp_path: Path) -> Iterator[ManualCluster]:
    found = ManualCluster(tmp_path, two, {"min_slices": 1, "max_slices": 2})
    try:
        yield found
    finally:
        found.end()


def test_jobs_outlive_a_host_and_the_controller_and_hosts_are_given_back(
    cluster: ManualCluster, two: Hosts, tmp_path: Path
) -> None:
    cluster.start()
    gate = tmp_path / "gate"
    # The child has left the group of its task, and nobody waits for it.
    script = f"setsid sleep 1000 & echo up; while [ ! -e {gate} ]; do sleep 0.1; done"
    with cluster.client(TOKEN) as client:
        job = client.submit(shell(script), "long", resources=SMALL)
        until(lambda: "up" in job.tasks()[0].logs(), PATIENCE_S)
        ((first, addresses),) = cluster.book().items()
        victim, other = sorted(two.all, key=lambda host: host.address not in addresses)
        assert oct((victim.folder / first / "0" / "token").stat().st_mode)[-3:] == "600"
        assert f"registered as {first}-w0\n" in _log_of(client, f"{first}-w0")

        victim.kill()
        until(lambda: len(job.status().details[0].attempts) == 2, PATIENCE_S)
        until(lambda: job.status().details[0].attempts[1].state == "running", PATIENCE_S)
        assert job.status().details[0].attempts[0].state == "worker_failed"
        (second,) = cluster.on_hosts()[other.address]

        cluster.kill()
        cluster.start()
        victim.restart()
        gate.touch()
        assert job.wait(PATIENCE_S).state == "succeeded", cluster.log()
        assert len(job.status().details[0].attempts) == 2
        # What had been called lost is ended as soon as its host can be asked, and the host is free.
        until(lambda: not cluster.on_hosts()[victim.address], PATIENCE_S)
        assert second in cluster.book()
        assert cluster.on_hosts()[other.address] == [second]

        stuck = client.submit(shell("setsid sleep 1000 & sleep 1000"), "stuck", resources=SMALL)
        until(lambda: len(_sleepers(other)) == 2, PATIENCE_S)
        _terminate(cluster, second)
        until(lambda: second not in cluster.book(), PATIENCE_S)
        assert not (other.folder / second).exists()
        assert not _sleepers(other)
        stuck.terminate()
    assert cluster.stop() == 0


def _log_of(client: IrisClient, vm: str) -> str:
    chunks = client.channel.stream(READ_VM_LOG, pb.ReadVmLogRequest(vm=vm))
    return b"".join(chunk.content for chunk in chunks).decode()


def _sleepers(host: Host) -> list[int]:
    """What tasks have started on a host."""
    found = []
    for pid in host.pids():
        with suppress(OSError):
            if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"sleep\0"):
                found.append(pid)
    return found


def _terminate(cluster: ManualCluster, name: str) -> None:
    with cluster.client(TOKEN) as client:
        client.channel.call(TERMINATE_SLICE, pb.TerminateSliceRequest(slice=name))


def test_without_tokens_no_manual_host_is_served(still: Hosts, tmp_path: Path) -> None:
    cluster = ManualCluster(tmp_path, still, {"max_slices": 1}, auth={})
    with pytest.raises(CannotServe, match="without tokens this machine alone is served"):
        provider_of(load_cluster(cluster.config))


# ---- SSH itself --------------------------------------------------------------------------------


def refusal(ssh: Ssh, address: str, seconds: float = 60.0, python: str = "python3") -> str:
    """Why a host is not reached."""

    async def call() -> str:
        hosts = SshHosts(ssh, python)
        try:
            with pytest.raises(Unreachable) as refused:
                await hosts.call(address, {"verb": "look"}, seconds)
        finally:
            hosts.close()
        return str(refused.value)

    return asyncio.run(call())


def test_i_148_a_host_key_that_is_not_on_file_or_is_another_is_refused(
    still: Hosts, tmp_path: Path
) -> None:
    address = still.all[0].address
    known = tmp_path / "known_hosts"
    ssh = Ssh("root", still.key, PORT, known)
    assert f"there is no {known}" in refusal(ssh, address)
    known.write_text("")
    unknown = refusal(ssh, address)
    assert f"its key is not in {known}" in unknown
    assert f"ssh-keyscan -p 22 {address}" in unknown
    another = make_key(tmp_path / "another").with_suffix(".pub").read_text()
    known.write_text(f"{address} {another}")
    changed = refusal(ssh, address)
    assert f"its key is not the one in {known}" in changed
    assert f"ssh-keygen -f {known} -R {address}" in changed


def test_who_is_not_let_in_and_what_is_not_there_is_said_in_words(
    still: Hosts, tmp_path: Path
) -> None:
    address = still.all[0].address
    stranger = Ssh("root", make_key(tmp_path / "stranger"), PORT, still.known)
    assert "it lets nobody in by this key" in refusal(stranger, address)
    ssh = Ssh("root", still.key, PORT, still.known)
    missing = refusal(ssh, address, python="/nowhere/python3")
    assert "/nowhere/python3 is not there: name another one by provider.python" in missing
    bare = refusal(ssh, address, python="/usr/bin/python3")
    assert "/usr/bin/python3 there has no Iris" in bare


def test_a_host_that_falls_silent_costs_its_deadline_and_no_more(still: Hosts) -> None:
    ssh = Ssh("root", still.key, PORT, still.known)
    host = still.all[0]
    host.cut(off=True)
    try:
        assert refusal(ssh, host.address, 1.0) == "no answer in 1 s"
    finally:
        host.cut(off=False)


def test_hosts_are_reached_by_way_of_another_whose_key_is_checked_too(
    still: Hosts, tmp_path: Path
) -> None:
    near, far = still.all
    known = tmp_path / "known_hosts"
    lines = still.known.read_text().splitlines(keepends=True)
    known.write_text(lines[1])
    ssh = Ssh("root", still.key, PORT, known, f"root@{near.address}:{PORT}")
    assert f"by way of root@{near.address}:22: its key is not in" in refusal(ssh, far.address)
    near.route_to(far)
    far.block(on=True)  # From here.
    known.write_text("".join(lines))
    # It gets as far as the Python of the far host.
    assert "/usr/bin/python3 there has no Iris" in refusal(
        ssh, far.address, python="/usr/bin/python3"
    )
    far.block(on=False)


def test_a_workers_log_is_told_from_its_end_and_in_whole_lines(tmp_path: Path) -> None:
    workers, name = WorkerProcesses(tmp_path, containers=False), SliceId("iris-cpu-1")
    (tmp_path / name / "1").mkdir(parents=True)
    (tmp_path / name / "1" / "worker.log").write_bytes(b"one\ntwo\nthree\n")
    assert workers.log(name, 1, 14) == b"one\ntwo\nthree\n"
    assert workers.log(name, 1, 9) == b"three\n"
    with pytest.raises(NoLog, match=r"worker\.log: no such file"):
        workers.log(name, 0, 9)
