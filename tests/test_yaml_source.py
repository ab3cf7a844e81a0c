"""YAML with positions: values, refusals that point at their place, `--set`, grafts."""

import time
from pathlib import Path

import pytest

from iris.problems import BadInput, Problem
from iris.yaml_source import Document, load_mapping, parse_mapping


def refusals(text: str) -> tuple[Problem, ...]:
    """Why a text cannot be read."""
    with pytest.raises(BadInput) as refusal:
        parse_mapping(text, "x.yaml")
    return refusal.value.problems


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("12", 12),
        ("-3", -3),
        ("0x1f", 31),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".inf", float("inf")),
        ("-.inf", float("-inf")),
        ("true", True),
        ("~", None),
        ("", None),
        ("null", None),
        ("no", "no"),
        ("12:30", "12:30"),
        ("2026-01-01", "2026-01-01"),
        ("1_000", "1_000"),
        ("'12'", "12"),
        ("!!str 12", "12"),
        ("...x", "...x"),
        ("9" * 200, "9" * 200),
    ],
)
def test_words_mean_what_yaml_1_2_says(written: str, value: object) -> None:
    assert parse_mapping(f"a: {written}", "x").data == {"a": value}


def test_keys_are_always_text() -> None:
    assert parse_mapping("{1: a, true: b, ~: c}", "x").data == {"1": "a", "true": "b", "~": "c"}


def test_every_value_knows_its_line_and_column() -> None:
    document = parse_mapping("a:\n  b: [1, {c: 2}]\n  d:  x\n", "x.yaml")
    assert document.position(("a", "b", 1, "c")) == (2, 14)
    assert document.position(("a", "d")) == (3, 7)
    assert document.position(("a", "d", "not", "there")) == (3, 7)
    assert document.position(("nowhere",)) == (1, 1)
    problem = document.problem(("a", "d"), "wrong", "right", at_key=True)
    assert problem == Problem("x.yaml", 3, 3, "a.d", "wrong", "right", "  d:  x")


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        ("a: 1\nb: {c: 1, d: 2, c: 3}", 2, 17, "duplicate key `b.c`"),
        ("a: b: c", 1, 5, "not valid YAML"),
        ("a:\n\tb: 1", 2, 1, "not valid YAML"),
        ("a: [1", 1, 6, "not valid YAML"),
        ("é: 1\nb: é\x00", 2, 5, "the character '\\x00' may not stand in a text"),
        ("a: \udcff", 1, 4, "the character '\\udcff' may not stand in a text"),
        ("", 0, 0, "the file is empty"),
        ("# nothing\n", 0, 0, "the file is empty"),
        ("- 1\n- 2", 1, 1, "a list, not a mapping"),
        ("word", 1, 1, "'word', not a mapping"),
        ("a: 1\n---\nb: 2", 2, 1, "a second document begins"),
        ("a: *b", 1, 4, "no finished anchor `&b`"),
        ("a: &a [*a]", 1, 8, "no finished anchor `&a`"),
        ("? [1]\n: 2", 1, 3, "a key is not a word"),
        ("a: !!python/object/apply:os.getcwd []", 1, 4, "is not supported"),
        ("a: !x y", 1, 4, "tag `!x` is not supported"),
        ("a: {<<: 3}", 1, 9, "merges something that is no mapping"),
        ("a: " + "[" * 900, 1, 67, "nested deeper than 64 levels"),
        ("- " * 900, 1, 129, "nested deeper than 64 levels"),
    ],
)
def test_a_bad_text_is_refused_at_its_place(text: str, line: int, column: int, said: str) -> None:
    (problem,) = refusals(text)
    assert (problem.line, problem.column) == (line, column)
    assert said in problem.message
    assert problem.help


@pytest.mark.parametrize("text", ["a: " + "[" * 100_000, "- " * 100_000])
def test_no_depth_is_too_deep_to_be_refused(text: str) -> None:
    (problem,) = refusals(text)  # In our words, or in those of a library that counts itself.
    assert "nest" in problem.message


def test_all_duplicate_keys_are_told_at_once() -> None:
    assert [problem.line for problem in refusals("a: 1\na: 2\nb: {c: 1, c: 2}\na: 3")] == [2, 3, 4]


def test_tabs_are_named_as_the_culprit() -> None:
    (problem,) = refusals("a:\n\tb: 1")
    assert "no tabs" in problem.help


def test_aliases_and_merges_give_copies_of_their_own() -> None:
    document = parse_mapping("x: &x {a: 1, b: 2}\ny: *x\nz: {<<: *x, b: 3}\n", "x")
    assert document.data["z"] == {"a": 1, "b": 3}
    document.override("y.a", "9")
    assert document.data == {"x": {"a": 1, "b": 2}, "y": {"a": 9, "b": 2}, "z": {"a": 1, "b": 3}}


def test_of_several_merged_mappings_the_first_wins() -> None:
    text = "x: &x {a: 1}\ny: &y {a: 2, b: 2}\nz: {<<: [*x, *y]}"
    assert parse_mapping(text, "x").data["z"] == {"a": 1, "b": 2}


def test_a_bomb_of_aliases_does_not_go_off() -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    for above, below in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{below}: &{below} [{', '.join([f'*{above}'] * 10)}]")
    start = time.monotonic()
    (problem,) = refusals("\n".join(lines))
    assert "aliases counted at each use" in problem.message
    assert time.monotonic() - start < 30


def test_aliases_nest_no_deeper_than_lists_may() -> None:
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 70))]
    (problem,) = refusals("\n".join(lines))
    assert "64 levels" in problem.message
    parse_mapping("\n".join(lines[:60]), "x.yaml")


