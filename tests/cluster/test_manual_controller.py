"""A manual cluster whose controller runs on a host of its own, begun and ended by SSH from here."""

import json
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx2
import pytest

from iris.cli.main import main
from tests.cli.commands import PROGRAM
from tests.cluster import sshds
from tests.cluster.running import free_port
from tests.cluster.sshds import TOKEN, Hosts

PAGES: Final = 10_080
"""Where a controller has its dashboard, if nobody says otherwise."""

pytestmark = pytest.mark.skipif(bool(sshds.lacking()), reason=sshds.lacking())


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Hosts]:
    yield from sshds.machines(tmp_path / "hosts", 2)


def cluster_file(folder: Path, two: Hosts, port: int) -> Path:
    """Of a cluster whose controller is on the first host, and whose workers are on the second."""
    first, second = two.all
    first.route_to(second)
    second.route_to(first)
    return written(
        folder,
        {
            "provider": two.provider(hosts=[second.address]),
            "controller": {"host": first.address, "vm": {"port": port}},
            "storage": {"root": "state"},
        },
    )


def written(folder: Path, some: Mapping[str, object]) -> Path:
    """The file of a cluster of one small group."""
    whole = {
        **some,
        "auth": {"tokens": {"alice": {"env": "IRIS_TOKEN"}}, "admins": ["alice"]},
        "scale_groups": {
            "cpu": {"accelerator_type": "cpu", "vm": {"cpu": 2, "memory": "1GB"}, "max_slices": 1}
        },
    }
    path = folder / "cluster.yaml"
    path.write_text(json.dumps(whole))
    return path


@contextmanager
def dashboard(config: str) -> Iterator[str]:
    """Where `iris cluster dashboard` says that it is, as long as that runs: until Ctrl-C."""
    command = [*PROGRAM, "cluster", config, "dashboard", "--print"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        yield url
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.communicate()


@contextmanager
def looked_at(config: str) -> Iterator[None]:
    """Look at the dashboard while something is done: what comes of it is told of as it happens."""
    with dashboard(config) as url, httpx2.Client(base_url=url, timeout=30) as browser:
        assert browser.get("/jobs").headers["location"] == "/sign-in?to=/jobs"
        browser.post("/sign-in", data={"token": TOKEN})
        assert browser.get("/api/v1/jobs.json").json()["items"] == []
        with browser.stream("GET", "/events") as stream:
            told = (line for line in stream.iter_lines() if line.startswith("id: "))
            known = next(told)
            yield
            assert next(told) != known
        (row,) = browser.get("/api/v1/jobs.json").json()["items"]
        assert row["state"] == "succeeded"
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(url)


def test_a_controller_on_a_host_is_begun_called_by_a_tunnel_and_ended_with_its_slices(
    two: Hosts, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = two.all
    port = free_port()
    config = f"--config={cluster_file(tmp_path, two, port)}"
    monkeypatch.setenv("IRIS_TOKEN", TOKEN)
    monkeypatch.setenv("IRIS_LOG_FORMAT", "json")
    assert main(["cluster", config, "start"]) == 0, capsys.readouterr().err
    assert f"controller at http://{first.address}:{port}" in capsys.readouterr().out
    shipped = (first.folder / "controller" / "cluster.yaml").read_text()
    assert TOKEN not in shipped
    assert main(["cluster", config, "start"]) == 0
    assert capsys.readouterr().err.endswith("it runs already\n")

    for closed in (port, PAGES):
        first.close_port(closed)
    job = ["job", "run", config, "--cpu=1", "--memory=10MB", "--", "echo", "by a tunnel"]
    with looked_at(config):
        assert main(job) == 0, capsys.readouterr().err
        assert capsys.readouterr().out == "by a tunnel\n"
    for log in (
        first.folder / "controller" / "state" / "controller.log",
        *second.folder.glob("iris-cpu-1/0/worker.log"),
    ):
        assert json.loads(log.read_text().splitlines()[0])["level"] == "info"
    assert main(["cluster", config, "restart"]) == 0
    assert main(["cluster", config, "stop", "-y"]) == 0
    err = capsys.readouterr().err
    assert "slices (1): iris-cpu-1" in err
    assert not list(second.folder.glob("*/slice.json"))
    assert main(["cluster", config, "stop", "-y"]) == 0
    assert capsys.readouterr().err == "nothing of this cluster runs\n"


def test_a_controller_of_this_machine_advertises_itself_to_hosts_beyond_a_jump(
    two: Hosts, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    door, far = two.all
    door.route_to(far)
    provider = two.provider(hosts=[far.address])
    ssh = {**provider["ssh"], "jump": f"root@{door.address}"}  # type: ignore[dict-item]
    port = free_port()
    some = {"provider": {**provider, "ssh": ssh}, "controller": {"vm": {"port": port}}}
    path = written(tmp_path, {**some, "storage": {"root": str(tmp_path / "state")}})
    config = f"--config={path}"
    monkeypatch.setenv("IRIS_TOKEN", TOKEN)
    assert main(["cluster", config, "start"]) == 1
    assert "iris cluster start --advertise URL" in capsys.readouterr().err
    # Ours, as the far host has it; where sshd listens for us it sees the door.
    ours = f"http://{far.address.removesuffix('.2')}.1:{port}"
    assert main(["cluster", config, "start", f"--advertise={ours}"]) == 0, capsys.readouterr().err
    job = ["job", "run", config, "--cpu=1", "--memory=10MB", "--", "sh", "-c", "echo beyond"]
    assert main(job) == 0, capsys.readouterr().err
    assert "beyond\n" in capsys.readouterr().out
    assert main(["cluster", config, "stop", "-y"]) == 0, capsys.readouterr().err
    assert not list(far.folder.glob("*/slice.json"))
