"""What is refused of a host before anything is done there, and what a machine lacks that would call one."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from iris.cli.main import main
from iris.cluster.vm import controller_on_host, on_host

REFUSED = "is not a folder of this user: name another one by provider.folder"


def answers(folder: Path) -> list[str]:
    """What either program of a host says of a folder in which it is to work."""
    request = {"folder": str(folder), "root": "state", "port": 1, "tls": False, "url": "http://x:1"}
    controller = asyncio.run(controller_on_host.answer({**request, "verb": "look", "config": None}))
    slices = on_host.answer({**request, "verb": "look", "containers": False})
    return [str(said.get("error", "")) for said in (controller, slices)]


def test_a_folder_that_somebody_else_has_is_used_by_nobody(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (tmp_path / "iris").symlink_to(theirs)
    for said in answers(tmp_path / "iris"):
        assert said == f"{tmp_path / 'iris'} {REFUSED}"
    if os.geteuid() == 0:
        os.chown(theirs, 65534, 65534)
        for said in answers(theirs):
            assert said == f"{theirs} {REFUSED}"
    assert not list(theirs.iterdir())


def test_without_the_library_commands_say_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "asyncssh", None)
    whole = {
        "provider": {"type": "manual", "hosts": ["10.77.9.2"], "ssh": {"user": "iris"}},
        "controller": {"host": "10.77.9.1"},
        "auth": {"tokens": {"alice": {"value": "alices-own-long-token"}}},
        "scale_groups": {"cpu": {"accelerator_type": "cpu", "vm": {"cpu": 1, "memory": "1GB"}, "max_slices": 1}},
    }  # fmt: skip
    (tmp_path / "cluster.yaml").write_text(json.dumps(whole))
    for verb in ("start", "status", "restart"):
        assert main(["cluster", f"--config={tmp_path / 'cluster.yaml'}", verb]) == 1
        assert "pip install 'iris-orchestrator[manual]'" in capsys.readouterr().err
