"""Where the real traces lie beside the checkout, for the tests that need one."""

from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def real_trace(name: str) -> Path:
    """The file of that name below `../shared/data`, or a skip that says what is missing."""
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"needs ../shared/data/{name}, absent here")
    return path
