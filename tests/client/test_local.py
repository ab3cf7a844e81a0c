"""A cluster of a program's own: no part of another one, and gone when the program is."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.cluster.running import until

PROGRAM = """\
import os
from iris.client import IrisClient
from iris.cluster.types import Entrypoint

client = IrisClient.local()
job = client.submit(Entrypoint.from_callable(pow, 2, 5), "power")
print(job.id, job.result(60), flush=True)
os._exit(3)
"""


def test_within_a_task_of_another_cluster_it_is_none_of_that_and_dies_with_its_program(
    tmp_path: Path,
) -> None:
    elsewhere = {
        "IRIS_CONTROLLER_ADDRESS": "http://127.0.0.1:1",
        "IRIS_JOB_ID": "/bob/outer",
        "IRIS_BUNDLE": "0" * 64,
        "TMPDIR": str(tmp_path),
        "LOGNAME": "alice",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, **elsewhere},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, "/alice/power 32\n"), done.stderr
    until(lambda: not list(tmp_path.glob("iris-local-*")), 60)


POOL = """\
import time
from iris.client import IrisClient, WorkerPool

pool = WorkerPool(IrisClient.local(), 1, "naps")
futures = [pool.submit(time.sleep, 3_600) for _ in range(1_000)]
while not pool.progress().running:
    time.sleep(0.01)
print(pool.jobs[0].id, flush=True)
futures[-1].result()
"""


def test_at_the_first_ctrl_c_a_program_ends_that_has_calls_of_a_pool(tmp_path: Path) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", POOL],
        env={**os.environ, "TMPDIR": str(tmp_path), "LOGNAME": "alice"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    assert program.stdout is not None
    assert program.stdout.readline() == "/alice/naps\n"
    os.killpg(program.pid, signal.SIGINT)  # As a terminal does.
    _, said = program.communicate(timeout=60)
    assert program.returncode == -signal.SIGINT, said
    assert said.endswith(
        "KeyboardInterrupt\n"
        "pool /alice/naps is interrupted: of its calls 999 were not begun and 1 are given up\n"
    ), said
    assert not list(tmp_path.glob("iris-local-*"))
