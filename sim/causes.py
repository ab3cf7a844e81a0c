"""Why an expectation is false: one sentence about what weighs most in the figure that it names.

It ranks what the run's own rows hold, and guesses nothing: of a figure that has no parts, it says nothing.
"""

import re
from typing import Final

from iris.core.lifecycle import JobState
from iris.core.telling import VERDICTS
from sim.ledger import PARTS, parts_of
from sim.measure import Measures
from sim.report_data import waited
from sim.report_facts import costs, losses
from sim.results import completions, counted_jobs, queue_waits
from sim.tables import count_text, money_text, share_text

_KEY: Final = re.compile(r"(?<![\w.])[a-z_]+\b(?:\.[\w-]+)*")


def cause_of(expression: str, measures: Measures) -> str:
    """What weighs most in the first figure of an expectation; empty where nothing is known of it."""
    key = _KEY.search(expression)
    section, _, rest = key.group().partition(".") if key else ("", "", "")
    match section:
        case "jobs":
            return _of_jobs(measures)
        case "queue_wait_s":
            return _of_waits(measures)
        case "completion_s" | "makespan_s":
            return _of_completions(measures)
        case "work":
            return _of_work(measures)
        case "cost_usd":
            return _of_cost(measures)
        case "attempts":
            return _of_attempts(measures)
        case "groups" if rest.endswith("utilisation"):
            return _of_work(measures, rest.partition(".")[0])
        case _:
            return ""


def _of_jobs(measures: Measures) -> str:
    """How those ended that did not succeed, and why the first of them did."""
    states = [job.state for job in counted_jobs(measures) if job.state is not JobState.SUCCEEDED]
    if not states:
        return "every job succeeded"
    open_states = (JobState.PENDING, JobState.RUNNING)
    words = ["unfinished" if state in open_states else state.value for state in states]
    word = max(sorted(set(words)), key=words.count)
    told = f"{count_text(words.count(word))} of {count_text(len(words))} that did not succeed are {word}"
    first = next((why[0] for _, why in measures.explanations), "")
    return f"{told}; the first that is explained: {first}" if first else told


def _of_waits(measures: Measures) -> str:
    """That for which most time was waited."""
    ranked = waited(measures)
    whole = sum(one.time for one in ranked)
    if not whole:
        return ""
    first = ranked[0]
    share = share_text(first.time / whole)
    return f"{share} of all waiting was {first.verdict.value}: {VERDICTS[first.verdict]}"


def _of_completions(measures: Measures) -> str:
    """Whether jobs wait or work for longer, and for what they wait."""
    jobs = [job for job in counted_jobs(measures) if job.state is JobState.SUCCEEDED]
    whole = sum(completions(jobs))
    if not whole:
        return _of_jobs(measures)
    share = share_text(sum(queue_waits(jobs)) / whole)
    again = sum(job.lost for job in jobs)
    held = again + sum(job.useful for job in jobs)
    thrown = (
        f"; {share_text(again / held)} of what they then held chips for was lost" if held else ""
    )
    why = _of_waits(measures)
    told = f"{share} of the completions is time before the first start{thrown}"
    return f"{told}; {why}" if why else told


def _of_work(measures: Measures, group: str | None = None) -> str:
    """The largest part of the time paid that was not kept work."""
    parts = parts_of(measures, group)
    whole = sum(parts.values())
    if not whole:
        return "nothing was provisioned"
    name = max((part for part in PARTS if part != "useful"), key=parts.__getitem__)
    return f"of the time paid, most of what was not kept is {name}, {share_text(parts[name] / whole)}: {PARTS[name]}"


def _of_cost(measures: Measures) -> str:
    """The dearest group, and what of it was for nothing."""
    found = costs(measures)
    if not found:
        return "nothing was provisioned"
    first = max(found, key=lambda one: one.whole)
    vain = first.whole - first.useful
    amounts = (money_text(float(part) / 1e6) for part in (first.whole, vain))
    return "the dearest group, {}, cost {}, {} of it for time that was not kept work".format(
        first.group, *amounts
    )


def _of_attempts(measures: Measures) -> str:
    """The group of which most slices were taken."""
    first = max(losses(measures), key=lambda one: one.preempted, default=None)
    if first is None or not first.preempted:
        return "the cloud took no slice"
    rate = f", {first.preempted / float(first.hours):,.3f} an hour of one" if first.hours else ""
    return f"most slices were taken of {first.group}: {count_text(first.preempted)}{rate}"
