"""What work a drawn world has: who comes, with what, in which band, and how it behaves."""

from itertools import pairwise
from typing import Final

from sim.fuzz_dice import Draw, Plain, World, between, span

HOSTS: Final = {"v5litepod-8": 1, "v5litepod-16": 4}
"""How many hosts a slice of each type has."""
_TOO_MANY: Final = 1_000
"""More cores than any host has."""


def draw_workload(draw: Draw, groups: World, pod: str | None) -> list[Plain]:
    """Some entries of all kinds: unrelated, in each other's way, or in trees."""
    cpu = "cpu" in groups
    quarrels = draw.profile == "policy"  # Nothing else goes wrong there.
    least = 2 if quarrels else 1
    entries = [_entry(draw, number, pod, cpu=cpu) for number in range(draw.number(least, 4))]
    kind = draw.number(3 if quarrels else 0, 9)
    if len(entries) > 1 and kind in (1, 2, 3, 4, 5):
        _crowd_out(draw, entries)
    elif len(entries) > 1 and kind in (0, 6):
        _plant_trees(draw, entries)
    elif len(entries) > 1 and kind in (7, 8):
        _overtake(draw, entries)
    return list(entries)


def let_serve(draw: Draw, workload: list[Plain]) -> None:
    """Tasks of some entries list endpoints. Drawn last, so that it moves nothing else of a world."""
    for entry in workload:
        if isinstance(entry, dict) and draw.chance(0.7):
            entry["serves"] = draw.number(1, 3)


def _crowd_out(draw: Draw, entries: list[World]) -> None:
    """Batch work of several sizes fills what there is, and somebody more urgent comes later."""
    *batch, urgent = entries
    for number, entry in enumerate(batch):
        entry |= {"band": "batch", "count": 6, "run_time": span("15m", 0.8)}
        entry["arrivals"] = {"at": [f"{2 * number}m"] * 6}
        if "tpu" not in _resources(entry):
            _resize(entry, 1 if number else draw.number(1, 3))
    comes: list[Plain] = [f"{draw.number(4, 20)}m" for _ in range(_count(urgent))]
    urgent |= {"band": "production", "arrivals": {"at": comes}}
    if "tpu" not in _resources(urgent):
        _resize(urgent, draw.number(2, 4))


def _overtake(draw: Draw, entries: list[World]) -> None:
    """A stream of narrow work of its own band, or of more urgent ones, against wide work."""
    *narrow, wide = entries
    wide["band"] = draw.one_of("interactive", "batch")
    if "tpu" not in _resources(wide):
        _resize(wide, 4)
    for entry in narrow:
        entry |= {"band": draw.one_of("interactive", str(wide["band"])), "count": 6}
        entry |= {"arrivals": {"every": "3m"}, "run_time": span("4m", 0.8)}
        if "tpu" not in _resources(entry):
            _resize(entry, draw.number(1, 2))


def _plant_trees(draw: Draw, entries: list[World]) -> None:
    """F-27: jobs of one entry submit those of the next, or of all others."""
    deep = draw.chance(0.5)
    for above, entry in pairwise(entries):
        parent = above if deep else entries[0]
        entry |= {"parent": parent["name"], "user": entries[0]["user"], "count": parent["count"]}
        entry["arrivals"] = {"every": draw.one_of("10s", "2m")}
        parent["arrivals"] = {"every": "10s"}
        parent["run_time"] = span("10m", 0.8)


def _resize(entry: World, cores: int) -> None:
    """Let tasks need so many cores, unless they are to fit nowhere."""
    if _resources(entry)["cpu"] != _TOO_MANY:
        _resources(entry)["cpu"] = cores


def _count(entry: World) -> int:
    return int(str(entry["count"]))


def _resources(entry: World) -> World:
    resources = entry["resources"]
    assert isinstance(resources, dict)
    return resources


def _entry(draw: Draw, number: int, pod: str | None, *, cpu: bool) -> World:
    count = draw.number(1, 6)
    entry: World = {
        "name": f"w{number}",
        "user": draw.one_of("alice", "bob", "carol"),
        "band": draw.one_of("production", "interactive", "interactive", "batch", "batch"),
        "count": count,
        "run_time": span(draw.one_of("20s", "4m", "10m"), 0.8),
        "launch": between("1s", draw.one_of("2s", "1m")),
        "max_retries_failure": draw.number(0, 2),
        "max_retries_preemption": draw.one_of("3", "100", "1000"),
    }
    entry["max_retries_preemption"] = int(str(entry["max_retries_preemption"]))
    if draw.chance(0.6):
        entry["arrivals"] = {"every": draw.one_of("10s", "2m", "10m")}
    else:
        entry["arrivals"] = {"at": [f"{draw.number(0, 60)}m"] * count}
    return entry | _manners(draw) | _shape(draw, pod, cpu=cpu)


def _shape(draw: Draw, pod: str | None, *, cpu: bool) -> World:
    """What a job asks for; CPU work needs a CPU group, for nobody buys accelerators for it.

    F-26: now and then it is more than any host has.
    """
    kind = draw.number(0, 3)
    if draw.chance(0.04):
        return {"resources": {"cpu": _TOO_MANY, "memory": "1GB"}, "replicas": draw.number(1, 100)}
    if pod is not None and (kind > 1 or not cpu):
        need: World = {"resources": {"tpu": pod, "memory": "1GB"}}
        if kind != 3:
            return need | {"coscheduled": True, "replicas": HOSTS[pod]}
        return need | {"replicas": draw.number(1, 4)}
    cores = draw.number(1, 4)
    need = {"resources": {"cpu": cores, "memory": "1GB"}}
    return need | {"replicas": draw.number(1, 6 if cores < 3 else 2) if kind else 1}


def _manners(draw: Draw) -> World:
    """How it fails, saves and gives up; F-26: some fail everywhere, some never end by themselves."""
    manners: World = {}
    if draw.chance(0.3):
        manners["failures"] = {"probability": draw.rate(0.5), "out_of_memory": 0.3}
    elif draw.chance(0.05):
        manners["failures"] = {"probability": 1.0}
    if draw.chance(0.3):
        manners["checkpoint"] = {"every": "1m", "restore": "5s"}
    if draw.chance(0.15):
        manners["timeout"] = draw.one_of("2m", "20m")
        if draw.chance(0.2):
            manners["run_time"] = "30h"
    if draw.chance(0.25):
        manners["scheduling_timeout"] = draw.one_of("2m", "5m", "30m")
    return manners