def test_a_file_that_cannot_be_used_is_refused_by_name(tmp_path: Path) -> None:
    latin, large = tmp_path / "latin.yaml", tmp_path / "large.yaml"
    latin.write_bytes(b"a: 1\nb: \xe9\n")
    large.write_text("a: 1\n" * 10)
    for path, said in [
        (tmp_path / "absent.yaml", "no such file"),
        (tmp_path, "is a directory"),
        (latin, "not UTF-8: byte 0xe9 in line 2"),
        (large, "larger than 49 bytes"),
    ]:
        with pytest.raises(BadInput) as refusal:
            load_mapping(path, max_bytes=49)
        (problem,) = refusal.value.problems
        assert said in problem.message
        assert (problem.file, problem.line) == (str(path), 0)
    assert len(large.read_bytes()) == 50


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    document = load_mapping(path)
    assert document.data == {"a": 1, "b": 2}
    assert document.position(("b",)) == (2, 4)


def test_an_override_sets_values_and_makes_the_way_to_them() -> None:
    document = parse_mapping("a: {b: 1}\nc: [{d: 1}, {d: 2}]\ne:\n", "x.yaml")
    for key, text in [
        ("a.b", "[1, 2]"),
        ("c.0", "7"),
        ("c.1.d", "5m"),
        ("e.f.g", "true"),
        ("h", "{i: 1}"),
    ]:
        document.override(key, text)
    assert document.data == {
        "a": {"b": [1, 2]},
        "c": [7, {"d": "5m"}],
        "e": {"f": {"g": True}},
        "h": {"i": 1},
    }


def test_problems_of_an_override_point_at_the_option() -> None:
    document = parse_mapping("a: {b: {c: 1}}", "x.yaml")
    document.override("a.b", "{d: 2}")
    expected = Problem("--set", 1, 5, "a.b.d", "wrong", "", "a.b={d: 2}")
    assert document.problem(("a", "b", "d"), "wrong") == expected
    assert document.problem(("a", "b", "c"), "gone").file == "--set"
    assert document.problem(("a",), "mine").file == "x.yaml"


@pytest.mark.parametrize(
    ("key", "text", "said"),
    [
        ("a.b.c", "1", "`a.b` is 1, which has no key `c`"),
        ("c.2.d", "1", "`c` has no item 2; it holds 2"),
        ("c.x", "1", "`c` has no item x; it holds 2"),
        ("c.-1", "1", "`c` has no item -1; it holds 2"),
        ("a..b", "1", "is not a dotted key"),
        ("", "1", "is not a dotted key"),
        ("a", "[1", "not valid YAML"),
        ("a", "{b: 1, b: 2}", "duplicate key `b`"),
    ],
)
def test_an_override_that_leads_nowhere_is_refused(key: str, text: str, said: str) -> None:
    document = parse_mapping("a: {b: 1}\nc: [{d: 1}, {d: 2}]", "x.yaml")
    with pytest.raises(BadInput) as refusal:
        document.override(key, text)
    (problem,) = refusal.value.problems
    assert said in problem.message
    assert problem.file == "--set"
    assert document.data == {"a": {"b": 1}, "c": [{"d": 1}, {"d": 2}]}


def test_a_graft_brings_its_own_places() -> None:
    document = parse_mapping("cluster: other.yaml\nname: x", "x.yaml")
    document.graft(("cluster",), parse_mapping("\n\ngroups: {a: 1}", "other.yaml"))
    assert document.data == {"cluster": {"groups": {"a": 1}}, "name": "x"}
    problem = document.problem(("cluster", "groups", "a"), "wrong")
    assert (problem.file, problem.line, problem.column) == ("other.yaml", 3, 13)
    assert problem.source_line == "groups: {a: 1}"


def test_a_graft_forgets_what_stood_there() -> None:
    document = parse_mapping("cluster: {old: {deep: 1}}", "x.yaml")
    document.graft(("cluster",), parse_mapping("\nnew: 1", "other.yaml"))
    assert document.problem(("cluster", "old", "deep"), "gone").file == "other.yaml"


def test_the_error_is_rendered_with_its_line_and_a_caret() -> None:
    document = parse_mapping("a:\n  b: wrong\n", "bad.yaml")
    problems = [
        document.problem(("a", "b"), "'wrong' is not right", "write right"),
        document.problem(("a", "b"), "unknown key `a.b`", at_key=True),
        Problem("gone.yaml", 0, 0, "", "cannot read it", "", ""),
    ]
    assert BadInput(problems).render().splitlines() == [
        "error: `a.b`: 'wrong' is not right",
        "  --> bad.yaml:2:6",
        "    2 |   b: wrong",
        "      |      ^",
        "      = help: write right",
        "error: unknown key `a.b`",
        "  --> bad.yaml:2:3",
        "    2 |   b: wrong",
        "      |   ^",
        "error: cannot read it",
        "  --> gone.yaml",
    ]


def test_a_long_line_is_cut_around_the_caret_and_made_harmless() -> None:
    line = "x: " + "y" * 300 + "\x1b[31m!" + "z" * 300
    lines = Problem("f", 1, line.index("!") + 1, "", "m", "", line).render().splitlines()
    assert lines[2][8 + lines[3].index("^") - 8] == "!"
    assert "\x1b" not in lines[2]
    assert len(lines[2]) < 140


def test_documents_compare_by_what_they_say() -> None:
    assert isinstance(parse_mapping("a: 1", "x"), Document)
    assert parse_mapping("a: 1", "x") == parse_mapping("a: 1", "x")
