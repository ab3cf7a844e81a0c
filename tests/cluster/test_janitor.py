"""What nobody can ask for goes: with the turn that forgets a job, and at the next start if that was lost."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from iris.client import IrisClient
from iris.cluster.controller.janitor import sweep, used_blobs
from iris.cluster.controller.store import Store
from iris.cluster.types import Entrypoint
from iris.core.ids import TaskId
from iris.rpc import iris_pb2 as pb
from tests.cluster.running import RunningCluster, running, until
from tests.harness import cluster, cpu_group


@pytest.fixture
def forgetful(tmp_path: Path) -> Iterator[RunningCluster]:
    """Remembers one ended job."""
    yield from running(tmp_path, retention={"ended_jobs": 1})


def say(client: IrisClient, name: str, word: str) -> None:
    job = client.submit(Entrypoint.from_command("echo", word), name)
    assert job.wait(60).state == "succeeded"
    assert job.tasks()[0].logs() == f"{word}\n"


def test_a_forgotten_jobs_name_begins_with_an_empty_log(forgetful: RunningCluster) -> None:
    store = Store(forgetful.root)
    with forgetful.client() as client:
        say(client, "one", "a long first line")
        say(client, "two", "second")
        say(client, "three", "third")
        until(lambda: "/alice/one" not in store.jobs())
        say(client, "one", "short")


def test_what_a_crash_kept_from_being_removed_goes_at_the_next_start(
    forgetful: RunningCluster,
) -> None:
    with forgetful.client() as client:
        say(client, "kept", "word")
    forgetful.kill()
    store = Store(forgetful.root)
    store.append_log(TaskId("/alice/lost:0"), 0, 0, b"left by a job that is forgotten")
    stray = store.put(b"a blob of nobody")
    os.utime(store.blobs / stray, (1.0, 1.0))
    for blob in store.blobs.iterdir():
        os.utime(blob, (1.0, 1.0))
    forgetful.start()
    until(lambda: store.jobs() == {"/alice/kept"})
    until(lambda: store.blob(stray) is None)
    assert list(store.blobs.iterdir())
    with forgetful.client() as client:
        assert client.job("/alice/kept").tasks()[0].logs() == "word\n"


def test_a_blob_is_used_while_a_job_is_known_that_runs_it(tmp_path: Path) -> None:
    store = Store(tmp_path)
    call, bundle, other = (store.put(word) for word in (b"call", b"bundle", b"other"))
    launch = store.put(pb.Launch(call=call, bundle=bundle).SerializeToString())
    broken = store.put(b"\xff\xff\xff no launch")
    script = cluster(cpu_group(min_slices=1))
    script.submit("runs", payload=launch)
    script.submit("odd", payload=broken)
    script.submit("gone", payload="0" * 64)
    state = script.controller.state
    assert {launch, call, bundle, broken} <= used_blobs(store, state)
    assert other not in used_blobs(store, state)
    sweep(store, state)
    assert store.blob(other) is not None  # It is young.
