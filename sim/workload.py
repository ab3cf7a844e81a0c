"""The work that comes: every job of a scenario, in order of arrival, drawn or read as it is needed.

Each draw is named after its entry and the number of the job in it, so that adding, removing or
reordering entries moves no other draw. Jobs of one instant come in the order of the entries, and
within an entry by number. A job that would come at the scenario's end or later never comes.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from heapq import merge
from itertools import count, islice, takewhile

from iris.core.instant import Instant, Millis
from sim.broods import Broods
from sim.dice import Dice, logarithm
from sim.model import Arrival, Arrivals, Entry, JobTemplate, Scenario, Trace, TraceUnit
from sim.traces import TraceJobs, read_jobs


def arrivals(scenario: Scenario, dice: Dice) -> Iterator[Arrival]:
    """Every job that comes before the scenario's duration is over, in order."""
    broods = Broods(scenario.workload, dice)
    streams = [
        _keyed(position, _entry_arrivals(entry, dice, broods))
        for position, entry in enumerate(scenario.workload)
        if entry.per_parent is None
    ]
    streams.append(_keyed(len(streams), iter(scenario.recorded)))
    merged = (arrival for _, _, _, arrival in merge(*streams))
    end = scenario.duration
    return merged if end is None else takewhile(lambda arrival: arrival.at < end, merged)


def total_jobs_known(scenario: Scenario) -> int | None:
    """How many jobs come at most (the duration may cut some off), or None when that is endless."""
    own: dict[str, int | None] = {}
    for entry in scenario.workload:
        each, above = entry.per_parent, [own[name] for name, _ in entry.template.above[-1:]]
        known_above = above[0] if above else None
        if each is None:
            own[entry.template.entry] = _entry_total(entry)
        else:
            own[entry.template.entry] = None if known_above is None else known_above * each
    totals = list(own.values())
    totals.append(len(scenario.recorded))
    known = [total for total in totals if total is not None]
    return sum(known) if len(known) == len(totals) else None


def _keyed(position: int, stream: Iterator[Arrival]) -> Iterator[tuple[Instant, int, int, Arrival]]:
    # The first three differ for any two jobs, so that jobs themselves are never compared.
    return ((arrival.at, position, arrival.number, arrival) for arrival in stream)


def _entry_total(entry: Entry) -> int | None:
    if entry.trace is not None:
        return _least(len(read_jobs(entry.trace)), entry.trace.limit, entry.count)
    assert entry.arrivals is not None, entry.template.entry
    times = entry.arrivals.at
    return entry.count if times is None else _least(len(times), entry.count)


def _least(total: int, *limits: int | None) -> int:
    return min((total, *(limit for limit in limits if limit is not None)))


def _entry_arrivals(entry: Entry, dice: Dice, broods: Broods) -> Iterator[Arrival]:
    if entry.trace is not None:
        return _traced(entry, entry.trace)
    assert entry.arrivals is not None, entry.template.entry
    numbered = enumerate(_instants(entry.template.entry, entry.arrivals, dice))
    return (broods.job(entry, number, at) for number, at in islice(numbered, entry.count))


def _instants(entry: str, when: Arrivals, dice: Dice) -> Iterator[Instant]:
    """When the jobs of an entry come, in order and without end where the arrivals have none."""
    if when.at is not None:
        return iter(when.at)
    if when.every is not None:
        every = when.every
        return (Instant(every * number) for number in count())
    assert when.poisson_mean is not None, entry
    return _poisson(entry, when.poisson_mean, dice)


def _poisson(entry: str, mean_ms: float, dice: Dice) -> Iterator[Instant]:
    # The sum is kept in fractions, for rounding each gap would bend the rate of frequent arrivals.
    at_ms = 0.0
    for number in count():
        at_ms -= mean_ms * logarithm(1.0 - dice.uniform("arrival", entry, number))
        yield Instant(int(at_ms + 0.5))


def _traced(entry: Entry, trace: Trace) -> Iterator[Arrival]:
    """The rows of a trace as jobs; rows of one width share one template."""
    rows = read_jobs(trace)
    shaped: dict[int, JobTemplate] = {}
    shape = _shaper(entry.template, trace)
    for number in range(_least(len(rows), trace.limit, entry.count)):
        width = rows.width_milli[number]
        template = shaped.get(width)
        if template is None:
            template = shaped[width] = shape(width)
        yield _row_arrival(rows, number, template, trace.time_scale)


def _row_arrival(rows: TraceJobs, number: int, template: JobTemplate, scale: float) -> Arrival:
    at_ms = rows.submit_ms[number]
    at = at_ms if scale == 1.0 else int(at_ms * scale + 0.5)
    user = rows.users[number] if rows.users else ""
    run_time = Millis(rows.run_ms[number])
    return Arrival(Instant(at), number, run_time, user or template.user, template)


def _shaper(template: JobTemplate, trace: Trace) -> Callable[[int], JobTemplate]:
    """What a row of so many thousandths of a processor asks for."""
    match trace.unit:
        case TraceUnit.CPU:
            return lambda width: replace(template, cpu_milli=width)
        case TraceUnit.REPLICAS:
            return lambda width: replace(template, replicas=width // 1000)
        case TraceUnit.GPU:
            most = trace.gpus_per_task
            return lambda width: replace(
                template, replicas=-(-width // (most * 1000)), chips=min(width // 1000, most)
            )
