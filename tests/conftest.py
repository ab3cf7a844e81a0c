"""How the tests run: Hypothesis profiles, and a run that does not forgive a skipped test.

`pytest --no-skips`, which `.ci/run` uses, fails every test that skips itself. The one excuse is a
trace beside the project, `needs ../shared/data/…`, and only where that folder really is absent.

`pytest --after FILE`, likewise, begins when somebody who prepares something for the tests has written
that file, and only if it says `made`. Meanwhile all that the tests import is compiled, once.
"""

import gc
import os
import pkgutil
import re
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from importlib import import_module
from pathlib import Path
from typing import Final

import hypothesis
import pytest

TRACED: Final = tuple(Path(__file__).with_name(name) for name in ("core", "properties"))
DATA: Final = "../shared/data"
WAITING: Final = ("actor", "cli", "client", "cluster", "dashboard", "gcp", "ports")
"""Folders of tests that start processes and mostly wait for them."""
DEAR: Final = (
    "test_tools.py",
    "test_theory.py",
    "test_fuzz.py",
    "test_scenarios.py",
    "test_nasa.py",
)
"""Modules that compute for long, and are not left for the end."""
PREPARATION_S: Final = 400
NEEDS_DATA: Final = re.compile(r"(Skipped: )?needs \.\./shared/data\b")

hypothesis.settings.register_profile(
    "dev", max_examples=40, stateful_step_count=30, deadline=None, derandomize=True
)
hypothesis.settings.register_profile(
    "ci",
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    print_blob=True,
)
hypothesis.settings.register_profile(
    "night", max_examples=10_000, stateful_step_count=200, deadline=None, print_blob=True
)
hypothesis.settings.load_profile(os.environ.get("IRIS_TESTS", "dev"))


# A shell without job control starts what runs in the background with Ctrl-C ignored, and children
# inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--after`, `--no-skips` and `--rewrite`."""
    parser.addoption("--after", type=Path, metavar="FILE", help="begin when it says `made`")
    parser.addoption("--no-skips", action="store_true", help="a test that skips itself fails")
    parser.addoption("--rewrite", action="store_true", help="write the transcripts anew")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Waits for what is still being prepared.

    Raises:
        pytest.Exit: it could not be, and the file says why; or the file did not come.
    """
    file: Path | None = session.config.getoption("--after")
    if file is None or hasattr(session.config, "workerinput"):
        return
    waiting = [f"tests/{name}" for name in WAITING]
    halves = (waiting, ["tests", *(f"--ignore={name}" for name in waiting)])
    several = session.config.getoption("numprocesses", 0)
    compiling = [compilation(*half) for half in halves if several]
    deadline = time.monotonic() + PREPARATION_S
    while not file.exists():
        if time.monotonic() > deadline:
            pytest.exit(f"{file} did not come within {PREPARATION_S} s", returncode=1)
        time.sleep(0.1)
    told = file.read_text()
    if told.strip() != "made":
        pytest.exit(f"what the tests need could not be prepared:\n{told}", returncode=1)
    for process in compiling:
        process.wait()


def compilation(*words: str) -> "subprocess.Popen[bytes]":
    """Collects some of the tests, for the bytecode that is kept of what they import.

    Else each of the processes that run tests would compile it, at the same time.
    """
    options = ("--collect-only", "-qq", "-n0", "--no-cov", "-p", "no:cacheprovider")
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, *words],
        env={name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collects without coverage's tracer, which has to see no more than the import of the core.

    What is there afterwards stays: no search for garbage looks at it again.
    """
    tracer = sys.gettrace()
    if tracer is not None:
        core = import_module("iris.core")
        for module in pkgutil.iter_modules(core.__path__, "iris.core."):
            import_module(module.name)
    sys.settrace(None)
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
        sys.settrace(tracer)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Lets each process begin with its share of the tests that wait for others, and end with those that compute.

    Processes start with equal parts of the list and then take from each other (`--dist=worksteal`). So at the
    end there is work left for every processor, and it is of small pieces; modules stay whole, for their tests
    share what they start.
    """
    count = int(getattr(config, "workerinput", {}).get("workercount", 1))
    modules: dict[Path, list[pytest.Item]] = {}
    for item in items:
        modules.setdefault(item.path, []).append(item)
    early = [path for path in modules if path.parent.name in WAITING]
    early += [path for name in DEAR for path in modules if path.name == name]
    late = [item for path, module in modules.items() if path not in early for item in module]
    shares = [[item for path in early[k::count] for item in modules[path]] for k in range(count)]
    size = -(-len(items) // count)
    items.clear()
    for share in shares:
        rest = max(0, size - len(share))
        items += share + late[:rest]
        del late[:rest]
    items += late


def excused(reason: str, root: Path) -> bool:
    """Whether a test had to skip itself: its trace is not on this machine."""
    return NEEDS_DATA.match(reason) is not None and not (root / DATA).is_dir()


def refuse_skip(report: pytest.TestReport | pytest.CollectReport, config: pytest.Config) -> None:
    """Turns a skip without an excuse into a failure that repeats its reason."""
    if not report.skipped or hasattr(report, "wasxfail") or not config.getoption("--no-skips"):
        return
    reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
    if not excused(reason, config.rootpath):
        report.outcome = "failed"
        report.longrepr = f"must not be skipped here: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Looks at what each test says of itself."""
    report = yield
    refuse_skip(report, item.config)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Looks at modules that skip themselves as a whole."""
    report = yield
    refuse_skip(report, collector.config)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Takes coverage's tracer off whatever is no test of the core itself, and off its fixtures.

    The core is covered whole by its own tests, and all others run at their full speed.
    """
    of_the_core = any(item.path.is_relative_to(folder) for folder in TRACED)
    tracer = None if of_the_core else sys.gettrace()
    if tracer is None:
        return (yield)
    sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracer)
