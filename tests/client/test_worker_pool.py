"""A pool of workers as its user meets it: an executor whose calls are made by the tasks of a job."""

import asyncio
import builtins
import ctypes
import importlib
import io
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, as_completed, wait
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from iris.actor import Endpoint, NotReadable
from iris.client import (
    BadRequest,
    CallCrashed,
    CallTimedOut,
    IrisClient,
    PoolEnded,
    WorkerPool,
    iris_ctx,
    pool_workers,
    worker_pool,
)
from iris.client.pool_line import ActorLine
from iris.client.pool_progress import Shown
from iris.cluster.processes import is_running
from iris.cluster.types import Entrypoint, ResourceSpec
from iris.core.calls import Progress
from tests.cluster.running import until

SMALL = ResourceSpec(cpu="0.1", memory="500MB")


@pytest.fixture(scope="module")
def client() -> Iterator[IrisClient]:
    with IrisClient.local(cpu=8) as found:
        yield found


@pytest.fixture(scope="module")
def pool(client: IrisClient) -> Iterator[WorkerPool]:
    with WorkerPool(client, 2, resources=SMALL, timeout=60) as found:
        yield found


def exceptions() -> list[BaseException]:
    """One of each kind that Python has, made as simply as it can be."""
    found: list[BaseException] = []
    for kind in vars(builtins).values():
        if isinstance(kind, type) and issubclass(kind, BaseException):
            if issubclass(kind, UnicodeDecodeError):
                found.append(kind("utf-8", b"x", 0, 1, "no text"))
            elif issubclass(kind, UnicodeEncodeError):
                found.append(kind("utf-8", "x", 0, 1, "no bytes"))
            elif issubclass(kind, UnicodeTranslateError):
                found.append(kind("x", 0, 1, "no text"))
            elif issubclass(kind, BaseExceptionGroup):
                found.append(kind("several", [ValueError("one")]))
            else:
                found.append(kind("what", "ever"))
    return found


def raise_it(error: BaseException, book: str) -> None:
    with Path(book).open("a", encoding="utf-8") as file:
        file.write(f"{type(error).__name__}\n")
    raise error


def fail_until(count: int, book: str) -> int:
    """Fails so often, and then returns how often it ran."""
    with Path(book).open("a+", encoding="utf-8") as file:
        file.write("x")
        file.flush()
        runs = file.tell()
    if runs <= count:
        raise ConnectionError(runs)
    return runs


def test_whatever_takes_an_executor_takes_a_pool(pool: WorkerPool) -> None:
    assert pool.submit(divmod, 7, 2).result() == (3, 1)
    offset = 10

    def added(number: int, *, more: int) -> int:
        return number + more + offset

    assert list(pool.map(pow, [2, 3], [5, 2])) == [32, 9]
    assert sorted(pool.map_unordered(abs, [-1, -2, 3])) == [1, 2, 3]
    futures = [pool.submit(added, n, more=1) for n in range(20)]
    assert sorted(f.result() for f in as_completed(futures)) == list(range(11, 31))
    assert not wait(futures).not_done

    async def main() -> int:
        return await asyncio.get_running_loop().run_in_executor(pool, max, 1, 5)

    assert asyncio.run(main()) == 5
    waited = threading.Event()

    def wait_for_another(_: object) -> None:
        with pytest.raises(RuntimeError, match="a callback of a call waits for another call"):
            pool.submit(abs, -1).result()
        waited.set()

    pool.submit(time.sleep, 0.05).add_done_callback(wait_for_another)
    assert waited.wait(10)


@dataclass
class Pages:
    """An array, of a kind that travels beside its pickle."""

    content: bytearray | memoryview

    def __reduce_ex__(self, _: object) -> tuple[type["Pages"], tuple[pickle.PickleBuffer]]:
        return Pages, (pickle.PickleBuffer(self.content),)


def turned(pages: Pages) -> Pages:
    """The same, once it has been written to."""
    pages.content[:] = b"\x07" * len(pages.content)
    return pages


