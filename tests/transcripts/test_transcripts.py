"""Every story still goes as it is written. `pytest --rewrite` writes them anew: read it."""

from pathlib import Path

import pytest

from tests.transcripts.teller import retell

STORIES = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.stem)
def test_a_story_goes_as_it_is_written(story: Path, request: pytest.FixtureRequest) -> None:
    text = story.read_text(encoding="utf-8")
    told = retell(text)
    if request.config.getoption("--rewrite"):
        story.write_text(told, encoding="utf-8")
    else:
        assert told == text, "if the new story is right, run with --rewrite and say why"


def test_there_are_stories() -> None:
    assert len(STORIES) >= 8


def test_a_story_that_goes_otherwise_is_told_apart() -> None:
    text = "listing\n----\nObservation why='something else'\n"
    assert retell(text) != text
    assert retell(retell(text)) == retell(text)


def test_a_command_that_nobody_knows_ends_the_story() -> None:
    with pytest.raises(AssertionError, match="no such command: dance now"):
        retell("dance now\n----\n")
