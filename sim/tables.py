"""The results of a run as plain text: a dozen lines for a terminal or a pipe, never cropped.

Widths follow the content and are made to fit 80 columns for names of usual length; a longer name
makes a longer line. Every number carries its unit, and what has no value is a dash.
"""

from collections.abc import Mapping, Sequence

Row = Sequence[str]

DASH = "-"
GROUP_HEADER = ("group", "created", "preempted", "peak", "mean", "in use", "cost", "refused")
_UNITS = ((86_400, 3_600, "d", "h"), (3_600, 60, "h", "m"), (60, 1, "m", "s"))
_FIGURES: Sequence[tuple[str, tuple[str, ...]]] = (
    ("jobs succeeded", ("jobs", "succeeded")),
    ("jobs unfinished", ("jobs", "unfinished")),
    ("queue wait, mean", ("queue_wait_s", "mean")),
    ("queue wait, p50", ("queue_wait_s", "p50")),
    ("queue wait, p95", ("queue_wait_s", "p95")),
    ("queue wait, p99", ("queue_wait_s", "p99")),
    ("completion, p50", ("completion_s", "p50")),
    ("completion, p95", ("completion_s", "p95")),
    ("preempted attempts", ("attempts", "preempted")),
    ("goodput", ("work", "goodput_fraction")),
    ("makespan", ("makespan_s",)),
    ("cost", ("cost_usd",)),
)


