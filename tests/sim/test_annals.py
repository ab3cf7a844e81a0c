"""What happened in a simulation, as its pages tell it: the same that a journal of its turns would tell."""

import pytest
import yaml

from iris.core import decisions as de
from iris.core import events as ev
from iris.core.ids import GroupName, JobId
from iris.core.instant import Instant
from iris.core.record import Turn
from iris.core.timeline import Chapter, Of, Subject, happenings, timeline_of_group
from sim import annals
from sim.annals import Annals
from sim.run import world_of
from sim.scenario import load_scenario
from sim.world import DigestJournal
from tests.dashboard.stages import FLEET

LATER = Instant(10**12)


class Kept(DigestJournal):
    """A journal that keeps all turns."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[Turn] = []

    def append(self, turn: Turn) -> None:
        super().append(turn)
        self.all.append(turn)


@pytest.fixture(scope="module")
def turns(tmp_path_factory: pytest.TempPathFactory) -> list[Turn]:
    """All turns of five hours in a fleet with all that can happen to one."""
    path = tmp_path_factory.mktemp("annals") / "fleet.yaml"
    path.write_text(yaml.safe_dump({**FLEET, "duration": "5h"}))
    world = world_of(load_scenario(path))
    world.journal = Kept()
    while world.goes_on():
        world.clock.step()
    return world.journal.all


def written(turns: list[Turn]) -> Annals:
    found = Annals()
    for number, turn in enumerate(turns, start=1):
        found.turned(turn, number)
    return found


def test_they_tell_what_a_journal_tells_of_everybody_page_by_page(turns: list[Turn]) -> None:
    found, numbered = written(turns), list(enumerate(turns, start=1))
    (spec,) = [it.spec for it in turns[0].events if isinstance(it, ev.ConfigLoaded)]
    subjects = [timeline_of_group(spec, GroupName(name)) for name in ("tpu", "scarce", "cpu")]
    for of, id in (
        (Of.JOB, "/alice/train-0"),
        (Of.TASK, "/alice/train-1:3"),
        (Of.JOB, "/bob/stuck-0"),
        (Of.SLICE, "iris-tpu-2"),
        (Of.WORKER, "iris-tpu-2-w2"),
        (Of.WORKER, "iris-cpu-1-w0"),
    ):
        subjects.append(Subject(of, id))
    for subject in subjects:
        told = tuple(happenings(numbered, subject))
        assert told, subject
        assert found.chapter(subject, 0, len(told)) == Chapter(told, 0, 1, Instant(0))
        pages = [found.chapter(subject, 0, 5)]
        while pages[-1].before:
            assert len(pages[-1].happenings) >= 5
            pages.append(found.chapter(subject, pages[-1].before, 5))
        assert tuple(it for page in reversed(pages) for it in page.happenings) == told
    assert found.chapter(Subject(Of.JOB, "/x/y"), 0, 9) == Chapter((), 0, 1, Instant(0))


def test_of_very_much_the_oldest_goes_and_with_a_record_in_time_what_happened_to_it(
    turns: list[Turn], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(annals, "MOST", 10)
    monkeypatch.setattr(annals, "MOST_FORGOTTEN", 1)
    found, job = written(turns), Subject(Of.JOB, "/alice/train-0")
    whole = tuple(happenings(enumerate(turns, start=1), job))
    page = found.chapter(job, 0, 1_000)
    assert page.happenings == whole[-10:]
    assert (page.first_turn, page.first_at) == (whole[-10].turn, whole[-10].at)
    stuck = Subject(Of.JOB, "/bob/stuck-0")
    for number, subject in enumerate((job, stuck), start=len(turns) + 1):
        found.turned(Turn(LATER, (), (de.Oblivion((JobId(subject.id),), ()),)), number)
    assert found.chapter(job, 0, 1_000).happenings == ()
    assert found.chapter(stuck, 0, 1_000).happenings[-1].text == "its record is forgotten"
