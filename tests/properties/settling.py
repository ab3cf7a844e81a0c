"""What must come about once all faults have stopped: the world behaves, and every job comes to its end."""

from typing import Final

from iris.core import events as ev
from iris.core.events import CloudState
from iris.core.instant import MINUTE
from iris.core.lifecycle import AttemptState, SliceState
from iris.core.records import Job
from iris.core.retry import EndCause
from tests.properties.cluster import GROUPS, SPEC, Cluster
from tests.properties.world import Host

ROUNDS: Final = 240
"""Minutes of good behaviour within which all must be over."""


def settle(cluster: Cluster) -> None:
    """Stop all faults, and demand that every job that can end does, and that the books are right."""
    world = cluster.world
    cluster.tell(ev.ConfigLoaded(SPEC))
    world.shapes.update({g.name: (g.hosts, g.host) for g in GROUPS})
    for host in world.hosts():
        host.cut = False
        host.deaf.clear()
    for _ in range(ROUNDS):
        behave(cluster)
        cluster.advance(MINUTE)
        if not _unfinished(cluster):
            break
    left = [_story(job) for job in _unfinished(cluster)]
    assert not left, "never over:\n" + "\n".join(left)
    for _ in range(ROUNDS):
        behave(cluster)
        cluster.advance(MINUTE)
        if not _unbalanced(cluster):
            return
    raise AssertionError("V-26 " + ", ".join(_unbalanced(cluster)))


def behave(cluster: Cluster, *, finish: bool = True) -> None:
    """A world without faults for a while; `finish`: tasks come to their end, too."""
    world, state = cluster.world, cluster.controller.state
    while world.creates:
        request = world.creates.pop()
        world.create(request)
        cluster.tell(ev.SliceAccepted(request.slice))
    while world.deletes:
        gone = world.deletes.pop()
        world.remove(gone.slice)
        cluster.tell(ev.SliceDeleted(gone.slice))
    while world.listings:
        asked, asked_at = world.listings.pop()
        listing = world.listing(asked.slices)
        cluster.tell(ev.SlicesObserved(listing, asked_at, complete=not asked.slices))
    for machine in world.machines.values():
        if machine.state is CloudState.CREATING:
            machine.state = CloudState.READY
    mail, world.mail = world.mail, []
    for message in mail:
        world.deliver(message)
    for worker in list(state.workers.values()):
        host = world.host(worker.id)
        if host is None or not host.alive:
            cluster.tell(ev.WorkerSilent(worker.id, worker.incarnation, cluster.now))
    for host in list(world.hosts()):
        if host.alive and not host.cut:
            _speak(cluster, host, finish=finish)
    cluster.turn()


def _speak(cluster: Cluster, host: Host, *, finish: bool) -> None:
    """A host registers if it must, lets its containers end well, reports, and obeys."""
    world = cluster.world
    machine = world.machines[host.slice]
    worker = cluster.controller.state.workers.get(host.worker)
    if worker is None or worker.incarnation != host.incarnation:
        cluster.tell(
            ev.WorkerRegistered(
                host.slice,
                host.index,
                host.incarnation,
                host.address,
                host.offers,
                machine.group,
                machine.zone,
            )
        )
    for key, state in list(host.running.items()):
        if state is AttemptState.RUNNING and finish:
            world.end(host, key, EndCause.EXIT_ZERO)
        else:
            host.running[key] = AttemptState.RUNNING
    report = host.report()
    cluster.tell(
        ev.WorkerReported(
            host.worker, host.incarnation, report, complete=True, acted_on=host.acted_on
        )
    )
    cluster.turn()
    worker = cluster.controller.state.workers.get(host.worker)
    if worker is not None and worker.incarnation == host.incarnation:
        world.obey(host, worker, cluster.wanted(host))


def _unfinished(cluster: Cluster) -> list[Job]:
    return [j for j in cluster.controller.state.jobs.values() if j.ended_at is None]


def _story(job: Job) -> str:
    tasks = ", ".join(f"{t.id} {t.state.value} after {len(t.attempts)}: {t.why}" for t in job.tasks)
    return f"{job.id} ({job.state.value}): {tasks}"


def _unbalanced(cluster: Cluster) -> list[str]:
    """Machines that nobody keeps books of, and slices on the books that do not exist."""
    state, machines = cluster.controller.state, cluster.world.machines
    known = {name for name, s in state.slices.items() if s.state is not SliceState.GONE}
    lost = [f"{name} exists, and nobody knows it" for name in machines if name not in known]
    ghosts = [f"{name} is on the books, and does not exist" for name in known - machines.keys()]
    return [*lost, *sorted(ghosts)]