def test_thousands_of_calls_may_be_open_and_large_ones_among_them(pool: WorkerPool) -> None:
    large = os.urandom(8 << 20)
    larger = 3 * large
    futures = [pool.submit(abs, -n) for n in range(5_000)]
    those = [pool.submit(bytes, each) for each in (large, larger, large)]
    pages = [pool.submit(turned, Pages(bytearray(n))) for n in (1_000, len(large), len(larger))]
    assert [future.result() for future in futures] == list(range(5_000))
    for _ in range(2):  # More functions than either side keeps.
        functions = [pool.submit(partial(max, number), -1) for number in range(700)]
        assert [future.result() for future in functions] == list(range(700))
    assert [future.result() for future in those] == [large, larger, large]
    for future in pages:  # What could be written to still can, wherever it comes to.
        content = future.result().content
        content[0] += 1
        assert bytes(content[:2]) == b"\x08\x07"
        assert content[-1] == 7


def test_i_131_whatever_a_call_raises_comes_back_as_itself_and_was_raised_once(
    pool: WorkerPool, tmp_path: Path
) -> None:
    book = tmp_path / "book"
    told = exceptions()
    assert len(told) > 60
    for error, future in [(error, pool.submit(raise_it, error, str(book))) for error in told]:
        found = future.exception()
        assert type(found) is type(error)
        assert repr(found) == repr(error)
        assert "raise_it" in str(found.__cause__)
    assert len(book.read_text().splitlines()) == len(told)


def test_a_call_is_made_again_as_often_as_it_may(pool: WorkerPool, tmp_path: Path) -> None:
    patient = pool.options(max_retries_failure=2)
    assert patient.submit(fail_until, 2, str(tmp_path / "two")).result() == 3
    with pytest.raises(ConnectionError, match="3"):
        patient.submit(fail_until, 3, str(tmp_path / "three")).result()


def test_a_call_that_crashes_or_hangs_ends_alone(pool: WorkerPool) -> None:
    pool.submit(int).result()
    hung = [pool.options(timeout=0.4).submit(time.sleep, 3_600) for _ in range(2)]
    crashed = pool.submit(os._exit, 3)
    others = [pool.submit(abs, n) for n in range(50)]
    for future in hung:
        with pytest.raises(CallTimedOut, match=r"^sleep had not ended within 0.4 s$"):
            future.result()
    with pytest.raises(CallCrashed, match=r"_exit crashed: .* ended with status 3$"):
        crashed.result()
    assert [future.result() for future in others] == list(range(50))


def fork_and(then: Callable[[], object], book: str) -> object:
    """Leave a child that has copies of all that is open here; it is forked as by a library, Python is not told."""
    pid = ctypes.PyDLL(None).fork()
    if not pid:
        time.sleep(600)
        os._exit(0)
    Path(book).write_text(str(pid), encoding="utf-8")
    return then()


def leave_group() -> None:
    os.setpgid(0, os.getpgid(os.getppid()))
    time.sleep(3_600)


def worker_pid() -> int:
    return os.getppid()


def test_a_child_that_a_call_forked_holds_nothing_up_and_ends_with_the_process(
    client: IrisClient, tmp_path: Path
) -> None:
    crashed, hung = tmp_path / "crashed", tmp_path / "hung"
    with WorkerPool(client, 1, resources=SMALL) as pool:
        worker = pool.submit(worker_pid).result(60)
        with pytest.raises(CallCrashed, match=r"ended with status 3$"):
            pool.submit(fork_and, partial(os._exit, 3), str(crashed)).result(60)
        assert pool.submit(worker_pid).result(60) == worker  # It has this module now.
        quick = pool.options(timeout=3)
        with pytest.raises(CallTimedOut):
            quick.submit(fork_and, partial(time.sleep, 3_600), str(hung)).result(60)
        assert pool.submit(worker_pid).result(60) == worker
        with pytest.raises(CallTimedOut):
            quick.submit(leave_group).result(60)
        assert pool.submit(worker_pid).result(60) == worker
        children = [int(book.read_text()) for book in (crashed, hung)]
        until(lambda: not any(is_running(pid, mark="iris.pool.hand") for pid in children))


