"""A cluster of a program's own: no part of another one, and gone when the program is."""

import os
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
