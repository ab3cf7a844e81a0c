"""Blobs, logs and results in an object store: whole, found again on an empty machine, gone when forgotten."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import TypeVar

import fsspec
import pytest

from iris.cluster.controller.mirror import Mirror, Pace
from iris.cluster.controller.objects import NoSuchStore, ObjectFolder, StoreUnavailable
from iris.cluster.controller.store import Store
from iris.core.ids import JobId, TaskId
from iris.core.state import ClusterState
from tests.harness import cluster, cpu_group

TASK = TaskId("/alice/train:0")
CHILD = TaskId("/alice/train/eval:0")
AT_ONCE = Pace(look=0.02, quiet=0.0, keep=3_600.0, retry=0.02)
SHORT = Pace(look=0.02, quiet=0.0, keep=0.0, retry=0.02)
_T = TypeVar("_T")


@pytest.fixture
def memory() -> Iterator[str]:
    """The URL of a store in this process's memory."""
    yield f"memory://{time.monotonic_ns()}"
    fsspec.filesystem("memory").store.clear()


def run(work: Coroutine[None, None, _T]) -> _T:
    return asyncio.run(work)


def mirror_of(store: Store, url: str, pace: Pace = AT_ONCE) -> Mirror:
    bundles = ObjectFolder(f"{url}/bundles", "storage.bundles")
    return Mirror(store, bundles, ObjectFolder(f"{url}/logs", "storage.logs"), pace)


async def running_until(
    mirror: Mirror, state: ClusterState, true: "Coroutine[None, None, None]"
) -> None:
    task = asyncio.create_task(mirror.run(state, lambda _task, _attempt: True))
    async with asyncio.timeout(20):
        await true
    task.cancel()


async def come(true: Callable[[], Awaitable[bool]]) -> None:
    while not await true():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def are(folder: ObjectFolder, keys: set[str]) -> None:
    async def same() -> bool:
        return (await folder.sizes()).keys() == keys

    await come(same)


# ---- one folder --------------------------------------------------------------------------------


def test_a_url_of_no_store_is_refused_in_words() -> None:
    with pytest.raises(NoSuchStore, match=r"storage\.logs: 'nosuch://bucket/x'.*\[storage\]"):
        ObjectFolder("nosuch://bucket/x", "storage.logs")


def test_a_store_that_is_silent_ends_in_words_and_holds_up_nobody(
    memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ObjectFolder(memory, "storage.logs")
    monkeypatch.setattr("iris.cluster.controller.objects.DEADLINE_S", 0.1)
    monkeypatch.setattr(folder._files, "find", lambda *_args, **_more: time.sleep(3))
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match=r"storage\.logs.*no answer"):
        run(folder.sizes())
    assert time.monotonic() - began < 2


# ---- blobs -------------------------------------------------------------------------------------