def test_a_forked_child_that_comes_back_from_a_call_answers_nothing(client: IrisClient) -> None:
    with WorkerPool(client, 1, resources=SMALL) as pool:
        forked = pool.submit(os.fork).result(60)
        assert forked != 0
        assert [pool.submit(abs, -n).result(60) for n in range(5)] == list(range(5))


def test_what_cannot_be_sent_or_asked_for_is_told_at_once(
    client: IrisClient, pool: WorkerPool
) -> None:
    lock = threading.Lock()
    with pytest.raises(TypeError, match=r"argument 1, of type lock, cannot be pickled"):
        pool.submit(print, 1, lock)
    with pytest.raises(TypeError, match=r"it, or something that it closes over, cannot be pickled"):
        pool.submit(lambda: lock)
    with pytest.raises(TypeError, match=r"result of type lock cannot be pickled"):
        pool.submit(threading.Lock).result()
    with pytest.raises(TypeError, match="3 cannot be called"):
        pool.submit(3)  # type: ignore[arg-type]
    with pytest.raises(BadRequest, match="workers: 0 cannot be"):
        WorkerPool(client, 0)
    with pytest.raises(BadRequest, match="workers: 1000000 is more than 100000"):
        pool.resize(1_000_000)
    with pytest.raises(BadRequest, match=r"lease: 0.5 is less than 1 s"):
        WorkerPool(client, 1, lease=0.5)
    with pytest.raises(BadRequest, match="max_retries_failure: -1 cannot be"):
        pool.options(max_retries_failure=-1)
    with pytest.raises(BadRequest, match="timeout: 'soon'"):
        pool.options(timeout="soon")


