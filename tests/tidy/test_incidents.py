"""The page of incidents is honest: every entry has its proof, and every proof is a test that runs."""

import sys
from subprocess import run

import pytest

from tests.make_incidents import PAGE, entries, numbers_of, page, proofs
from tests.tidy.tree import ROOT


def test_the_page_of_incidents_is_what_the_table_and_the_tests_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python tests/make_incidents.py"


def test_entries_are_numbered_without_a_gap() -> None:
    assert [entry.number for entry in entries()] == list(range(1, 149))


def test_an_entry_has_proofs_exactly_when_nothing_else_is_said_of_it() -> None:
    proved = proofs()
    wrong = [
        entry.number
        for entry in entries()
        if (entry.number in proved) == bool(entry.waits or entry.open)
    ]
    assert wrong == []
    assert set(proved) <= {entry.number for entry in entries()}


def test_exactly_the_tests_that_are_listed_are_collected(request: pytest.FixtureRequest) -> None:
    listed = {(proof.file.as_posix(), proof.name) for found in proofs().values() for proof in found}
    files = sorted({file for file, _ in listed})
    tests = [item.nodeid.partition("::") for item in request.session.items]
    if not {file for file, _, _ in tests}.issuperset(files):  # This run is of some tests only.
        tests = collected(files)
    names = {(file, test.partition("[")[0]) for file, _, test in tests}
    assert {(file, name) for file, name in names if numbers_of(name)} == listed


def collected(files: list[str]) -> list[tuple[str, str, str]]:
    """What pytest finds in some files: the file, two colons, and the test."""
    words = ("-m", "pytest", "--collect-only", "-q", "-n0", "--no-cov", "-p", "no:cacheprovider")
    said = run(
        [sys.executable, *words, *files], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return [line.partition("::") for line in said.stdout.splitlines() if "::" in line]
