"""Removes what nobody can ask for any more: what a crash kept from being removed, and unused blobs.

A forgotten job's logs go in the turn that forgets it. If the controller dies in between, they are
found at its next start. A blob is used as long as a job is known that runs it; a young one may
belong to a job that is just being submitted.
"""

import asyncio
import logging
import time
from typing import Final

from google.protobuf.message import DecodeError

from iris.cluster.controller.store import Store
from iris.core.state import ClusterState
from iris.rpc import iris_pb2 as pb

UNUSED_S: Final = 86_400.0
"""An unused blob stays for so long since it was last sent or asked for."""

_log = logging.getLogger(__name__)


def sweep(store: Store, state: ClusterState) -> None:
    """Remove all that belongs to no known job."""
    strays = store.jobs() - state.jobs.keys()
    for job in sorted(strays):
        store.forget(job)
    blobs = store.drop_blobs(used_blobs(store, state), time.time() - UNUSED_S)
    if strays or blobs:
        _log.info("removed what %d forgotten jobs left, and %d blobs", len(strays), blobs)


async def sweep_daily(store: Store, state: ClusterState) -> None:
    """Do it once a day, for ever."""
    while True:
        await asyncio.sleep(UNUSED_S)
        sweep(store, state)


def used_blobs(store: Store, state: ClusterState) -> set[str]:
    """The digests of all that known jobs run: their descriptions, calls and bundles."""
    used = {job.spec.payload for job in state.jobs.values()}
    for digest in list(used):
        path = store.blob(digest)
        if path is None:
            continue
        try:
            launch = pb.Launch.FromString(path.read_bytes())
        except DecodeError:
            continue  # It came from elsewhere, and was refused when it was to be run.
        used.update((launch.call, launch.bundle))
    return used
