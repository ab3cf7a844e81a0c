"""Ctrl-C of a cluster on one's own machine: it ends whole and soon, and the next one goes on at once."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from iris.client import IrisClient
from iris.cluster.controller.clock import WallClock
from iris.cluster.controller.hands import Hands
from iris.cluster.controller.journal import SqliteJournal
from iris.cluster.controller.recovery import JOURNAL_FILE
from iris.cluster.processes import is_running
from iris.cluster.types import Entrypoint
from iris.cluster.vm.local import LocalSettings, LocalVmManager
from iris.core import decisions as de
from iris.core.effects import CreateSlice, DeleteSlice
from iris.core.ids import GroupName, SliceId, Zone
from tests.cluster.running import free_port, until
from tests.groups import tpu_group

CONFIG = """\
provider: {{type: local}}
storage: {{root: {root}}}
controller: {{vm: {{port: {port}}}}}
scale_groups:
  cpu: {{accelerator_type: cpu, vm: {{cpu: 4, memory: 4GB}}, min_slices: 1, max_slices: 2}}
"""


def start(folder: Path, *before: str) -> "subprocess.Popen[str]":
    program = "import sys; from iris.cli.main import main; sys.exit(main())"
    words = ["cluster", f"--config={folder / 'cluster.yaml'}", "controller", "run-local"]
    cluster = subprocess.Popen(
        [*before, sys.executable, "-c", program, *words], stdout=subprocess.PIPE, text=True
    )
    assert cluster.stdout is not None
    assert cluster.stdout.readline().startswith("controller at ")
    return cluster


def workers(folder: Path) -> list[tuple[int, Path]]:
    """The processes of workers that live, each with its folder."""
    found = []
    for path in (folder / "root" / "vms").glob("*/*/worker.pid"):
        pid = int(path.read_text())
        if is_running(pid, mark=str(path.parent)):
            found.append((pid, path.parent))
    return found


def test_i_48_a_cluster_that_is_ended_leaves_nothing_and_the_next_goes_on_at_once(
    tmp_path: Path,
) -> None:
    port = free_port()
    (tmp_path / "cluster.yaml").write_text(CONFIG.format(root=tmp_path / "root", port=port))
    url = f"http://127.0.0.1:{port}"
    first = start(tmp_path, "nohup")
    first.send_signal(signal.SIGHUP)  # Which it need not heed.
    with IrisClient.remote(url, user="alice") as client:
        command = '[ "$IRIS_ATTEMPT_ID" != 0 ] || { echo up; sleep 600; }'
        job = client.submit(Entrypoint.from_command("sh", "-c", command), "job")
        until(lambda: job.tasks()[0].logs() == "up\n")
    before = workers(tmp_path)
    assert before
    first.send_signal(signal.SIGINT)
    assert first.wait(60) == 0
    first.communicate()
    assert not [pid for pid, place in before if is_running(pid, mark=str(place))]
    assert not workers(tmp_path)
    second = start(tmp_path)
    with IrisClient.remote(url, user="alice") as client:
        assert client.job("/alice/job").wait(60).state == "succeeded"
    second.send_signal(signal.SIGHUP)  # As its terminal does that is closed.
    assert second.wait(60) == 0
    second.communicate()
    journal = SqliteJournal(tmp_path / "root" / JOURNAL_FILE, readonly=True)
    _, turns = journal.whole()
    decided = [decision for turn in turns for decision in turn.decisions]
    journal.close()
    # Nothing was learned of the zone but that a slice came up in it.
    assert not [d for d in decided if isinstance(d, de.Throttle) and "is ready" not in d.why]


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
def test_a_worker_that_is_stopped_ends_when_its_slice_does(tmp_path: Path) -> None:
    """Or what it has begun would run on beside what is begun anew elsewhere."""
    group = tpu_group(hosts=1)

    async def end() -> None:
        settings = LocalSettings(tmp_path, "http://127.0.0.1:1", None, stop_grace_s=600)
        cloud = LocalVmManager(
            settings, lambda: {group.name: group}, lambda _: "", WallClock(), lambda _: None
        )
        await cloud.create_slice(CreateSlice(SliceId("iris-tpu-1"), group.name, Zone("default")))
        place = tmp_path / "iris-tpu-1" / "0"
        pid = int((place / "worker.pid").read_text())
        until(lambda: (place / "worker.log").read_text() != "")  # It speaks, and so listens.
        os.kill(pid, signal.SIGSTOP)
        async with asyncio.timeout(60):
            await cloud.delete_slice(
                DeleteSlice(SliceId("iris-tpu-1"), group.name, Zone("default"))
            )
        assert not (tmp_path / "iris-tpu-1").exists()

    asyncio.run(end())


class Machines:
    """Notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[object] = []

    async def create_slice(self, request: CreateSlice) -> tuple[()]:
        self.asked.append(request)
        return ()

    async def delete_slice(self, request: DeleteSlice) -> tuple[()]:
        self.asked.append(request)
        return ()


def test_who_leaves_asks_for_no_machine_any_more() -> None:
    machines = Machines()

    async def leave() -> None:
        anything: Any = machines
        hands = Hands(anything, lambda _: None, lambda _: None)
        hands.attach(anything)
        hands.leave()
        name, group, zone = SliceId("iris-cpu-1"), GroupName("cpu"), Zone("default")
        hands.perform(CreateSlice(name, group, zone))
        hands.perform(DeleteSlice(name, group, zone))
        await asyncio.sleep(0.01)
        await hands.close()

    asyncio.run(leave())
    assert [type(request) for request in machines.asked] == [DeleteSlice]
