"""Quotas in drawn worlds, and trees under them whose parents wait for their children (F-27, F-28)."""

from sim.fuzz_dice import Draw, Plain, World, between, span


def limit(draw: Draw, world: World) -> None:
    """Give some users of a world quotas, and one of them, now and then, a tree that just fits."""
    cluster, workload = world["cluster"], world["workload"]
    assert isinstance(cluster, dict)
    assert isinstance(workload, list)
    scheduler = cluster["scheduler"]
    assert isinstance(scheduler, dict)
    users = ("alice", "bob", "carol", "*")
    quotas: World = {user: _quota(draw) for user in users if draw.chance(0.6)}
    groups = cluster["scale_groups"]
    assert isinstance(groups, dict)
    if "cpu" in groups and draw.chance(0.6):
        levels = draw.number(2, 4)
        # As many cores as it has levels, or it would stand still for want of room.
        machine: World = {"vm": {"cpu": 8, "memory": "16GB"}, "max_slices": 4}
        cpu = groups["cpu"]
        assert isinstance(cpu, dict)
        cpu |= machine
        quotas["dave"] = {"tasks": levels + draw.number(0, 4), "levels": levels}
        workload += _tree(draw, levels)
    if not quotas:
        quotas["*"] = _quota(draw)
    scheduler["quotas"] = quotas
    scheduler["max_tasks_per_user"] = 1000


def _quota(draw: Draw) -> World:
    """Some limits, below or above what one task or gang of the world may need."""
    quota: World = {}
    if draw.chance(0.6):
        quota["tasks"] = draw.number(4, 12)
    if draw.chance(0.4):
        quota["cpu"] = draw.number(2, 16)
    if draw.chance(0.3):
        quota["chips"] = int(draw.one_of("4", "8", "16", "32"))
    if draw.chance(0.2) or not quota:
        quota["memory"] = f"{draw.number(2, 12)}GB"
    if draw.chance(0.3):
        quota["levels"] = draw.number(1, 4)
    return quota


def _tree(draw: Draw, levels: int) -> list[Plain]:
    """Entries of which each job submits some of the next, early or late, and waits for them."""
    entries: list[Plain] = []
    for level in range(levels):
        entry: World = {
            "name": f"t{level}",
            "user": "dave",
            "band": "interactive",
            "resources": {"cpu": 1, "memory": "1GB"},
            "run_time": span(draw.one_of("5s", "30s"), 0.8),
        }
        if level:
            entry |= {
                "parent": f"t{level - 1}",
                "per_parent": draw.number(1, 5 if level == 1 else 2),
                "after": between("0s", draw.one_of("5s", "2m")),
            }
        else:
            entry["arrivals"] = {"at": [f"{draw.number(0, 40)}m"] * draw.number(1, 3)}
        if level < levels - 1:
            entry["waits"] = True
        entries.append(entry)
    return entries
