"""Why work waits and groups stand as they do, in the core's own words, for as many as a page shows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from iris.core.explain import briefly, waiting_by_verdict, why_waiting
from iris.core.ids import GroupName, JobId
from iris.core.instant import Instant
from iris.core.reasons import NEVER as NEVER_PLACED
from iris.core.reasons import Reason, Verdict
from iris.core.rules import Rule, Scaling
from iris.core.scaling import scalings
from iris.core.state import ClusterState
from iris.core.survey import Survey
from iris.core.telling import headline, sentences
from iris.dashboard.breath import Breath
from iris.dashboard.subject import Subject

MOST_QUEUES: Final = 500
"""Kinds of waiting work that are looked at for one page."""
NEVER: Final = frozenset(verdict.value for verdict in NEVER_PLACED)
"""Verdicts of work that nobody need wait for."""
NOT_WAITING: Final = Verdict.NOT_WAITING.value
_CONTENT: Final = frozenset({Rule.SERVED, Rule.IDLE, Rule.NO_DEMAND, Rule.DEMAND})
"""Rules of groups that nothing keeps from anything."""


@dataclass(frozen=True, slots=True)
class Told:
    """Why a job waits, as a line of a list has it."""

    verdict: str
    headline: str


@dataclass(frozen=True, slots=True)
class GroupTold:
    """Why a group has the slices that it has."""

    scaling: Scaling
    headline: str
    sentences: Sequence[str]

    @property
    def group(self) -> GroupName:
        """Which group."""
        return self.scaling.group

    @property
    def rule(self) -> str:
        """What holds for it."""
        return self.scaling.rule.value

    @property
    def is_held(self) -> bool:
        """Whether it wants slices, and gets none now."""
        return self.scaling.rule not in _CONTENT


def whole(state: ClusterState, job: JobId, now: Instant) -> tuple[Reason, Sequence[str]]:
    """All that is to be said of why a job on record waits."""
    reason = why_waiting(state, job, now)
    return reason, sentences(reason)


def headlines(state: ClusterState, jobs: Iterable[JobId], now: Instant) -> Mapping[JobId, Told]:
    """Why each of several jobs waits."""
    found = briefly(state, jobs, now)
    return {job: Told(it.verdict.value, headline(it)) for job, it in found.items()}


async def by_verdict(subject: Subject, breath: Breath) -> Mapping[str, int]:
    """How many units wait, by what they wait for; of many kinds of work, the first ones."""
    counts: dict[str, int] = {}
    survey, turns = Survey(subject.state), subject.turns
    told = islice(waiting_by_verdict(subject.state, survey), MOST_QUEUES)
    for verdict, units in told:
        counts[verdict.value] = counts.get(verdict.value, 0) + units
        if await breath.draw_in_time() and subject.turns != turns:
            survey.renew()
            turns = subject.turns
    return {verdict: units for verdict, units in counts.items() if units}


def of_groups(state: ClusterState) -> Sequence[GroupTold]:
    """What holds for every configured group, in the order of the configuration."""
    return [GroupTold(it, headline(it), sentences(it)) for it in scalings(state)]
