"""How values are written on pages: spans, instants, amounts, and where each thing has its page."""

from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import quote

from markupsafe import Markup, escape

from iris.core.ids import JobId, SliceId, TaskId, WorkerId
from iris.core.instant import Instant
from iris.core.resources import Resources, amounts
from iris.dashboard.subject import Kind

_SPANS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"))


def span(millis: int) -> str:
    """A span in its two largest units, rounded down."""
    for index, (size, unit) in enumerate(_SPANS):
        if millis >= size:
            rest = ""
            if index + 1 < len(_SPANS):
                smaller, small_unit = _SPANS[index + 1]
                left = millis % size // smaller
                rest = f" {left}{small_unit}" if left else ""
            return f"{millis // size}{unit}{rest}"
    return "0s" if millis < 1 else f"{millis}ms"


def short_span(millis: int) -> str:
    """A span in its largest unit, rounded down."""
    return span(max(0, millis)).partition(" ")[0]


def moment(kind: Kind, at: Instant) -> str:
    """An instant to the second: in UTC, or of a simulation since its begin."""
    if kind is Kind.SIMULATION:
        return f"t={_whole_seconds(at)}"
    told = datetime.fromtimestamp(at / 1_000, UTC)
    return told.strftime("%Y-%m-%d %H:%M:%S")


def _whole_seconds(millis: int) -> str:
    """A span in all of its units, down to seconds."""
    parts = []
    for size, unit in _SPANS:
        count, millis = divmod(millis, size)
        parts += [f"{count}{unit}"] if count else []
    return " ".join(parts) or "0s"


def ago(kind: Kind, now: Instant) -> Callable[[Instant | None], Markup]:
    """Writes how long an instant lies back, or ahead; the whole of it when pointed at."""

    def write(at: Instant | None) -> Markup:
        if at is None:
            return Markup("&ndash;")
        text = short_span(now - at) if at <= now else f"in {short_span(at - now)}"
        return Markup('<time title="{}">{}</time>').format(moment(kind, at), text)

    return write


def amount(resources: Resources) -> str:
    """What is asked for or held, as explanations spell it."""
    return amounts(resources)


def cores(millicores: int) -> str:
    """Cores, with as many decimals as they have."""
    return f"{millicores / 1_000:g}"


def size(count: int) -> str:
    """Bytes in the largest binary unit in which they are at least one."""
    for shift, unit in ((40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")):
        if count >= 1 << shift:
            return f"{count / (1 << shift):.3g} {unit}"
    return f"{count} B"


def dollars(micros: float) -> str:
    """Millionths of a dollar."""
    return f"${micros / 1_000_000:,.2f}"


def job_url(job: JobId | str) -> str:
    """Where a job has its page."""
    return f"/jobs{quote(job)}"


def task_url(task: TaskId | str) -> str:
    """Where a task has its page."""
    return f"/tasks{quote(task, safe='/:')}"


def worker_url(worker: WorkerId | str) -> str:
    """Where a worker has its page."""
    return f"/workers/{quote(worker, safe='')}"


def slice_url(slice_: SliceId | str) -> str:
    """Where a slice has its page."""
    return f"/slices/{quote(slice_, safe='')}"


def figure(value: float | None) -> str:
    """A figure with as many digits as a person reads."""
    if value is None:
        return ""
    if value == float("inf"):
        return "more"
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 1_000 else f"{value:,.4g}"


def marked(text: str, words: str) -> Markup:
    """Text in which words, in any case, are marked."""
    if not words:
        return escape(text)
    low, wanted = text.lower(), words.lower()
    whole, at = Markup(""), 0
    # Where lower case has another length, places would not agree.
    while len(low) == len(text) and (found := low.find(wanted, at)) >= 0:
        stop = found + len(wanted)
        whole += escape(text[at:found]) + Markup("<mark>{}</mark>").format(text[found:stop])
        at = stop
    return whole + escape(text[at:])


def plural(number: int, noun: str) -> str:
    """A number with its noun."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
