"""What a seed of the fuzzer means: a cluster, a workload, policies, and a subset of all faults with rates.

A draw is a scenario as plain values, so that it can be written to a file, read by anybody, and made
smaller. Each fault is either in a world or not (swarm testing), so that worlds differ in kind and
not only in degree.
"""

from collections.abc import Callable
from typing import Final

from sim.fuzz_dice import Draw, Plain, World, between, mean, span
from sim.fuzz_quotas import limit
from sim.fuzz_work import HOSTS, draw_workload, let_serve

PROFILES: Final = ("swarm", "lite", "crash", "cloud", "policy")
CHAOS_MINUTES: Final = 90
"""How long things go wrong."""
_LIMITED: Final = 0.12
"""The share of worlds with quotas, and with trees whose parents wait under them."""
_ZONES: Final = ("us-a", "us-b")
_CHIPS: Final = {"v5litepod-8": 8, "v5litepod-16": 16}


CLOUD_FAULTS: Final[dict[str, Callable[[Draw], World]]] = {
    "F-01 create out of step": lambda d: {
        "create_answers": {
            "lost": d.rate(0.2),
            "twice": d.rate(0.3),
            "late": {"probability": d.rate(0.5), "delay": between("10s", "10m")},
            "failed_but_lives": d.rate(0.3),
            "accepted_but_dead": d.rate(0.3),
        }
    },
    "F-02 stockout": lambda _: {
        "weather": {"open": mean("30m"), "dry": mean("10m")},
        "verdict": between("0s", "4m"),
    },
    "F-03 other refusals": lambda d: {
        "create_failures": {
            kind: d.rate(0.12)
            for kind in ("quota", "quota_region", "rate", "permission", "internal", "unknown")
        }
    },
    "F-04 preemption": lambda d: {
        "lifetime": mean(d.one_of("20m", "1h", "3h")),
        "notice": d.one_of("0s", "10s", "30s"),
        "notice_lost": d.rate(0.5),
        "false_notice": mean("1h"),
    },
    "F-04 host by host": lambda _: {
        "lifetime": mean("40m"),
        "host_by_host": between("1s", "40s"),
    },
    "F-05 bulk loss": lambda _: {
        "lifetime": mean("1h"),
        "bulk": {"mean": 2.5, "max": 8},
        "scarcity": mean("15m"),
        "zone_lifetime": {"us-b": mean("10m")},
    },
    "F-06 incomplete slices": lambda d: {
        "partial": d.rate(0.3),
        "straggler": {"probability": d.rate(0.4), "delay": between("1m", "25m")},
        "duplicate_index": d.rate(0.2),
        "early_registration": d.rate(0.3),
    },
    "F-07 lying lists": lambda d: {
        "lists": {
            "error": d.rate(0.3),
            "zone_missing": d.rate(0.3),
            "empty": d.rate(0.2),
            "without_newest": d.rate(0.4),
            "with_deleted": d.rate(0.4),
            "stale": {"probability": d.rate(0.5), "delay": between("1s", "10m")},
        }
    },
    "F-08 vanishing": lambda d: {
        "lifetime": mean("1h"),
        "vanishing": {"other_state": d.rate(0.5), "not_found": d.rate(0.5)},
        "stuck_creating": d.rate(0.15),
    },
    "F-09 deletes": lambda d: {
        "delete": span("40s", 0.9),
        "deletes": {"refused": d.rate(0.4), "lost": d.rate(0.4), "lies": d.rate(0.3)},
    },
    "F-10 recycled addresses": lambda _: {"recycle_addresses": True, "host_failure": mean("2h")},
    "F-11 slow provider": lambda d: {
        "call": between("100ms", "30s"),
        "hang": d.rate(0.1),
        "slow_zones": {"us-a": "30s"},
    },
    "F-13 another hand": lambda _: {"another_hand": mean("40m"), "stray": mean("40m")},
}
"""Each fault model of the cloud, and what it adds to `cloud:`."""

