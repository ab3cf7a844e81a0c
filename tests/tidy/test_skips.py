"""`pytest --no-skips`: a test that quietly did not run is a failure, but for the one excuse."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.tidy.tree import ROOT

SKIPS = "import pytest\ndef test_it():\n    pytest.skip({reason!r})\n"
SKIPS_WHOLE = "import pytest\npytest.skip({reason!r}, allow_module_level=True)\n"
VARIABLES = {
    **{name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"},
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
}
NO_DATA = "needs ../shared/data/jobs/x.gz, absent here"


def run(folder: Path, text: str, *options: str) -> tuple[int, str]:
    """Runs one test file beside our conftest; its exit status, and what it printed."""
    folder.mkdir()
    shutil.copy(ROOT / "tests" / "conftest.py", folder)
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_it.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options],
        cwd=folder,
        env=VARIABLES,
        check=False,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_skip_passes_on_a_laptop_and_fails_in_ci(tmp_path: Path) -> None:
    text = SKIPS.format(reason="no network")
    assert run(tmp_path / "laptop", text)[0] == 0
    code, printed = run(tmp_path / "ci", text, "--no-skips")
    assert code == 1
    assert "must not be skipped here: Skipped: no network" in printed


def test_a_module_that_skips_itself_fails_in_ci(tmp_path: Path) -> None:
    code, printed = run(tmp_path / "ci", SKIPS_WHOLE.format(reason="no network"), "--no-skips")
    assert code == 2
    assert "must not be skipped here" in printed


def test_absent_data_is_an_excuse_only_while_it_is_absent(tmp_path: Path) -> None:
    text = SKIPS.format(reason=NO_DATA)
    assert run(tmp_path / "without", text, "--no-skips")[0] == 0
    (tmp_path / "shared" / "data").mkdir(parents=True)
    assert run(tmp_path / "with", text, "--no-skips")[0] == 1


def test_a_run_waits_for_what_is_prepared_and_ends_if_that_failed(tmp_path: Path) -> None:
    told = tmp_path / "told"
    told.write_text("no space left on device\n")
    code, printed = run(tmp_path / "ci", "def test_it(): pass\n", f"--after={told}")
    assert code == 1
    assert "no space left on device" in printed
    told.write_text("made\n")
    assert run(tmp_path / "later", "def test_it(): pass\n", f"--after={told}")[0] == 0
