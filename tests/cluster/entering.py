"""`iris task exec` as a process of its own, for tests."""

import os
import subprocess
import sys
from typing import Any

from tests.cluster.running import RunningCluster

PROGRAM = [sys.executable, "-c", "import sys; from iris.cli.main import main; sys.exit(main())"]
WAIT_S = 60.0


def entering(shared: RunningCluster, *words: str, **how: Any) -> "subprocess.Popen[bytes]":
    """A command in a task, begun."""
    arguments, variables = command(shared, *words)
    return subprocess.Popen(arguments, env=variables, **how)


def entered(
    shared: RunningCluster, *words: str, input: bytes = b""
) -> "subprocess.CompletedProcess[bytes]":
    """A command in a task, to its end."""
    arguments, variables = command(shared, *words)
    return subprocess.run(
        arguments, env=variables, input=input, capture_output=True, timeout=WAIT_S, check=False
    )


def command(shared: RunningCluster, *words: str) -> tuple[list[str], dict[str, str]]:
    """What to execute, and with which environment."""
    variables = {**os.environ, "IRIS_CONTROLLER_URL": shared.url, "LOGNAME": "alice"}
    return [*PROGRAM, "task", "exec", *words], variables
