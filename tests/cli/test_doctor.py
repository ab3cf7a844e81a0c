"""`iris doctor`: each thing that a cluster needs, found right or wrong, with the correction."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from iris.cli.main import main
from iris.cluster.checkup import clock_check
from iris.exit_status import ExitStatus
from tests.cluster import sshds
from tests.cluster.certificates import ELSEWHERE, Authority
from tests.cluster.docking import lacking
from tests.cluster.running import free_port, running
from tests.cluster.sshds import PORT, Hosts

GROUP = {"accelerator_type": "cpu", "vm": {"cpu": 2, "memory": "1GB"}, "max_slices": 1}
Item = Mapping[str, str]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cluster.yaml"


def written(file: Path, provider: Mapping[str, object], **more: object) -> Path:
    root = more.pop("root", file.parent / "iris")
    whole = {
        "provider": provider,
        "storage": {"root": str(root)},
        "controller": {"vm": {"port": more.pop("port", None) or free_port()}},
        "scale_groups": {"cpu": GROUP},
        **more,
    }
    file.write_text(json.dumps(whole))
    return file


def examined(
    file: Path, capsys: pytest.CaptureFixture[str], *more: str
) -> tuple[int, dict[str, Item]]:
    """The status, and what was found by its name."""
    capsys.readouterr()
    status = main(["doctor", f"--config={file}", "--json", *more])
    found = json.loads(capsys.readouterr().out)
    assert found["kind"] == "CheckList"
    return status, {item["name"]: item for item in found["items"]}


def test_a_laptop_is_well_and_each_check_is_one_line(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(file, {"type": "local"})
    assert main(["doctor", f"--config={file}"]) == ExitStatus.DONE
    out, err = capsys.readouterr()
    assert err == ""
    words = [line.split(":")[0].split(maxsplit=1) for line in out.splitlines()]
    assert [tuple(it) for it in words if not it[1].startswith("port")] == [
        ("ok", "python"),
        ("ok", "libraries"),
        ("skipped", "tokens"),
        ("ok", "disk"),
        ("skipped", "docker engine"),
    ]


def test_what_is_wrong_here_is_said_with_its_correction(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    monkeypatch.delenv("NOBODYS_TOKEN", raising=False)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        written(
            file,
            {"type": "local", "runtime": "docker"},
            root="/proc/iris",
            port=port,
            docker={"image": "iris-worker:test"},
            auth={"tokens": {"alice": {"env": "NOBODYS_TOKEN"}}},
        )
        status, found = examined(file, capsys)
    assert status == ExitStatus.FAILED
    said = {
        "tokens": ("NOBODYS_TOKEN is not set", "16 characters"),
        f"port {port}": ("not by a controller", f"ss -ltnp 'sport = :{port}'"),
        "disk": ("/proc", "storage.root"),
        "docker engine": ("no Docker engine answers", "DOCKER_HOST"),
    }
    for name, (why, remedy) in said.items():
        assert found[name]["outcome"] == "failed", name
        assert why in found[name]["said"]
        assert remedy in found[name]["help"]
    assert found["image"]["outcome"] == "skipped"


def test_a_controller_that_serves_is_no_obstacle_unless_it_knows_us_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    token = "a-token-of-alice-for-tests"
    for cluster in running(tmp_path, auth={"tokens": {"alice": token}}):
        monkeypatch.setenv("IRIS_TOKEN", token)
        name = f"port {cluster.port}"
        status, found = examined(cluster.config, capsys)
        assert (status, found[name]["outcome"]) == (ExitStatus.DONE, "ok"), found
        monkeypatch.setenv("IRIS_TOKEN", "a-token-of-somebody-else")
        status, found = examined(cluster.config, capsys)
        assert (status, found[name]["outcome"]) == (ExitStatus.FAILED, "failed")
        assert "IRIS_TOKEN" in found[name]["help"]


def test_a_certificate_that_nobody_accepts_is_found_before_it_is_shown(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = Authority(file.parent, "own")
    cert, key = own.chain("good")
    _, other = own.sign("other")

    def tls(cert: Path, key: Path, *more: str) -> Item:
        place = {"vm": {"port": free_port()}, "tls": {"cert": str(cert), "key": str(key)}}
        _, found = examined(written(file, {"type": "local"}, controller=place), capsys, *more)
        return found["tls"]

    for more in ((), ("--advertise=https://localhost:9",)):
        good = tls(cert, key, *more)
        assert (good["outcome"], "is good until" in good["said"]) == ("ok", True)
    astray = tls(cert, key, "--advertise=https://iris.example:9")
    assert "hostname mismatch" in astray["said"]
    assert "(127.0.0.1, localhost), or have one made for iris.example" in astray["help"]
    plain = tls(cert, key, "--advertise=http://localhost:9")
    assert plain["said"].startswith("workers call http://localhost:9, and the controller")
    wrong = [
        ((cert, file.parent / "none"), "tls.key: ", "may read"),
        ((cert, other), "other.key is no key of the certificate", "that it was made with"),
        ((key, cert), "is no key of the certificate", "that it was made with"),
        (own.chain("lent", ELSEWHERE), "address mismatch", "that it has (elsewhere.example)"),
        (own.chain("old", expired=True), "certificate has expired", "renew it"),
        (own.chain("ageing", days=3), "is good until", "renew it"),
        (own.sign("lone"), "signed by somebody whom", "have the whole chain"),
    ]
    for pair, why, remedy in wrong:
        bad = tls(*pair)
        assert bad["outcome"] == "failed", bad
        assert why in bad["said"]
        assert remedy in bad["help"]


@pytest.mark.skipif(bool(lacking()), reason=lacking())
def test_an_image_is_here_or_can_be_pulled_or_the_way_to_it_is_told(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    docker = {"type": "local", "runtime": "docker"}
    status, found = examined(written(file, docker, docker={"image": "iris-worker:test"}), capsys)
    assert (status, found["image"]["said"]) == (ExitStatus.DONE, "iris-worker:test is here")
    status, found = examined(
        written(file, docker, docker={"image": "127.0.0.1:9/iris/none:1"}), capsys
    )
    assert (status, found["image"]["outcome"]) == (ExitStatus.FAILED, "failed")
    assert "-t 127.0.0.1:9/iris/none:1 --push" in found["image"]["help"]


def test_without_a_file_there_is_nothing_to_look_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IRIS_CONFIG", raising=False)
    assert main(["doctor"]) == ExitStatus.BAD_INPUT
    assert "give --config, or set IRIS_CONFIG" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("skew_s", "uncertain_s", "outcome"),
    [(4.0, 0.0, "ok"), (6.0, 0.0, "failed"), (-6.0, 0.0, "failed"), (6.0, 2.0, "ok")],
)
def test_clocks_may_differ_a_little(skew_s: float, uncertain_s: float, outcome: str) -> None:
    assert clock_check("clock", skew_s, uncertain_s).outcome.value == outcome


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    yield from sshds.machines(tmp_path / "hosts", 2)


@pytest.mark.skipif(bool(sshds.lacking()), reason=sshds.lacking())
def test_each_manual_host_is_looked_at_as_its_controller_reaches_it(
    hosts: Hosts, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    auth = {"tokens": {"alice": "a-token-of-alice-for-tests"}}
    known, strange = hosts.all
    hosts.know([known])
    written(file, hosts.provider(), auth=auth)
    status, found = examined(file, capsys)
    assert status == ExitStatus.FAILED
    well, ill = found[f"host {known.address}"], found[f"host {strange.address}"]
    assert well["outcome"] == "ok", well
    assert "GB free, free" in well["said"]
    assert ill["outcome"] == "failed"
    assert f"ssh-keyscan -p {PORT} {strange.address}" in ill["said"]
    assert f"ssh -p {PORT} root@{strange.address} true" in ill["help"]


@pytest.mark.skipif(bool(sshds.lacking()), reason=sshds.lacking())
def test_the_host_of_a_controller_is_looked_at_and_not_this_machine(
    hosts: Hosts, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    auth = {"tokens": {"alice": "a-token-of-alice-for-tests"}}
    far, worker = hosts.all
    name = f"controller host {far.address}"
    provider = hosts.provider(hosts=[worker.address])

    own = Authority(file.parent, "own")
    (good, key), (astray, _) = own.chain("good", f"IP:{far.address}"), own.chain("astray")

    def looked(port: int, cert: Path = good) -> tuple[dict[str, Item], Item]:
        # What is not absolute is looked for in that host's folder, as its controller does.
        tls = {"cert": os.path.relpath(cert, hosts.shared / "controller"), "key": str(key)}
        place = {"host": far.address, "vm": {"port": port}, "tls": tls}
        written(file, provider, auth=auth, controller=place)
        _, found = examined(file, capsys)
        return found, found[name]

    with socket.socket() as other:  # What this machine has there is no obstacle.
        other.bind(("0.0.0.0", 0))
        found, well = looked(other.getsockname()[1])
    assert well["outcome"] == "ok", well
    assert (found["port"]["outcome"], found["disk"]["outcome"]) == ("skipped", "skipped")
    assert found["tls"]["outcome"] == "ok", found["tls"]
    assert f"{far.address}: " in found["tls"]["said"]
    listen = "import socket; s = socket.create_server(('', 17171)); print(flush=True); input()"
    inside = ["ip", "netns", "exec", far.space, sys.executable, "-c", listen]
    with subprocess.Popen(inside, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as listener:
        assert listener.stdout is not None
        listener.stdout.readline()
        found, ill = looked(17_171, cert=astray)
        listener.kill()
    assert "port 17171 cannot be listened on" in ill["said"]
    assert "is no key of the certificate" in found["tls"]["said"]
    assert main(["doctor", f"--config={file}", "--advertise=https://x:1"]) == ExitStatus.BAD_INPUT
