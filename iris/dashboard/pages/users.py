"""Users and cost: what each user has had, what became of it, and what the groups have cost."""

from collections.abc import Sequence
from dataclasses import dataclass

from iris.core.ids import GroupName, UserName
from iris.core.instant import HOUR
from iris.dashboard.page import Asked, Json, Page, object_of
from iris.dashboard.subject import Subject


@dataclass(frozen=True, slots=True)
class UserRow:
    """One user; hours of chips, or of cores where there are none."""

    user: UserName
    jobs: int
    open_tasks: int
    kept_h: float
    lost_h: float
    running_h: float
    cost: float
    """Millionths of a dollar."""

    @property
    def kept_fraction(self) -> float | None:
        """The share of what has ended that was kept; nothing when nothing has."""
        ended = self.kept_h + self.lost_h
        return self.kept_h / ended if ended else None


@dataclass(frozen=True, slots=True)
class GroupCost:
    """One group's cost, in millionths of a dollar."""

    group: GroupName
    per_hour: int
    so_far: float
    """Since this controller began, or the simulation did, its warm-up left out."""


@dataclass(frozen=True, slots=True)
class Users:
    """What the page shows."""

    users: Sequence[UserRow]
    groups: Sequence[GroupCost]


async def load(subject: Subject, _: Asked) -> Users:
    """All users, the one first who has had most."""
    state, now = subject.state, subject.now()
    had = await subject.recent.usage.look(state, now)
    users = [
        UserRow(
            user,
            it.jobs,
            state.unended.get(user, 0),
            it.kept / HOUR,
            it.lost / HOUR,
            it.running / HOUR,
            it.cost / HOUR,
        )
        for user, it in had.items()
    ]
    users.sort(key=lambda row: (-(row.kept_h + row.lost_h + row.running_h), row.user))
    spent, per_hour = subject.spent(), subject.recent.costs.per_hour(state)
    groups = [GroupCost(name, each, spent[name] / HOUR) for name, each in per_hour.items()]
    return Users(users, groups)


def told(model: Users) -> Json:
    """The same for programs."""
    users = [
        {
            "user": row.user,
            "jobs": row.jobs,
            "kept_chip_h": row.kept_h,
            "lost_chip_h": row.lost_h,
            "running_chip_h": row.running_h,
            "kept_fraction": row.kept_fraction,
            "cost_usd": row.cost / 1_000_000,
        }
        for row in model.users
    ]
    groups = [
        {
            "group": row.group,
            "usd_per_hour": row.per_hour / 1_000_000,
            "cost_usd": row.so_far / 1_000_000,
        }
        for row in model.groups
    ]
    return object_of("Usage", {"users": users, "groups": groups})


PAGE = Page("/users", "users.html", "Users and cost", load, told)
