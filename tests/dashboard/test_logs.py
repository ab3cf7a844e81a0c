"""Windows into logs: no line twice, none lost, and only what a terminal would show."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris.dashboard import logs
from iris.dashboard.words import marked

TEXT = st.text(st.sampled_from("abc \n"), max_size=200)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs") / "0.log"


@given(text=TEXT, lines=st.integers(1, 5))
def test_windows_in_a_row_hold_every_line_once(path: Path, text: str, lines: int) -> None:
    path.write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logs, "LINES", lines)
        found: list[logs.Line] = []
        at = 0
        while at < len(text):
            window = logs.after(path, at)
            found += window.lines
            assert window.end > at
            at = window.end
        tail = logs.at_end(path)
    whole = text.removesuffix("\n").split("\n") if text else []
    assert [line.text for line in found] == whole
    assert [line.text for line in tail.lines] == whole[-lines:]
    assert all(text[line.at :].startswith(line.text) for line in found)


@given(text=TEXT, at=st.integers(0, 200))
def test_a_place_within_a_line_stands_for_the_line(path: Path, text: str, at: int) -> None:
    path.write_text(text)
    window = logs.after(path, at)
    at = min(at, len(text))
    assert window.begin == text.rfind("\n", 0, at) + 1
    before = logs.before(path, at)
    assert before.end == window.begin


@given(
    text=TEXT,
    words=st.text(st.sampled_from("abc"), min_size=1, max_size=2),
    piece=st.sampled_from([40, 1_000]),
)
def test_a_filter_finds_every_line_and_a_search_the_next_one(
    path: Path, text: str, words: str, piece: int
) -> None:
    path.write_text(text)
    lines = [line for line in logs.after(path, 0).lines if words in line.text]
    assert list(logs.holding(path, words.upper(), 0).lines) == lines
    places, at = [], 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logs, "_PIECE", piece)
        patch.setattr(logs, "_SEARCHED", piece)
        while (hit := logs.next_place(path, words, at)).go_on > at:
            places += [] if hit.at is None else [hit.at]
            at = hit.go_on
    assert places == [line.at for line in lines]


def test_a_line_is_shown_as_a_terminal_would_leave_it(path: Path) -> None:
    bar = b"\x1b[32m10%\x1b[0m\r\x1b[1;31m100%\x1b[0m done\r\n"
    path.write_bytes(bar + b"\xff\xfe\n" + b"x" * 5_000 + b"\nTraceback (most recent call last):\n")
    first, second, third, last = logs.after(path, 0).lines
    assert first.text == "100% done"
    assert second.text == "\ufffd\ufffd"
    assert third.text.endswith("… 1000 more characters")
    assert last.is_trace
    assert not first.is_trace


def test_what_is_marked_is_escaped_first() -> None:
    said = marked("<b>Boom</b> & boom", "boom")
    assert said == "&lt;b&gt;<mark>Boom</mark>&lt;/b&gt; &amp; <mark>boom</mark>"
    assert marked("<b>", "") == "&lt;b&gt;"
    assert marked("İstanbul <b>", "b") == "İstanbul &lt;b&gt;"  # Its lower case is longer.
