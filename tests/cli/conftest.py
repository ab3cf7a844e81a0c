"""A running cluster and its commands, for the modules here that bring none of their own."""

from collections.abc import Iterator

import pytest

from tests.cli.commands import Run, commands_of
from tests.cluster.running import RunningCluster, running


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """A cluster that the tests of a module share."""
    yield from running(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def iris(
    shared: RunningCluster, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Run:
    """Runs commands against it."""
    return commands_of(shared.url, monkeypatch, capfd)
