"""A manual cluster whose controller runs on a host of its own, begun and ended by SSH from here."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from iris.cli.main import main
from tests.cluster import sshds
from tests.cluster.running import free_port
from tests.cluster.sshds import TOKEN, Hosts

pytestmark = pytest.mark.skipif(bool(sshds.lacking()), reason=sshds.lacking())


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Hosts]:
    yield from sshds.machines(tmp_path / "hosts", 2)


def cluster_file(folder: Path, two: Hosts, port: int) -> Path:
    """Of a cluster whose controller is on the first host, and whose workers are on the second."""
    first, second = two.all
    first.route_to(second)
    second.route_to(first)
    whole = {
        "provider": two.provider(hosts=[second.address]),
        "controller": {"host": first.address, "vm": {"port": port}},
        "storage": {"root": "state"},
        "auth": {"tokens": {"alice": {"env": "IRIS_TOKEN"}}, "admins": ["alice"]},
        "scale_groups": {
            "cpu": {"accelerator_type": "cpu", "vm": {"cpu": 2, "memory": "1GB"}, "max_slices": 1}
        },
    }
    path = folder / "cluster.yaml"
    path.write_text(json.dumps(whole))
    return path


def test_a_controller_on_a_host_is_begun_called_by_a_tunnel_and_ended_with_its_slices(
    two: Hosts, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = two.all
    port = free_port()
    config = f"--config={cluster_file(tmp_path, two, port)}"
    monkeypatch.setenv("IRIS_TOKEN", TOKEN)
    assert main(["cluster", config, "start"]) == 0, capsys.readouterr().err
    assert f"controller at http://{first.address}:{port}" in capsys.readouterr().out
    shipped = (first.folder / "controller" / "cluster.yaml").read_text()
    assert TOKEN not in shipped
    assert main(["cluster", config, "start"]) == 0
    assert capsys.readouterr().err.endswith("it runs already\n")

    real = socket.create_connection

    def firewall(place: tuple[str, int], *rest: Any) -> socket.socket:
        if place == (first.address, port):
            raise ConnectionRefusedError("a firewall between")
        return real(place, *rest)

    monkeypatch.setattr("socket.create_connection", firewall)
    job = ["job", "run", config, "--cpu=1", "--memory=10MB", "--", "echo", "by a tunnel"]
    assert main(job) == 0, capsys.readouterr().err
    assert capsys.readouterr().out == "by a tunnel\n"
    assert main(["cluster", config, "restart"]) == 0
    assert main(["cluster", config, "stop", "-y"]) == 0
    err = capsys.readouterr().err
    assert "slices (1): iris-cpu-1" in err
    assert not list(second.folder.glob("*/slice.json"))
    assert main(["cluster", config, "stop", "-y"]) == 0
    assert capsys.readouterr().err == "nothing of this cluster runs\n"
