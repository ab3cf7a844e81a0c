"""Commands as a user runs them against a cluster, within the test's own process or in one of theirs."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from iris.cli.main import main
from tests.cluster.running import RunningCluster

PROGRAM = [sys.executable, "-c", "import sys; from iris.cli.main import main; sys.exit(main())"]

Run = Callable[..., tuple[int, str, str]]
"""Runs a command line: its status, stdout and stderr."""


def commands_of(
    url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Run:
    """What Alice's shell runs, whose controller is at an address."""
    monkeypatch.setenv("IRIS_CONTROLLER_URL", url)
    monkeypatch.delenv("IRIS_TOKEN", raising=False)
    monkeypatch.setenv("LOGNAME", "alice")

    def run(*words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        status = main(list(words))
        out, err = capfd.readouterr()
        return status, out, err

    return run


def process(shared: RunningCluster, *words: str) -> "subprocess.Popen[str]":
    """A command line of Alice's in a process of its own."""
    variables = {**os.environ, "IRIS_CONTROLLER_URL": shared.url, "LOGNAME": "alice"}
    return subprocess.Popen(
        [*PROGRAM, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=variables,
        cwd=Path(__file__).parents[2],
    )
