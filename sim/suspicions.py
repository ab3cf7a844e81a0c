"""What is legal in a scenario and probably not meant: told before the run, and refused by nobody."""

from collections.abc import Iterator

from iris.units import format_duration
from sim.model import Entry, Scenario
from sim.traces import read_jobs


def suspicions(scenario: Scenario) -> Iterator[str]:
    """A sentence for each, in the order of the file."""
    yield from _idle_preemption(scenario)
    for entry in scenario.workload:
        yield from _left_out(entry)
        yield from _too_late(entry, scenario)


def _idle_preemption(scenario: Scenario) -> Iterator[str]:
    """The cloud takes only what is preemptible."""
    cloud = scenario.cloud
    if any(group.preemptible for group in scenario.cluster.groups):
        return
    said = {
        "lifetime": cloud.lifetime is not None,
        "lifetime_max": cloud.lifetime_max is not None,
        "zone_lifetime": bool(cloud.zone_lifetime),
        "notice": bool(cloud.notice),
    }
    keys = [f"cloud.{key}" for key, is_said in said.items() if is_said]
    if keys:
        verb = "has" if len(keys) == 1 else "have"
        yield f"{', '.join(keys)} {verb} no effect: no scale group is `preemptible: true`"


def _left_out(entry: Entry) -> Iterator[str]:
    """Rows of a trace that nobody can run."""
    if entry.trace is None:
        return
    count = read_jobs(entry.trace).left_out
    if count:
        rows = "1 row was" if count == 1 else f"{count:,} rows were"
        why = "a run time or a number of processors is missing"
        yield f"{entry.trace.file}: {rows} left out, for {why}"


def _too_late(entry: Entry, scenario: Scenario) -> Iterator[str]:
    """Arrivals that lie behind the end."""
    end = scenario.duration
    if end is None or entry.arrivals is None or entry.arrivals.at is None:
        return
    late = sum(1 for at in entry.arrivals.at if at >= end)
    if late:
        jobs = "1 job comes" if late == 1 else f"{late:,} jobs come"
        yield (
            f"workload entry `{entry.template.entry}`: {jobs} after the duration,"
            f" {format_duration(end)}, and will not be simulated"
        )
