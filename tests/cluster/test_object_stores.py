"""The real protocols: a folder of S3 and of Google's store, and a cluster that keeps its things there."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import TypeVar

import fsspec
import pytest

from iris.client import RemoteError
from iris.cluster.controller.objects import ObjectFolder
from iris.cluster.types import Entrypoint
from iris.exit_status import ExitStatus
from tests.cluster.object_stores import ObjectStore, gcs, s3
from tests.cluster.running import RunningCluster, until

_T = TypeVar("_T")


@pytest.fixture(scope="module")
def buckets() -> Iterator[dict[str, ObjectStore]]:
    with s3() as one, gcs() as other:
        yield {"s3": one, "gs": other}


@pytest.fixture(params=["s3", "gs"])
def bucket(
    request: pytest.FixtureRequest,
    buckets: dict[str, ObjectStore],
    monkeypatch: pytest.MonkeyPatch,
) -> ObjectStore:
    found = buckets[request.param]
    for key, value in found.variables.items():
        monkeypatch.setenv(key, value)
    fsspec.config.conf.clear()
    return ObjectStore(f"{found.url}/{time.monotonic_ns()}", found.variables)


def run(work: Coroutine[None, None, _T]) -> _T:
    return asyncio.run(work)


# ---- one folder --------------------------------------------------------------------------------


def test_a_folder_of_a_real_store_gives_back_what_it_was_given(
    bucket: ObjectStore, tmp_path: Path
) -> None:
    folder = ObjectFolder(f"{bucket.url}/logs", "storage.logs")
    content = os.urandom(6_000_000)
    (tmp_path / "log").write_bytes(content)

    async def work() -> None:
        assert await folder.sizes() == {}
        await folder.check("1")
        await folder.put(tmp_path / "log", "+alice/+train/0/0.log")
        await folder.put(tmp_path / "log", "+alice/+train/+eval/0/0.log")
        assert await folder.sizes() == {
            "+alice/+train/0/0.log": len(content),
            "+alice/+train/+eval/0/0.log": len(content),
        }
        assert list(await folder.sizes("+alice/+train/0")) == ["+alice/+train/0/0.log"]
        assert abs(await folder.modified("+alice/+train/0/0.log") - time.time()) < 60
        assert await folder.get("+alice/+train/0/0.log", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == content
        assert not await folder.get("+alice/+train/0/7.log", tmp_path / "none")
        await folder.remove(["+alice/+train/0/0.log", "+alice/+train/0/7.log"])
        assert list(await folder.sizes()) == ["+alice/+train/+eval/0/0.log"]

    run(work())


# ---- a cluster ---------------------------------------------------------------------------------


@pytest.fixture
def stored(bucket: ObjectStore, tmp_path: Path) -> Iterator[RunningCluster]:
    storage = {
        "root": str(tmp_path / "iris"),
        "bundles": f"{bucket.url}/bundles",
        "logs": f"{bucket.url}/logs",
    }
    found = RunningCluster(tmp_path, storage=storage)
    found.variables.update(bucket.variables)
    try:
        found.start()
        yield found
    finally:
        found.end()


def answer() -> int:
    print("thinking")  # noqa: T201
    return 42


def test_a_machine_that_has_only_its_journal_left_finds_the_rest_in_the_store(
    stored: RunningCluster, bucket: ObjectStore
) -> None:
    logs = ObjectFolder(f"{bucket.url}/logs", "storage.logs")
    with stored.client() as client:
        job = client.submit(Entrypoint.from_callable(answer), "think")
        assert job.result(60) == 42
        keys = {"+alice/+think/0/0.log", "+alice/+think/0/0.pickle"}
        until(lambda: run(logs.sizes()).keys() == keys, 60)
        stored.kill()
        blobs = sorted(path.name for path in (stored.root / "blobs").iterdir())
        for name in ("blobs", "logs", "results"):
            shutil.rmtree(stored.root / name)
        stored.start()
        assert job.tasks()[0].logs() == "thinking\n"
        assert client.job("/alice/think").result(60) == 42
        until(lambda: sorted(path.name for path in (stored.root / "blobs").iterdir()) == blobs)


def test_a_new_cluster_does_not_begin_without_its_store_and_an_old_one_goes_on(
    tmp_path: Path, buckets: dict[str, ObjectStore]
) -> None:
    storage = {"root": str(tmp_path / "iris"), "logs": "s3://there-is-no-such-bucket/logs"}
    found = RunningCluster(tmp_path, storage=storage)
    found.variables.update(buckets["s3"].variables)
    command = [sys.executable, "-m", "iris.cluster.controller.main", "serve"]
    ended = subprocess.run(
        [*command, f"--config={found.config}"],
        env={**os.environ, **found.variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("error")]
    assert line.startswith("error: storage.logs: 's3://there-is-no-such-bucket/logs': ")
    assert "Traceback" not in ended.stderr

    config = json.loads(found.config.read_text())
    plain = RunningCluster(tmp_path)
    plain.variables.update(found.variables)
    try:
        plain.start()
        assert plain.stop() == 0
        config["controller"]["vm"]["port"] = plain.port
        plain.config.write_text(json.dumps(config))
        plain.start()
        with plain.client() as client:
            job = client.submit(Entrypoint.from_command("echo", "word"), "job")
            assert job.wait(60).state == "succeeded"
            assert job.tasks()[0].logs() == "word\n"
            silent = client.submit(Entrypoint.from_command("true"), "silent")
            assert silent.wait(60).state == "succeeded"
            with pytest.raises(RemoteError, match="there-is-no-such-bucket") as refused:
                silent.tasks()[0].logs()  # It may have been written by an earlier machine.
            assert refused.value.status is ExitStatus.FAILED
    finally:
        plain.end()
