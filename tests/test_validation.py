"""A document against a model: all that does not fit is told at once, in our words, in its place."""

from typing import Annotated, Literal

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from iris.fields import Count, Cpu, Duration
from iris.problems import BadInput, Finding, Unfit
from iris.yaml_source import parse_mapping, validate


class Leaf(BaseModel):
    """A mapping with a check of its own."""

    model_config = ConfigDict(extra="forbid", strict=True)

    low: Count = 0
    high: Count = 9
    cpu: Cpu = 0

    @model_validator(mode="after")
    def _ordered(self) -> "Leaf":
        if self.low > self.high:
            raise Unfit([Finding(("low",), "too high"), Finding((), "bad", "mend it")])
        return self


class One(BaseModel):
    """A kind of thing."""

    model_config = ConfigDict(extra="forbid", strict=True)
    type: Literal["one"]
    leaf: Leaf


class Two(BaseModel):
    """Another kind of thing."""

    model_config = ConfigDict(extra="forbid", strict=True)
    type: Literal["two"]
    text: str


def _even(number: int) -> int:
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number


class Tree(BaseModel):
    """Every shape that the models of Iris have."""

    model_config = ConfigDict(extra="forbid", strict=True)
    leaves: dict[str, Leaf] = Field(default_factory=dict)
    items: list[Leaf] = Field(default_factory=list)
    order: Literal["fifo", "fair"] = "fair"
    span: Duration | None = None
    flag: bool = False
    ratio: Annotated[float, Field(ge=0, le=1)] = 0.0
    thing: Annotated[One | Two, Field(discriminator="type")] | None = None
    loose: One | Two | None = None
    word: Annotated[str, Field(pattern="^[a-z]*$", min_length=1)] = "w"
    even: Annotated[int, AfterValidator(_even)] = 0


def complaints(text: str) -> list[tuple[int, int, str, str, str]]:
    """Line, column, key, message and help of all that does not fit."""
    with pytest.raises(BadInput) as refusal:
        validate(parse_mapping(text, "x.yaml"), Tree)
    return [(p.line, p.column, p.path, p.message, p.help) for p in refusal.value.problems]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "leaves: {a: {lwo: 1}}",
            (1, 14, "leaves.a.lwo", "unknown key `leaves.a.lwo`", "did you mean `low`?"),
        ),
        (
            "items: [{}, {zzzzz: 1}]",
            (1, 14, "items.1.zzzzz", "unknown key `items.1.zzzzz`", "it is one of low, high, cpu"),
        ),
        (
            "items: [{low: -1}]",
            (1, 15, "items.0.low", "-1 is out of range", "it must be at least 0"),
        ),
        (
            "items: [{low: '1'}]",
            (1, 15, "items.0.low", "expected a whole number, got '1'", "remove the quotes"),
        ),
        ("items: [{low: 1.5}]", (1, 15, "items.0.low", "expected a whole number, got 1.5", "")),
        ("items: {}", (1, 8, "items", "expected a list, got a mapping", "")),
        ("leaves:\n", (1, 8, "leaves", "expected a mapping, got nothing", "")),
        ("word: 12", (1, 7, "word", "expected text, got 12", "put it in quotes")),
        ("word: ''", (1, 7, "word", "'' is too short", "at least 1 is needed")),
        ("word: A", (1, 7, "word", "'A': string should match pattern '^[a-z]*$'", "")),
        ("even: 3", (1, 7, "even", "3 is odd", "")),
        ("flag: 'yes'", (1, 7, "flag", "expected true or false, got 'yes'", "")),
        ("ratio: 1.5", (1, 8, "ratio", "1.5 is out of range", "it must be at most 1.0")),
        (
            "order: fiffo",
            (
                1,
                8,
                "order",
                "'fiffo' is not a choice",
                "did you mean `fifo`? it is one of fifo, fair",
            ),
        ),
        (
            "thing: {type: tow}",
            (1, 8, "thing", "type is 'tow'", "did you mean `two`? it is one of one, two"),
        ),
        ("thing: {}", (1, 8, "thing", "missing key `type`", "add `type: ...`")),
        (
            "thing: {type: two}",
            (1, 1, "thing.text", "missing key `thing.text`", "add `text: ...`"),
        ),
        (
            "thing: {type: one, leaf: {hihg: 1}}",
            (1, 27, "thing.leaf.hihg", "unknown key `thing.leaf.hihg`", "did you mean `high`?"),
        ),
    ],
)
def test_what_does_not_fit_is_told_in_our_words(
    text: str, complaint: tuple[int, int, str, str, str]
) -> None:
    assert complaints(text) == [complaint]


def test_a_quantity_tells_what_would_be_right() -> None:
    ((_, column, path, message, remedy),) = complaints("span: 1 fortnight")
    assert (column, path, message) == (7, "span", "'1 fortnight' is not a duration")
    assert "90s" in remedy


def test_what_several_kinds_of_a_thing_lack_is_told_once() -> None:
    assert [path for _, _, path, _, _ in complaints("loose: {}")] == [
        "loose.type",
        "loose.leaf",
        "loose.text",
    ]


def test_a_check_of_the_model_points_below_itself() -> None:
    found = complaints("leaves:\n  a: {high: 1, low: 2}")
    assert found == [
        (2, 6, "leaves.a", "bad", "mend it"),
        (2, 21, "leaves.a.low", "too high", ""),
    ]


def test_everything_wrong_is_told_at_once_in_the_order_of_the_file() -> None:
    found = complaints("word: 1\nleaves: {b: {low: x}, a: {cpu: -1}}\nnew: 1\nspan: x\n")
    assert [path for _, _, path, _, _ in found] == [
        "word",
        "leaves.b.low",
        "leaves.a.cpu",
        "new",
        "span",
    ]


def test_a_document_that_fits_becomes_the_model() -> None:
    text = "leaves: {a: {low: 1, cpu: 0.5}}\nthing: {type: two, text: x}\nspan: 90s"
    tree = validate(parse_mapping(text, "x.yaml"), Tree)
    assert (tree.leaves["a"].cpu, tree.span, tree.thing) == (500, 90_000, Two(type="two", text="x"))
