"""What scheduler and autoscaler decided lately, newest first, repeated ones folded; filters in the address."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from iris.dashboard.page import Asked, Json, Page, list_of
from iris.dashboard.recent import MOST_DECISIONS, RULES, Entry
from iris.dashboard.rows import Rows, cut
from iris.dashboard.subject import Subject


@dataclass(frozen=True, slots=True)
class Decisions:
    """What the page shows."""

    found: Rows[Entry]
    rules: Sequence[str]
    groups: Sequence[str]
    rule: str
    group: str
    job: str
    most: int


async def load(subject: Subject, asked: Asked) -> Decisions:
    """One page of the decisions that are asked for."""
    query, state = asked.query, subject.state
    rule, group, job = query.text("rule"), query.text("group"), query.text("job")
    matching = [
        entry
        for entry in subject.recent.entries(state)
        if rule in ("", entry.rule)
        and group in ("", entry.group)
        and (not job or (entry.job is not None and job in entry.job))
    ]
    groups = [spec.name for spec in state.spec.groups]
    return Decisions(cut(matching, query.page), RULES, groups, rule, group, job, MOST_DECISIONS)


def told(model: Decisions) -> Json:
    """The same for programs."""
    rows = [asdict(entry) for entry in model.found.rows]
    return list_of("Decision", rows, model.found.total)


PAGE = Page("/decisions", "decisions.html", "Decisions", load, told)