PROTOCOL_FAULTS: Final[dict[str, tuple[str, Callable[[Draw], World]]]] = {
    "F-14 messages": (
        "network",
        lambda d: {
            "delay": between("1ms", d.one_of("20ms", "2s")),
            "loss": d.rate(0.3),
            "repeat": d.rate(0.3),
            "late": {"probability": d.rate(0.2), "span": between("1s", "3m")},
        },
    ),
    "F-15 partitions": (
        "network",
        lambda d: {
            "cuts": {"every": mean("20m"), "lasts": mean(d.one_of("20s", "2m", "15m"))},
            "one_way": d.rate(0.6),
        },
    ),
    "F-16 half-open": (
        "network",
        lambda _: {"cuts": {"every": mean("30m"), "lasts": mean("2m")}, "half_open": 1.0},
    ),
    "F-17 stops": (
        "runtime",
        lambda d: {
            "stop": span("2s", 1.0),
            "deaf": d.rate(0.5),
            "unkillable": {
                "probability": d.rate(0.3),
                "span": between("1s", d.one_of("30s", "10m")),
            },
        },
    ),
    "F-18 agents": (
        "runtime",
        lambda d: {
            "agent_deaths": {"every": mean("25m"), "lasts": mean(d.one_of("5s", "3m"))},
            "reboots": d.rate(0.5),
        },
    ),
    "F-19 dirty hosts": ("runtime", lambda d: {"dirty_hosts": d.rate(0.3)}),
    "F-20 launches": (
        "runtime",
        lambda d: {
            "refused": d.rate(0.3),
            "wedged": d.rate(0.1),
            "slow": {"probability": d.rate(0.5), "span": between("10s", "8m")},
        },
    ),
    "F-21 ends": (
        "runtime",
        lambda d: {
            "stop": span("2s", 1.0),
            "exit_zero": d.rate(1.0),
            "siblings": {"probability": d.rate(1.0), "span": between("10ms", "20s")},
        },
    ),
    "F-22 crashes": (
        "controller",
        lambda d: {
            "crashes": {"every": mean("12m"), "lasts": mean(d.one_of("2s", "40s", "5m"))},
            "between": d.rate(1.0),
        },
    ),
    "F-23 stalls": (
        "controller",
        lambda d: {"stalls": {"every": mean("20m"), "lasts": mean(d.one_of("3s", "1m", "10m"))}},
    ),
}
"""Each fault model of network, worker and controller: the section, and what it adds there."""


def draw_world(seed: int, profile: str) -> World:
    """The scenario that a seed of a profile stands for."""
    draw = Draw(seed, profile)
    faults = _faults(draw)
    pod = draw.one_of(*HOSTS, "v5litepod-16") if draw.chance(0.7) else None
    cluster = _cluster(draw, pod)
    groups = cluster["scale_groups"]
    assert isinstance(groups, dict)
    if pod is not None and draw.chance(0.5 if "spare" in groups else 0.1):
        _reserve(draw, cluster, pod)
    workload = draw_workload(draw, groups, pod)
    world: World = {
        "name": f"{profile}-{seed}",
        "seed": seed,
        "duration": f"{CHAOS_MINUTES + 14 * 60}m",
        "fidelity": "protocol",
        "calm_after": f"{CHAOS_MINUTES}m",
        "cluster": cluster,
        "cloud": {"boot": span(draw.one_of("5s", "1m", "3m"), 0.5)},
        "workload": workload,
    }
    for name in faults:
        if name in CLOUD_FAULTS:
            section, added = "cloud", CLOUD_FAULTS[name](draw)
        else:
            section, make = PROTOCOL_FAULTS[name]
            added = make(draw)
        into = world.setdefault(section, {})
        assert isinstance(into, dict)
        into.update(added)
    scripted = _scripted(draw, workload) + _edits(draw, groups)
    if scripted:
        world["faults"] = scripted
    if draw.chance(0.15):
        world["check_every_turn"] = True
    if draw.chance(0.4):
        let_serve(draw, workload)
    if draw.chance(_LIMITED):
        limit(draw, world)
    return world


def _faults(draw: Draw) -> list[str]:
    match draw.profile:
        case "policy":
            return []
        case "cloud":
            return [name for name in CLOUD_FAULTS if draw.chance(0.5)]
        case "crash":
            rest = [name for name in PROTOCOL_FAULTS if draw.chance(0.3)]
            return list(dict.fromkeys(["F-22 crashes", *rest]))
        case "lite":
            names = [*CLOUD_FAULTS, *PROTOCOL_FAULTS]
            return [names[draw.number(0, len(names) - 1)]]
        case _:
            share = (0.15, 0.3, 0.6)[draw.number(0, 2)]
            return [name for name in (*CLOUD_FAULTS, *PROTOCOL_FAULTS) if draw.chance(share)]


