"""`iris cluster start|stop|restart` on this machine: a process, begun once, taken up again, ended with all it had."""

import io
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from iris.cli.main import main
from tests.cluster.certificates import ELSEWHERE, Authority
from tests.cluster.running import RunningCluster, until


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[RunningCluster]:
    found = RunningCluster(tmp_path)
    yield found
    main(["cluster", f"--config={found.config}", "stop", "-y"])
    found.end()


def said(
    capsys: pytest.CaptureFixture[str], cluster: RunningCluster, *words: str
) -> tuple[str, str]:
    """What a command says that succeeds."""
    assert main(["cluster", f"--config={cluster.config}", *words]) == 0, capsys.readouterr().err
    return capsys.readouterr()


def pid(cluster: RunningCluster) -> int:
    return int((cluster.root / "controller.pid").read_text())


def test_a_cluster_of_this_machine_is_started_restarted_and_stopped(
    cluster: RunningCluster,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, err = said(capsys, cluster, "start")
    assert out == f"controller at {cluster.url}, process {pid(cluster)}\n"
    assert f"with its log in {cluster.root / 'controller.log'}" in err
    first = pid(cluster)
    out, err = said(capsys, cluster, "controller", "start", "--json")
    assert (json.loads(out)["controller"], err) == (cluster.url, "it runs already\n")
    until(lambda: bool(cluster.workers()))
    workers = cluster.worker_pids()

    said(capsys, cluster, "restart")
    assert pid(cluster) != first
    assert cluster.worker_pids() == workers
    _, err = said(capsys, cluster, "controller", "stop", "-y")
    assert err.endswith("the controller is stopped\n")
    assert cluster.worker_pids() == workers
    # Without it, what it had is still found, and named before it is ended.
    for nobody in (io.StringIO(), None):
        monkeypatch.setattr("sys.stdin", nobody)
        assert main(["cluster", f"--config={cluster.config}", "stop"]) == 2
        err = capsys.readouterr().err
        assert "slices (1): iris-cpu-1" in err
        assert "no answer: standard input is closed" in err
    assert cluster.worker_pids() == workers
    said(capsys, cluster, "start")
    _, err = said(capsys, cluster, "stop", "-y")
    assert "the controller gives its slices back" in err
    assert not cluster.worker_pids()
    assert said(capsys, cluster, "stop", "-y")[1] == "nothing of this cluster runs\n"


def test_a_controller_that_does_not_come_up_shows_the_end_of_its_log(
    cluster: RunningCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = json.loads(cluster.config.read_text())
    cluster.config.write_text(
        json.dumps({**whole, "storage": {**whole["storage"], "bundles": "nowhere://x"}})
    )
    assert main(["cluster", f"--config={cluster.config}", "start"]) == 1
    err = capsys.readouterr().err
    assert "error: the controller does not come up" in err
    assert "storage.bundles: 'nowhere://x': Protocol not known: nowhere" in err
    assert f"help:  see {cluster.root / 'controller.log'}" in err


def test_a_controller_that_hangs_is_killed(
    cluster: RunningCluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iris.cluster.vm.host_process._STOP_S", 0.2)
    said(capsys, cluster, "start")
    os.kill(pid(cluster), signal.SIGSTOP)
    said(capsys, cluster, "controller", "stop", "-y")
    assert said(capsys, cluster, "controller", "stop", "-y")[1] == "no controller runs\n"


def test_a_controller_that_listens_and_then_lacks_something_has_not_started(
    cluster: RunningCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = json.loads(cluster.config.read_text())
    manual = {"type": "manual", "hosts": ["127.0.0.1"], "ssh": {"user": "x", "key": "/nowhere"}}
    tokens = {"tokens": {"alice": {"value": "alices-own-long-token"}}}
    cluster.config.write_text(json.dumps({**whole, "provider": manual, "auth": tokens}))
    assert main(["cluster", f"--config={cluster.config}", "start"]) == 1
    err = capsys.readouterr().err
    assert "/nowhere: No such file or directory" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("verb", "how", "told"),
    [
        ("start", {"expired": True}, ("certificate has expired", "renew it")),
        ("restart", {"names": ELSEWHERE}, ("ip address mismatch", "it has (elsewhere.example)")),
    ],
)
def test_a_controller_whose_certificate_nobody_accepts_has_not_started(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    verb: str,
    how: Any,
    told: tuple[str, str],
) -> None:
    cluster = RunningCluster(tmp_path, tls=Authority(tmp_path, "own").chain("shown", **how))
    why, remedy = told
    file, url = f"--config={cluster.config}", cluster.url.replace("http:", "https:")
    try:
        assert main(["cluster", file, verb]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert f"{url}: its certificate is refused: {why}" in err
        assert remedy in err
    finally:
        main(["cluster", file, "stop", "-y"])
        cluster.end()