def test_a_blob_is_stored_before_it_is_kept_and_not_kept_when_it_cannot_be_stored(
    tmp_path: Path, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    bundles = ObjectFolder(memory, "storage.bundles")
    mirror = Mirror(store, bundles)
    digest = run(mirror.put(b"content"))
    assert run(bundles.sizes()) == {digest: 7}
    assert store.blob(digest) is not None

    def fails(*_args: object) -> None:
        raise OSError("the disk of the cloud is full")

    monkeypatch.setattr(bundles._files, "put_file", fails)
    assert run(mirror.put(b"content")) == digest  # It is there, and need not be sent.
    with pytest.raises(StoreUnavailable, match=r"storage\.bundles: .*disk of the cloud is full"):
        run(mirror.put(b"other"))
    assert [path.name for path in store.blobs.iterdir()] == [digest]


def test_an_empty_machine_gets_the_blobs_of_known_jobs_and_the_store_loses_old_ones_of_nobody(
    tmp_path: Path, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from iris.rpc import iris_pb2 as pb

    first = Store(tmp_path / "first")
    mirror = mirror_of(first, memory)
    call, stray, young = (run(mirror.put(word)) for word in (b"call", b"stray", b"young"))
    launch = run(mirror.put(pb.Launch(call=call).SerializeToString()))
    script = cluster(cpu_group(min_slices=1))
    script.submit("runs", payload=launch)

    second = Store(tmp_path / "second")
    local = second.put(b"here alone")
    script.submit("other", payload=local)
    bundles = ObjectFolder(f"{memory}/bundles", "storage.bundles")
    ages = {stray: 1.0}

    async def modified(_folder: ObjectFolder, key: str) -> float:
        return ages.get(key, time.time())

    monkeypatch.setattr(ObjectFolder, "modified", modified)
    run(mirror_of(second, memory).learn(script.controller.state))
    assert {path.name for path in second.blobs.iterdir()} == {launch, call, local}
    assert run(bundles.sizes()).keys() == {launch, call, local, young}


# ---- logs and results --------------------------------------------------------------------------


def test_a_log_follows_when_it_is_quiet_and_again_when_it_has_grown(
    tmp_path: Path, memory: str
) -> None:
    store = Store(tmp_path)
    mirror = mirror_of(store, memory, Pace(look=0.02, quiet=0.3, retry=0.02))
    logs = ObjectFolder(f"{memory}/logs", "storage.logs")
    script = cluster(cpu_group())
    store.append_log(TASK, 0, 0, b"one\n")

    async def grown() -> bool:
        return await logs.sizes() == {"+alice/+train/0/0.log": 8}

    async def work() -> None:
        await are(logs, {"+alice/+train/0/0.log"})
        changed = store.log(TASK, 0).stat().st_mtime
        assert time.time() - changed >= 0.3
        store.append_log(TASK, 0, 4, b"two\n")
        await come(grown)

    script.submit("train")
    run(running_until(mirror, script.controller.state, work()))


def test_a_log_that_is_never_quiet_is_stored_now_and_then(tmp_path: Path, memory: str) -> None:
    store = Store(tmp_path)
    mirror = mirror_of(store, memory, Pace(look=0.02, quiet=1e9, at_least=0.2, retry=0.02))
    logs = ObjectFolder(f"{memory}/logs", "storage.logs")
    script = cluster(cpu_group())
    script.submit("train")
    store.append_log(TASK, 0, 0, b"one\n")
    run(running_until(mirror, script.controller.state, are(logs, {"+alice/+train/0/0.log"})))


def test_what_is_stored_and_old_leaves_the_folder_and_comes_back_when_it_is_read(
    tmp_path: Path, memory: str
) -> None:
    store = Store(tmp_path)
    mirror = mirror_of(store, memory, SHORT)
    script = cluster(cpu_group())
    script.submit("train")
    store.append_log(TASK, 0, 0, b"one\n")
    result = store.receive_result()
    result.write(b"7")
    result.keep(store.result(TASK, 0))

    async def gone() -> bool:
        return not (store.log(TASK, 0).exists() or store.result(TASK, 0).exists())

    run(running_until(mirror, script.controller.state, come(gone)))
    run(mirror.bring_log(TASK, 0))
    run(mirror.bring_result(TASK, 0))
    run(mirror.bring_log(TASK, 1))
    assert store.log(TASK, 0).read_bytes() == b"one\n"
    assert store.result(TASK, 0).read_bytes() == b"7"
    assert store.log_size(TASK, 1) == 0
    assert not list(tmp_path.rglob(".incoming-*"))


def test_the_log_of_an_attempt_that_goes_on_stays_in_the_folder(
    tmp_path: Path, memory: str
) -> None:
    store = Store(tmp_path)
    mirror = mirror_of(store, memory, SHORT)
    script = cluster(cpu_group())
    script.submit("train")
    store.append_log(TASK, 0, 0, b"one\n")

    async def work() -> None:
        task = asyncio.create_task(mirror.run(script.controller.state, lambda _t, _a: False))
        await are(ObjectFolder(f"{memory}/logs", "storage.logs"), {"+alice/+train/0/0.log"})
        await asyncio.sleep(0.3)
        task.cancel()

    run(work())
    assert store.log_size(TASK, 0) == 4


def test_a_forgotten_job_leaves_nothing_and_its_children_keep_theirs(
    tmp_path: Path, memory: str
) -> None:
    store = Store(tmp_path)
    mirror = mirror_of(store, memory)
    logs = ObjectFolder(f"{memory}/logs", "storage.logs")
    script = cluster(cpu_group())
    script.submit("train")
    store.append_log(TASK, 0, 0, b"parent")
    store.append_log(CHILD, 0, 0, b"child")
    below = "+alice/+train/+eval/0/0.log"

    async def work() -> None:
        await are(logs, {"+alice/+train/0/0.log", below})
        mirror.forget(JobId("/alice/train"))
        await mirror.bring_log(TASK, 0)
        assert store.log_size(TASK, 0) == 0  # A new job of this name begins with nothing.
        await are(logs, {below})
        store.append_log(TASK, 0, 0, b"of the new job")
        await are(logs, {"+alice/+train/0/0.log", below})

    state = script.controller.state
    state.jobs[JobId("/alice/train/eval")] = state.jobs[JobId("/alice/train")]
    run(running_until(mirror, state, work()))


def test_what_a_crash_kept_from_being_removed_goes_when_the_store_is_looked_at(
    tmp_path: Path, memory: str
) -> None:
    store = Store(tmp_path / "first")
    logs = ObjectFolder(f"{memory}/logs", "storage.logs")
    script = cluster(cpu_group())
    script.submit("train")
    store.append_log(TASK, 0, 0, b"kept")
    store.append_log(TaskId("/alice/lost:0"), 0, 0, b"lost")
    both = {"+alice/+train/0/0.log", "+alice/+lost/0/0.log"}
    state = script.controller.state
    state.jobs[JobId("/alice/lost")] = state.jobs[JobId("/alice/train")]
    run(running_until(mirror_of(store, memory), state, are(logs, both)))
    del state.jobs[JobId("/alice/lost")]
    empty = mirror_of(Store(tmp_path / "second"), memory)
    run(running_until(empty, state, are(logs, {"+alice/+train/0/0.log"})))
    run(empty.bring_log(TASK, 0))
    assert Store(tmp_path / "second").log_size(TASK, 0) == 4


def test_while_the_store_is_away_a_log_that_may_be_there_is_not_said_to_be_empty(
    tmp_path: Path, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    mirror = mirror_of(store, memory)
    logs = mirror._logs
    assert logs is not None
    store.append_log(TASK, 0, 0, b"here")
    run(mirror.bring_log(TASK, 0))
    with pytest.raises(StoreUnavailable, match="not reached yet"):
        run(mirror.bring_log(TASK, 1))
    script = cluster(cpu_group())
    script.submit("train")
    whole = logs._files.find

    def fails(*_args: object, **_more: object) -> None:
        raise OSError("connection refused")

    async def in_trouble() -> bool:
        return mirror._trouble is not None

    async def work() -> None:
        await come(in_trouble)
        with pytest.raises(StoreUnavailable, match="connection refused"):
            await mirror.bring_log(TASK, 1)
        monkeypatch.setattr(logs._files, "find", whole)
        await are(logs, {"+alice/+train/0/0.log"})
        await mirror.bring_log(TASK, 1)

    monkeypatch.setattr(logs._files, "find", fails)
    run(running_until(mirror, script.controller.state, work()))