def terminal_summary(results: Mapping[str, object]) -> str:
    """What `iris sim` prints without `--json`: of one run, or of replications."""
    if "replications" in results:
        blocks = [_replicated(results), _verdicts(results), _replicated_end(results)]
    else:
        blocks = [
            _figures(results),
            _groups(results),
            _verdicts(results),
            _explanations(results),
            _end(results),
        ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def aligned(rows: Sequence[Row], flush_left: Sequence[int] = (0,)) -> list[str]:
    """Lines of columns two spaces apart, flush right but for the named ones."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return ["  ".join(_padded(row, widths, flush_left)).rstrip() for row in rows]


def at(results: Mapping[str, object], *keys: str) -> object:
    """The value under nested keys."""
    found: object = results
    for key in keys:
        assert isinstance(found, Mapping), keys
        found = found[key]
    return found


def number(value: object) -> float | None:
    """A number of the results, or None; of replications, their mean."""
    if isinstance(value, Mapping):
        value = value["mean"]
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def span_text(value: object) -> str:
    """Seconds as people say them, in at most two units: `250ms`, `3.2s`, `15m 4s`, `2d 3h`."""
    seconds = number(value)
    if seconds is None:
        return DASH
    if seconds < 0:
        return f"-{span_text(-seconds)}"
    for big, small, big_name, small_name in _UNITS:
        # Rounded before it is split, so that no span is said as 60 minutes.
        count = round(seconds / small)
        if count * small >= big:
            whole, rest = divmod(count, big // small)
            return f"{whole}{big_name} {rest}{small_name}" if rest else f"{whole}{big_name}"
    if seconds >= 9.95 or seconds == int(seconds):
        return f"{seconds:.0f}s"
    return f"{seconds:.1f}s" if seconds >= 0.9995 else f"{seconds * 1000:.0f}ms"


def count_text(value: object) -> str:
    """A whole number with its thousands marked; a mean of such with one digit more."""
    amount = number(value)
    if amount is None:
        return DASH
    return f"{amount:,.0f}" if amount == int(amount) else f"{amount:,.1f}"


def share_text(value: object) -> str:
    """A fraction in per cent."""
    fraction = number(value)
    return DASH if fraction is None else f"{100 * fraction:.1f}%"


def money_text(value: object) -> str:
    """Dollars to the cent."""
    amount = number(value)
    if amount is None:
        return DASH
    return f"-${-amount:,.2f}" if amount < 0 else f"${amount:,.2f}"


def chip_time_text(value: object) -> str:
    """Chip-seconds as chip-hours; cores are chips of machines that have no others."""
    amount = number(value)
    return DASH if amount is None else f"{amount / 3600:,.1f} chip-h"


def headline_figures(results: Mapping[str, object]) -> list[tuple[str, str, object]]:
    """The figures worth a line each over replications: a name, a kind of unit, the value."""
    return [(name, _kind(keys), at(results, *keys)) for name, keys in _FIGURES]


def headline_paths() -> list[tuple[str, str, tuple[str, ...]]]:
    """The same figures without their values: a name, a kind of unit, the keys."""
    return [(name, _kind(keys), keys) for name, keys in _FIGURES]


def value_text(kind: str, value: object) -> str:
    """A value by its kind: `span`, `share`, `money` or `count`."""
    texts = {"span": span_text, "share": share_text, "money": money_text, "count": count_text}
    return texts[kind](value)


def margin_text(verdict: Mapping[str, object]) -> str:
    """Both sides of an expectation and the distance between them."""
    left, right = number(verdict["left"]), number(verdict["right"])
    if left is None or right is None:
        return "the run has no such number"
    distance = f"{abs(left - right):,.6g} apart" if left != right else "equal"
    share = f", {100 * abs(left - right) / abs(right):.1f}%" if right and left != right else ""
    return f"{left:,.6g} against {right:,.6g}: {distance}{share}"


def refusals_text(failures: object) -> str:
    """What kinds of create were refused how often: `stockout 3`, or a dash."""
    assert isinstance(failures, Mapping), failures
    named = [f"{reason} {count_text(times)}" for reason, times in failures.items() if number(times)]
    return ", ".join(named) or DASH


def group_cells(name: str, figures: Mapping[str, object]) -> Row:
    """The figures of one group, under `GROUP_HEADER`."""
    mean = number(figures["slices_mean"])
    return (
        name,
        count_text(figures["slices_created"]),
        count_text(figures["slices_preempted"]),
        count_text(figures["slices_peak"]),
        DASH if mean is None else f"{mean:,.2f}",
        share_text(figures["utilisation"]),
        money_text(figures["cost_usd"]),
        refusals_text(figures["create_failures"]),
    )


def _padded(row: Row, widths: Sequence[int], flush_left: Sequence[int]) -> list[str]:
    return [
        cell.ljust(width) if position in flush_left else cell.rjust(width)
        for position, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]


def _kind(keys: tuple[str, ...]) -> str:
    if keys[0].endswith("_s"):
        return "span"
    return {"goodput_fraction": "share", "cost_usd": "money"}.get(keys[-1], "count")


def _figures(results: Mapping[str, object]) -> list[str]:
    """What became of jobs, waits, chips and money, a line each."""
    lines = [("jobs", _counts(results, "jobs", "submitted"))]
    lines.append(("attempts", _counts(results, "attempts", "total")))
    lines.append(("queue wait", _spread(results, "queue_wait_s", "started")))
    lines.append(("completion", _spread(results, "completion_s", "succeeded")))
    lines.append(("chip time", _work(results)))
    lines.append(("cost", _cost(results)))
    return [f"{name:<11} {text}" for name, text in lines]


def _counts(results: Mapping[str, object], section: str, whole: str) -> str:
    counts = at(results, section)
    assert isinstance(counts, Mapping)
    parts = [
        f"{count_text(count)} {name.replace('_', ' ')}"
        for name, count in counts.items()
        if name != whole and number(count)
    ]
    head = f"{count_text(counts[whole])} {whole}"
    return f"{head}: {', '.join(parts)}" if parts else head


def _spread(results: Mapping[str, object], section: str, whom: str) -> str:
    if not number(at(results, section, "count")):
        return f"{DASH} (no job {whom})"
    keys = ("p50", "p90", "p95", "p99", "max")
    return "  ".join(f"{key} {span_text(at(results, section, key))}" for key in keys)


def _work(results: Mapping[str, object]) -> str:
    whole = number(at(results, "work", "provisioned_chip_s"))
    if not whole:
        return f"{DASH} (nothing was provisioned)"
    parts = []
    for name in ("useful", "lost", "idle", "boot"):
        amount = number(at(results, "work", f"{name}_chip_s")) or 0.0
        parts.append(f"{share_text(amount / whole)} {name}")
    return f"{', '.join(parts)} of {chip_time_text(whole)}"


def _cost(results: Mapping[str, object]) -> str:
    useful = number(at(results, "work", "useful_chip_s"))
    total = number(at(results, "cost_usd"))
    each = ""
    if useful and total:
        each = f"; ${total / (useful / 3600):,.4f} per useful chip-hour"
    makespan = span_text(at(results, "makespan_s"))
    return f"{money_text(total)}{each}; makespan {makespan}"


def _groups(results: Mapping[str, object]) -> list[str]:
    """A line for each group."""
    groups = at(results, "groups")
    assert isinstance(groups, Mapping)
    rows = [GROUP_HEADER, *(group_cells(name, figures) for name, figures in groups.items())]
    return aligned(rows, flush_left=(0, len(GROUP_HEADER) - 1)) if groups else []


def _verdicts(results: Mapping[str, object]) -> list[str]:
    """Each expectation, and what must never happen."""
    expectations = at(results, "expect")
    assert isinstance(expectations, list)
    lines = [
        f"{'holds' if verdict['holds'] else 'FALSE'}  {verdict['expr']}  ({_seen(verdict)})"
        for verdict in expectations
    ]
    violated, checked = (
        count_text(at(results, "invariants", key)) for key in ("violated", "checked")
    )
    if violated == "0":
        return [*lines, f"holds  invariants  ({checked} checked)"]
    sentences = at(results, "invariants", "violations")
    assert isinstance(sentences, list)
    lines.append(f"FALSE  invariants  (violated {violated} times; trust no number above)")
    return lines + [f"       {sentence}" for sentence in sentences]


def _explanations(results: Mapping[str, object]) -> list[str]:
    """Why jobs did not succeed or still waited when the run ended, in the controller's own words."""
    lines: list[str] = []
    jobs = results["explanations"]
    assert isinstance(jobs, list)
    for job in jobs:
        first, *rest = job["why"]
        lines += [f"why    {job['job']}: {first}", *(f"       {sentence}" for sentence in rest)]
    return lines


def _seen(verdict: Mapping[str, object]) -> str:
    runs = verdict.get("values")
    if isinstance(runs, list):
        return f"in {sum(1 for held in runs if held)} of {len(runs)} runs"
    return margin_text(verdict)


def _end(results: Mapping[str, object]) -> list[str]:
    """The line by which to repeat and to judge the run."""
    simulated, wall = number(results["simulated_s"]) or 0.0, number(results["wall_s"]) or 0.0
    ratio = f", {simulated / wall:,.0f} times as fast as real" if wall > 0 else ""
    lines = _partial(results)
    lines.append(
        f"{results['scenario']}: seed {results['seed']}, {span_text(simulated)} "
        f"simulated in {span_text(wall)}{ratio}"
    )
    return lines


def _partial(results: Mapping[str, object]) -> list[str]:
    return ["PARTIAL: interrupted; all figures end there"] if results["partial"] else []


def _replicated(results: Mapping[str, object]) -> list[str]:
    """The headline figures with their intervals."""
    rows: list[Row] = [("", "mean", "95% from", "to", "least", "most")]
    for name, kind, value in headline_figures(results):
        assert isinstance(value, Mapping)
        known = [one for one in value["values"] if one is not None]
        ends = (min(known), max(known)) if known else (None, None)
        cells = (value["mean"], value["ci95_low"], value["ci95_high"], *ends)
        rows.append((name, *(value_text(kind, cell) for cell in cells)))
    return aligned(rows)


def _replicated_end(results: Mapping[str, object]) -> list[str]:
    seeds = at(results, "seed", "values")
    walls = at(results, "wall_s", "values")
    assert isinstance(seeds, list)
    assert isinstance(walls, list)
    lines = _partial(results)
    lines.append(
        f"{results['scenario']}: {results['replications']} replications, seeds {seeds[0]} to "
        f"{seeds[-1]}, {span_text(at(results, 'simulated_s'))} simulated in "
        f"{span_text(sum(walls) / len(walls))} each (means)"
    )
    return lines
