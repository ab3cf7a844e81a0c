"""The controller in numbers, as Prometheus reads them: counted as it happens, or looked up when asked.

The registry is our own, so that several controllers in one process count apart. What is looked up
is read between two turns, queue by queue, so that no scrape holds up a turn for long.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

from iris import __version__
from iris.cluster.controller.counts import Spread
from iris.cluster.controller.turns import TurnLoop
from iris.core.explain import waiting_by_verdict
from iris.core.instant import HOUR
from iris.core.lifecycle import SliceState
from iris.core.reasons import WAITS, Verdict
from iris.core.scaling import scalings
from iris.core.state import ClusterState
from iris.core.survey import Survey
from iris.dashboard.recent import sample_of

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_BREATH: Final = 16
"""Queues that are looked at before others have their turn."""
_DOLLAR: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class _Work:
    """Chip time by what became of it, in chip-milliseconds."""

    kept: int
    lost: int
    running: int


class Metrics:
    """All numbers of one controller."""

    def __init__(self, loop: TurnLoop) -> None:
        """Of this loop, with what was counted beside it."""
        self._loop = loop
        self._counts = loop.counts
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Told(self))
        ProcessCollector(registry=self._registry, namespace="iris_controller")
        self._waiting: Counter[Verdict] = Counter()
        self._work = _Work(0, 0, 0)

    async def text(self) -> bytes:
        """All of them in Prometheus' text format, version 0.0.4."""
        await self._look()
        return generate_latest(self._registry)

    async def _look(self) -> None:
        """What takes longer than a moment."""
        waiting: Counter[Verdict] = Counter()
        survey, turns = Survey(self._state), self._loop.journal.turns
        for number, (verdict, count) in enumerate(waiting_by_verdict(self._state, survey)):
            waiting[verdict] += count
            if number % _BREATH == _BREATH - 1:
                await asyncio.sleep(0)
                if self._loop.journal.turns != turns:
                    survey.renew()
                    turns = self._loop.journal.turns
        self._waiting = waiting
        had = await self._loop.recent.usage.look(self._state, self._loop.clock.now())
        self._work = _Work(
            sum(it.kept for it in had.values()),
            sum(it.lost for it in had.values()),
            sum(it.running for it in had.values()),
        )

    @property
    def _state(self) -> ClusterState:
        return self._loop.controller.state

    # ---- families ------------------------------------------------------------------------------

    def families(self) -> "Iterator[Metric]":
        """Every metric with its samples, in one order."""
        yield from self._of_work()
        yield from self._of_fleet()
        yield from self._of_cost()
        yield from self._of_controller()
        yield from self._of_calls()

    def _of_work(self) -> "Iterator[Metric]":
        state = self._state
        yield _gauges(
            "iris_queue_units",
            "Tasks and gangs that wait, by what for.",
            ("verdict",),
            {(verdict.value,): self._waiting[verdict] for verdict in Verdict if verdict in WAITS},
        )
        jobs = {(it.value,): len(names) for it, names in state.by_state.items()}
        yield _gauges("iris_jobs", "Jobs on record, by state.", ("state",), jobs)
        running = sum(len(worker.attempts) for worker in state.workers.values())
        yield _gauge("iris_attempts_unfinished", "Attempts that are on a worker.", running)
        waits = {(band.name.lower(),): spread for band, spread in self._counts.waits.items()}
        yield _spreads(
            "iris_queue_wait_seconds",
            "From submission to the first placement of each task or gang.",
            ("band",),
            waits,
        )
        work = self._work
        yield _counters(
            "iris_work_chip_seconds",
            "Chip time (of CPU work core time) of attempts that are over, by what became of it.",
            ("outcome",),
            {("kept",): work.kept / 1_000, ("lost",): work.lost / 1_000},
        )
        yield _gauge(
            "iris_work_running_chip_seconds",
            "Chip time of attempts that go on.",
            work.running / 1_000,
        )

    def _of_fleet(self) -> "Iterator[Metric]":
        state, now = self._state, self._loop.clock.now()
        groups = state.spec.groups
        yield _gauges(
            "iris_slices",
            "Slices, by state.",
            ("group", "state"),
            {
                (g.name, it.value): state.fleet.get(g.name, {}).get(it, 0)
                for g in groups
                for it in SliceState
                if it is not SliceState.GONE
            },
        )
        limits = {(g.name, "min"): g.min_slices for g in groups}
        limits |= {(g.name, "max"): g.max_slices for g in groups}
        yield _gauges(
            "iris_slices_limit",
            "How many slices a group must and may have.",
            ("group", "limit"),
            limits,
        )
        yield from self._of_groups()
        sample = sample_of(state, now)
        chips = {("busy",): sample.busy, ("idle",): sample.idle, ("coming",): sample.coming}
        yield _gauges("iris_chips", "Chips (cores of CPU groups), by use.", ("use",), chips)
        tally = Counter(worker.state.value for worker in state.workers.values())
        workers = {(name,): count for name, count in sorted(tally.items())}
        yield _gauges("iris_workers", "Workers on record, by state.", ("state",), workers)

    def _of_groups(self) -> "Iterator[Metric]":
        told = scalings(self._state)
        yield _gauges(
            "iris_scaling_unmet_units",
            "Units for which more slices are wanted of a group, in vain.",
            ("group",),
            {(it.group,): it.unmet for it in told},
        )
        yield _gauges(
            "iris_scaling_rule",
            "1 for the rule that holds a group now.",
            ("group", "rule"),
            {(it.group, it.rule.value): 1 for it in told},
        )

    def _of_cost(self) -> "Iterator[Metric]":
        state, costs = self._state, self._loop.recent.costs
        spent = costs.spent(state, self._loop.clock.now())
        per_hour = costs.per_hour(state)
        yield _counters(
            "iris_cost_dollars",
            "Spent on slices since the controller began.",
            ("group",),
            {(group,): spent[group] / HOUR / _DOLLAR for group in per_hour},
        )
        yield _gauges(
            "iris_cost_dollars_per_hour",
            "Price of the slices that cost something now.",
            ("group",),
            {(group,): price / _DOLLAR for group, price in per_hour.items()},
        )

    def _of_controller(self) -> "Iterator[Metric]":
        loop, counts = self._loop, self._counts
        yield _gauges(
            "iris_build_info", "1 for the version that runs.", ("version",), {(__version__,): 1}
        )
        decisions = {(name,): float(n) for name, n in sorted(counts.decisions.items())}
        yield _counters("iris_decisions", "What was decided, by rule.", ("rule",), decisions)
        facts = {(name,): float(n) for name, n in sorted(counts.facts.items())}
        yield _counters("iris_facts", "What was learned, by kind.", ("kind",), facts)
        yield _spreads(
            "iris_turn_seconds",
            "From the facts of a turn to its being durable.",
            (),
            {_NO_LABELS: counts.turns},
        )
        yield _gauge(
            "iris_loop_age_seconds", "Since the turn loop last looked for work.", loop.age_s()
        )
        yield _gauge(
            "iris_loop_lag_seconds",
            "By how much the event loop was late, at worst since the last scrape.",
            counts.take_lag(),
        )
        yield _gauge("iris_journal_turns", "Turns that were ever written.", loop.journal.turns)
        sizes = {
            ("journal",): _size(loop.journal.path, ""),
            ("log",): _size(loop.journal.path, "-wal"),
        }
        yield _gauges("iris_journal_bytes", "Size of the journal's files.", ("file",), sizes)

    def _of_calls(self) -> "Iterator[Metric]":
        calls = {key: float(n) for key, n in sorted(self._counts.calls.items())}
        yield _counters(
            "iris_rpc_requests", "Calls that are over, by status.", ("method", "code"), calls
        )
        spans = {(name,): it for name, it in sorted(self._counts.call_spans.items())}
        yield _spreads(
            "iris_rpc_seconds",
            "How long calls took that are neither streams nor answered late on purpose.",
            ("method",),
            spans,
        )


