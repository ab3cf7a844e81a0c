"""Commands as a user runs them against a cluster, within the test's own process."""

from collections.abc import Callable

import pytest

from iris.cli.main import main

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
