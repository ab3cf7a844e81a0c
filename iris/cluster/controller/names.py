"""Which job somebody means who does not write its whole path."""

from iris.core.ids import JobId, UserName
from iris.core.state import ClusterState

MOST_TOLD = 5


class Ambiguous(Exception):
    """More than one job could be meant; says which."""


def job_meant(state: ClusterState, text: str, user: UserName | None) -> JobId | None:
    """The job of a path, or of a name or the beginning of a path that only one job has; none if nobody has.

    Raises:
        Ambiguous: several have.
    """
    if text in state.jobs or not text:
        return JobId(text) if text else None
    if not text.startswith("/"):
        own = JobId(f"/{user}/{text}") if user is not None else None
        if own in state.jobs:
            return own
        found = [job for job in state.jobs if job.endswith(f"/{text}")]
    else:
        found = [job for job in state.jobs if job.startswith(text)]
    if len(found) > 1:
        more = f", and {len(found) - MOST_TOLD} more" if len(found) > MOST_TOLD else ""
        raise Ambiguous(f"{text} could be {', '.join(sorted(found)[:MOST_TOLD])}{more}")
    return found[0] if found else None