def _cluster(draw: Draw, pod: str | None) -> World:
    return {
        "scale_groups": _groups(draw, pod),
        "autoscaler": {
            "idle_timeout": draw.one_of("30s", "3m"),
            "boot_timeout": draw.one_of("8m", "15m"),
            "adoption_grace": "3m",
            "observe_interval": draw.one_of("1m", "5m"),
            "delete_retry": "30s",
            "stockout_backoff": "20s",
            "quota_backoff": "1m",
            "max_backoff": "3m",
            "create_burst": int(draw.one_of("2", "60", "60")),
            "creates_per_minute": int(draw.one_of("2", "30")),
        },
        "scheduler": {
            "order": draw.one_of("fifo", "fair"),
            "backfill": draw.one_of("none", "hold", "hold", "greedy"),
            "eviction": draw.chance(0.8),
            "max_tasks_per_user": int(draw.one_of("8", "1000", "1000")),
        },
        "timeouts": {
            "worker_timeout": draw.one_of("20s", "1m"),
            "stop_grace": draw.one_of("0s", "5s", "30s"),
            "stop_timeout": draw.one_of("40s", "2m"),
            "launch_timeout": draw.one_of("3m", "10m"),
            "orphan_timeout": draw.one_of("2m", "6m"),
            "notice_timeout": "2m",
            "retry_backoff": draw.one_of("0s", "5s"),
            "max_retry_backoff": "30s",
            "launch_failures_per_host": draw.number(1, 3),
        },
    }


def _groups(draw: Draw, pod: str | None) -> World:
    groups: World = {}
    if pod is None or draw.chance(0.7):
        groups["cpu"] = {
            "accelerator_type": "cpu",
            "vm": {"cpu": draw.number(4, 8), "memory": "16GB"},
            "max_slices": int(draw.one_of("1", "1", "2", "4")),
            "min_slices": draw.number(0, 1),
            "preemptible": draw.chance(0.5),
            "zones": [*_ZONES],
        }
    if pod is not None:
        groups["pod"] = {
            "accelerator_type": pod,
            "max_slices": int(draw.one_of("1", "1", "2", "4")),
            "preemptible": draw.chance(0.7),
            "zones": [*_ZONES],
        }
        if draw.chance(0.3):
            spare: World = {
                "accelerator_type": pod,
                "max_slices": draw.number(1, 2),
                "priority": 200,
                "zones": [_ZONES[0]],
            }
            if draw.chance(0.4):
                spare["buffer_slices"] = 1
            groups["spare"] = spare
    return groups


def _reserve(draw: Draw, cluster: World, pod: str) -> None:
    """F-12: the groups of a type draw on one reservation, which holds less than all may have."""
    groups = cluster["scale_groups"]
    assert isinstance(groups, dict)
    slices = 0
    for name in ("pod", "spare"):
        group = groups.get(name)
        if isinstance(group, dict):
            group |= {"reservation": "block", "preemptible": False}
            slices += int(str(group["max_slices"]))
    cluster["reservations"] = {"block": {"chips": _CHIPS[pod] * draw.number(1, slices)}}


def _scripted(draw: Draw, workload: list[Plain]) -> list[Plain]:
    kinds = ["stop_job"]
    if draw.profile not in ("policy", "lite"):
        kinds += ["preempt", "kill_worker", "silence_worker", "zone_outage", "hang_cloud"]
        kinds += ["external_delete", "stockout"]
    faults: list[Plain] = []
    for _ in range(draw.number(0, 4)):
        fault: World = {"at": f"{draw.number(1, CHAOS_MINUTES - 5)}m", "kind": draw.one_of(*kinds)}
        if fault["kind"] in ("silence_worker", "zone_outage", "hang_cloud", "stockout"):
            fault["for"] = draw.one_of("30s", "4m")
        elif fault["kind"] == "stop_job" and draw.chance(0.5):
            entry = workload[draw.number(0, len(workload) - 1)]
            assert isinstance(entry, dict)
            fault["job"] = f"/{entry['user']}/{entry['name']}-{draw.number(0, 5)}"
        faults.append(fault)
    return faults


def _edits(draw: Draw, groups: World) -> list[Plain]:
    """F-25: other limits and policies, a group that leaves and comes back; the last edit takes all back."""
    if draw.profile == "lite" or not draw.chance(0.25):
        return []
    edits: list[Plain] = []
    for _ in range(draw.number(1, 3)):
        edit: World = {"at": f"{draw.number(1, CHAOS_MINUTES - 10)}m", "kind": "edit_config"}
        name = draw.one_of(*groups)
        if len(groups) > 1 and draw.chance(0.4):
            edit["without"] = name
        else:
            edit["set"] = {
                f"scale_groups.{name}.max_slices": draw.number(1, 4),
                f"scale_groups.{name}.priority": draw.number(1, 300),
                "scheduler.order": draw.one_of("fifo", "fair"),
                "scheduler.backfill": draw.one_of("none", "hold", "greedy"),
                "scheduler.eviction": draw.chance(0.5),
            }
        edits.append(edit)
    return [*edits, {"at": f"{CHAOS_MINUTES - 5}m", "kind": "edit_config"}]
