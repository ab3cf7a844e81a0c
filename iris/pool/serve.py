"""What a task of a pool runs: a worker that serves until its pool dismisses it, or is not heard any more."""

import os
import sys
from typing import Final

from iris.actor import ActorServer
from iris.actor.cluster import registry_of_task
from iris.pool.post import Post

_CONCURRENCY: Final = 16
"""Of calls to a post: one listens, one tells, and those before them on lines that broke."""


def serve(name: str, lease_s: float) -> None:
    """Be a worker of a pool.

    Args:
        name: under which the pool finds its workers.
        lease_s: seconds after which a pool that is not heard is gone.

    Raises:
        RemoteError: the controller refused to list the worker, or did not answer.
        SystemExit: the worker ends badly, so that its task is tried again.
    """
    post = Post(os.environ["IRIS_TASK_ID"], int(os.environ["IRIS_ATTEMPT_ID"]))
    server = ActorServer(registry=registry_of_task())
    server.register(name, post, concurrency=_CONCURRENCY)
    server.serve()
    status = post.wait(lease_s)
    server.stop(0.0)
    if status:
        sys.exit(status)