_NO_LABELS: Final[tuple[str, ...]] = ()


class _Told(Collector):
    """What the registry asks."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> "Iterator[Metric]":
        return self._metrics.families()


def _size(path: Path, suffix: str) -> int:
    try:
        return path.with_name(f"{path.name}{suffix}").stat().st_size
    except FileNotFoundError:
        return 0


def _gauge(name: str, help: str, value: float) -> "Metric":
    return GaugeMetricFamily(name, help, value=value)


_K = TypeVar("_K", bound=tuple[str, ...])
"""The values of a sample's labels."""


def _gauges(name: str, help: str, labels: Sequence[str], values: Mapping[_K, float]) -> "Metric":
    family = GaugeMetricFamily(name, help, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _counters(name: str, help: str, labels: Sequence[str], values: Mapping[_K, float]) -> "Metric":
    family = CounterMetricFamily(name, help, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _spreads(name: str, help: str, labels: Sequence[str], values: Mapping[_K, Spread]) -> "Metric":
    family = HistogramMetricFamily(name, help, labels=labels)
    for key, spread in values.items():
        buckets, below = [], 0
        for edge, count in zip((*spread.edges, None), spread.counts, strict=True):
            below += count
            buckets.append(("+Inf" if edge is None else f"{edge:g}", below))
        family.add_metric(key, buckets, spread.sum)
    return family