def test_functions_of_a_module_beside_the_program_need_a_workspace(
    pool: WorkerPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "beside_it.py").write_text("def seven():\n    return 7\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    seven = importlib.import_module("beside_it").seven
    with pytest.raises(NotReadable, match=r"did not run: .*'beside_it'\).*workspace=FOLDER"):
        pool.submit(seven).result(60)
    with pytest.raises(NotReadable, match="did not run"):
        pool.submit(print, seven).result(60)
    with (
        IrisClient.local(workspace=tmp_path) as client,
        WorkerPool(client, 1, resources=SMALL) as found,
    ):
        assert found.submit(seven).result(60) == 7


def test_calls_that_no_worker_was_sent_can_be_cancelled(client: IrisClient) -> None:
    with WorkerPool(client, 1, resources=SMALL) as pool:
        futures = [pool.submit(time.sleep, 0.3) for _ in range(4)]
        until(futures[0].running)
        assert not futures[0].cancel()
        assert futures[2].cancel()
        pool.shutdown(wait=False, cancel_futures=True)
        with pytest.raises(RuntimeError, match="the pool was shut down"):
            pool.submit(int)
        assert wait(futures, 10).not_done == set()
        assert futures[0].result() is None
        with pytest.raises(CancelledError):
            futures[3].result()
    assert [job.status().state for job in pool.jobs] == ["succeeded"]


def slow_pid() -> int:
    time.sleep(0.1)
    return os.getpid()


def test_a_pool_grows_and_shrinks_and_when_its_job_is_stopped_every_call_ends_and_says_so(
    client: IrisClient,
) -> None:
    with WorkerPool(client, 1, "elastic", resources=SMALL) as pool:
        pool.resize(2)
        until(lambda: pool.progress().workers == 2)
        assert len({future.result() for future in [pool.submit(slow_pid) for _ in range(4)]}) == 2
        pool.resize(1)
        until(lambda: pool.progress().workers == 1)
        first, second = pool.jobs
        assert second.id == f"{first.id}-2"
        assert second.wait(10).state == "succeeded"
        assert pool.submit(int).result() == 0
        futures = [pool.submit(time.sleep, 3_600) for _ in range(3)]
        first.terminate()
        for future in futures:
            with pytest.raises(PoolEnded, match=r"its pool has ended: job /.*/elastic is killed"):
                future.result(20)
        with pytest.raises(PoolEnded, match="elastic is killed"):
            pool.submit(int)


def test_a_pool_that_never_gets_a_worker_ends_and_says_so(client: IrisClient) -> None:
    with (
        WorkerPool(client, 1, resources=ResourceSpec(cpu=8), scheduling_timeout=0.5) as pool,
        pytest.raises(PoolEnded, match="unschedulable"),
    ):
        pool.submit(int).result(20)


def interrupted_within(pool: WorkerPool) -> None:
    with pool:
        raise KeyboardInterrupt


def interrupted_and_closed(pool: WorkerPool) -> None:
    try:
        raise KeyboardInterrupt
    finally:
        pool._driver.leave()


def interrupted_while_it_waits(pool: WorkerPool) -> None:
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
    pool._driver.leave()


@pytest.mark.parametrize(
    "program", [interrupted_within, interrupted_and_closed, interrupted_while_it_waits]
)
def test_an_interrupt_ends_a_pool_and_its_calls_at_once(
    client: IrisClient, program: Callable[[WorkerPool], None]
) -> None:
    pool = WorkerPool(client, 1, resources=ResourceSpec(cpu=8))
    future = pool.submit(int)
    with pytest.raises(KeyboardInterrupt):
        program(pool)
    with pytest.raises(PoolEnded, match="its pool has ended: it was interrupted"):
        future.result(0)
    assert [job.wait(10).state for job in pool.jobs] == ["killed"]


def test_a_pool_whose_workers_cannot_be_reached_says_where_they_are(
    client: IrisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def astray(endpoint: Endpoint) -> ActorLine:
        return ActorLine(replace(endpoint, address="127.0.0.1:1"))

    monkeypatch.setattr(worker_pool, "ActorLine", astray)
    monkeypatch.setattr(pool_workers, "REACH_S", 0.5)
    where = r"could be reached from here .*\(127\.0\.0\.1:\d+: "
    with WorkerPool(client, 1, resources=SMALL) as pool, pytest.raises(PoolEnded, match=where):
        pool.submit(int).result(30)


def within_a_task() -> tuple[str, str, int]:
    ctx = iris_ctx()
    with ctx.client() as client, WorkerPool(client, 1, "inner", resources=SMALL) as pool:
        return ctx.job_id, pool.jobs[0].id, pool.submit(abs, -7).result()


def test_within_a_task_the_workers_are_a_child_of_its_job(client: IrisClient) -> None:
    job = client.submit(Entrypoint.from_callable(within_a_task), "outer", resources=SMALL)
    outer, inner, value = job.result(60)
    assert (inner, value) == (f"{outer}/inner", 7)


class Terminal(io.StringIO):
    """What is written to it, as if somebody saw it."""

    def isatty(self) -> bool:
        return True


def test_progress_is_one_line_on_a_terminal_and_plain_lines_in_a_pipe() -> None:
    over = threading.Event()
    terminal, pipe = Terminal(), io.StringIO()
    progress = Progress(waiting=3, running=2, returned=4, failed=1, workers=2, wanted=2)
    shown = [Shown("sums", lambda: progress, over, stream) for stream in (terminal, pipe)]
    until(lambda: "5/10" in terminal.getvalue())
    over.set()
    for each in shown:
        each.join()
    line = "sums: 5/10 done, 1 failed, 2 running, 3 waiting; 2 of 2 workers"
    assert terminal.getvalue() == f"\r\x1b[K{line}\r\x1b[K{line}\n"
    assert pipe.getvalue() == f"{line}\n"
