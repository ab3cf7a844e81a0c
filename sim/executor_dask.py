"""Runs of a sweep on a Dask cluster that is there already; the package `distributed` is an extra.

Files are sent to the cluster once, and every run writes those that it names into a folder of its own. A
run whose worker dies is run again elsewhere by Dask, a few times, and is then lost.
"""

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from iris.exit_status import ExitStatus
from iris.problems import Failure
from sim.packing import Folder
from sim.study import POLL_S
from sim.sweep import Executor, Lost, Outcome, Watch, lost_by
from sim.sweep_run import Unit, run_unit

if TYPE_CHECKING:
    from distributed import Client, Future

CONNECT_S: Final = 10.0
_HELP: Final = "give the address that it printed when it was started, as tcp://host:8786"


def on_dask(address: str) -> Executor:
    """An executor on the Dask cluster whose scheduler has this address, as `tcp://host:8786`.

    Raises:
        Failure: `distributed` is not installed, or this is no address; when run, the scheduler does
            not answer.
    """
    try:
        import distributed
    except ImportError as error:
        message = "the executor `dask` needs the package `distributed`, which is not installed"
        help = "pip install 'iris-orchestrator[dask]'"
        raise Failure(message, ExitStatus.BAD_INPUT, help) from error
    try:
        distributed.comm.parse_host_port(distributed.comm.parse_address(address)[1])
    except ValueError as error:
        message = f"{address!r} is no address of a Dask scheduler: {error}"
        raise Failure(message, ExitStatus.BAD_INPUT, _HELP) from error

    def run(units: Sequence[Unit], files: Folder, watch: Watch) -> list[Outcome]:
        client = _connected(address)
        try:
            return _run(client, units, files, watch)
        finally:
            client.close()

    return run


def _connected(address: str) -> "Client":
    from distributed import Client

    try:
        return Client(address, timeout=CONNECT_S, set_as_default=False)
    except OSError as error:
        message = f"no Dask scheduler answers at {address}: {error}"
        raise Failure(message, ExitStatus.UNREACHABLE, _HELP) from error


def _run(client: "Client", units: Sequence[Unit], files: Folder, watch: Watch) -> list[Outcome]:
    contents = {name: (files.path / name).read_bytes() for name in files.files}
    # As a task, and not scattered: what a worker held that dies is made again.
    sent = client.submit(dict, contents, pure=False)
    # Without priorities Dask takes up what comes within a moment in any order.
    futures = [
        client.submit(_run_there, unit, sent, pure=False, priority=-place)
        for place, unit in enumerate(units)
    ]
    outcomes: list[Outcome] = [None] * len(units)
    pending = dict(enumerate(futures))
    try:
        while pending and not watch.stop():
            done = [place for place, future in pending.items() if future.done()]
            for place in done:
                outcomes[place] = _outcome(pending.pop(place))
            if done:
                watch.ended(len(units) - len(pending))
            else:
                time.sleep(POLL_S)
    finally:
        client.cancel(list(pending.values()))
    return outcomes


def _outcome(future: "Future") -> Outcome:
    from distributed.scheduler import KilledWorker

    if future.status == "finished":
        found: bytes = future.result()
        return found
    if future.status != "error":
        return Lost("the Dask scheduler has left", ExitStatus.UNREACHABLE)
    error = future.exception()
    if isinstance(error, KilledWorker):
        return Lost("every worker that took it up died; memory may have run out there")
    return lost_by(error)


def _run_there(unit: Unit, files: Mapping[str, bytes]) -> bytes | None:
    """On a worker of Dask: one run, or None when nobody waits for it any more."""
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()

    def is_forgotten() -> bool:
        # Dask cannot end a thread: what it has cancelled, or whose client is gone, must look itself.
        task = worker.state.tasks.get(key)
        return task is None or task.state == "cancelled"

    with tempfile.TemporaryDirectory(prefix="iris-sweep-") as folder:
        for name, content in files.items():
            if name in unit.text:
                (Path(folder) / name).write_bytes(content)
        return run_unit(unit, folder, stop=is_forgotten)
