"""A pool of warm workers: one job, whose tasks make the calls that are submitted here.

It is an `Executor`, so that whatever takes one takes it: `asyncio.loop.run_in_executor`, `wait`, `as_completed`.
"""

import atexit
import secrets
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, as_completed
from types import TracebackType
from typing import Any, Final, ParamSpec, Self, TypedDict, TypeVar, Unpack, cast

from iris.client.client import IrisClient
from iris.client.errors import BadRequest
from iris.client.job import Job
from iris.client.pool_book import Function, packed_arguments, prepared
from iris.client.pool_driver import Driver
from iris.client.pool_jobs import PoolJobs
from iris.client.pool_line import ActorLine
from iris.client.pool_progress import Shown
from iris.cluster.types import Constraint, Entrypoint, EnvironmentSpec, ResourceSpec
from iris.core.calls import CallLimits, Progress, Resized
from iris.core.instant import Millis
from iris.core.spec import MAX_REPLICAS
from iris.pool.serve import serve
from iris.units import BadQuantity, parse_duration

_P = ParamSpec("_P")
_T = TypeVar("_T")

LEASE: Final = "60s"
_LEAST_LEASE_S: Final = 1.0
_PINGS: Final = 4
"""In a lease."""
RETRIES: Final = 100
"""Of a worker's task, after it has failed."""
LOSSES: Final = 100_000
"""Likewise after it has lost its machine."""


class OfWorkers(TypedDict, total=False):
    """What may be asked for each worker; `IrisClient.submit` says of what kind."""

    resources: ResourceSpec
    environment: EnvironmentSpec
    constraints: Sequence[Constraint]
    band: str
    scheduling_timeout: float | str | None


class Submits(Executor):
    """Takes calls for a pool, under certain limits."""

    def __init__(
        self, driver: Driver, limits: CallLimits, pool: "WorkerPool | None" = None
    ) -> None:
        self._driver = driver
        self._pool = pool  # Which is shut down when nobody has it any more.
        self._limits = limits

    def submit(
        self, function: Callable[_P, _T], /, *args: _P.args, **named: _P.kwargs
    ) -> Future[_T]:
        """Have a call made by a worker; its arguments are taken as they are now.

        Raises:
            NotPicklable: the function or an argument cannot be sent.
            PoolEnded: the pool has no worker left and will get none.
            RuntimeError: the pool was shut down.
        """
        known: object = function
        what = known if isinstance(known, Function) else prepared(function)
        future: Future[_T] = self._submit(what, args, named)
        return future

    def _submit(self, function: Function, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        arguments = packed_arguments(function, args, named)
        self._driver.check()
        future, fact = self._driver.book.enter(function, arguments, self._limits)
        self._driver.learn(fact)
        return future

    def map(
        self,
        function: Callable[..., _T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
    ) -> Iterator[_T]:
        """What the calls return, in the order of the arguments; the first that raises ends it.

        All are submitted at once.

        Args:
            function: called with an item of each iterable.
            iterables: of arguments; the shortest counts.
            timeout: seconds from now for all of it; no limit without.
            chunksize: of no effect: small calls travel together anyway.

        Raises:
            TimeoutError: the time was over.
        """
        what = cast("Callable[..., _T]", prepared(function))  # `submit` takes it
        return super().map(what, *iterables, timeout=timeout, chunksize=chunksize)

    def map_unordered(
        self, function: Callable[..., _T], *iterables: Iterable[Any], timeout: float | None = None
    ) -> Iterator[_T]:
        """As `map`, each result as soon as it is there; those that nobody waits for any more are cancelled."""
        what = prepared(function)
        futures = [self._submit(what, args, {}) for args in zip(*iterables, strict=False)]

        def results() -> Iterator[_T]:
            try:
                for future in as_completed(futures, timeout):
                    yield future.result()
            finally:
                for future in futures:
                    future.cancel()

        return results()


class WorkerPool(Submits):
    """So many warm workers; a context manager that waits for its calls and ends the workers.

    When its program dies, or does not reach its workers for a lease, they end by themselves.
    """

    def __init__(  # noqa: PLR0913
        self,
        client: IrisClient,
        workers: int,
        name: str | None = None,
        *,
        max_retries_failure: int = 0,
        max_retries_preemption: int = 100,
        timeout: float | str | None = None,
        lease: float | str = LEASE,
        show_progress: bool = False,
        **asked: Unpack[OfWorkers],
    ) -> None:
        """Submit the job of the workers; calls can be submitted at once, and wait for them.

        Args:
            client: of the cluster; when it is closed, the pool is shut down before.
            workers: how many; each is a task of one job.
            name: of the job, unique among the user's, or among its parent's; made if not given.
            max_retries_failure: how often a call that raised, or ended its process, is made again.
            max_retries_preemption: how often one that lost its worker is.
            timeout: seconds or `10m` from a call's submission to its end, whatever happens to it.
            lease: seconds or `10m`; workers that do not hear of this program for so long end.
            show_progress: write to stderr how many calls have ended, as they do.
            asked: of each worker, as `IrisClient.submit` takes it.

        Raises:
            BadRequest: a value cannot be, said in a sentence.
            RemoteError: the controller refused, or was away for `PATIENCE_S`.
        """
        _check_workers(workers)
        limits = _limits(max_retries_failure, max_retries_preemption, timeout)
        lease_s = _millis("lease", lease) / 1_000
        if lease_s < _LEAST_LEASE_S:
            raise BadRequest(f"lease: {lease!r} is less than {_LEAST_LEASE_S:g} s")
        mark = f"pool-{secrets.token_hex(8)}"
        self.name = name if name is not None else mark
        """Of its first job; those that it grows by have a number behind it."""
        submit = _submitter(
            client, self.name, mark, Entrypoint.from_callable(serve, mark, lease_s), asked
        )
        self._jobs = PoolJobs(client.channel, submit)
        driver = Driver(mark, self._jobs, client.resolver(), ActorLine, lease_s / _PINGS)
        super().__init__(driver, limits)
        driver.start(workers)
        self._shown = Shown(self.name, driver.progress, driver.over) if show_progress else None
        weakref.finalize(self, driver.shut).atexit = False
        atexit.register(driver.leave)
        client.before_close(driver.leave)

    @property
    def jobs(self) -> list[Job]:
        """Its jobs: the first, and those that it has grown by."""
        return list(self._jobs.jobs)

    def options(
        self,
        *,
        max_retries_failure: int = 0,
        max_retries_preemption: int = 100,
        timeout: float | str | None = None,
    ) -> Submits:
        """The same pool, for calls with these limits instead of its own.

        Raises:
            BadRequest: a value cannot be.
        """
        limits = _limits(max_retries_failure, max_retries_preemption, timeout)
        return Submits(self._driver, limits, self)

    def resize(self, workers: int) -> None:
        """Have so many workers from now on.

        It grows by a further job. It shrinks by the newest seats: their workers make the call that they have begun,
        and end; a job of which no task has a worker yet is stopped when all of its seats go. A task that
        waits beside others that run goes when its worker has come.

        Raises:
            BadRequest: there must be one or more, and no more than 100,000.
            PoolEnded: the pool has ended.
            RuntimeError: the pool was shut down.
        """
        _check_workers(workers)
        self._driver.check()
        self._driver.learn(Resized(workers))

    def progress(self) -> Progress:
        """How many calls wait, run and have ended, and how many workers are there."""
        return self._driver.progress()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002
        """Take no further calls; when the last has ended, end the workers.

        Args:
            wait: until all of that is done. Without, the program still does not end before it.
            cancel_futures: cancel the calls that no worker was sent yet.
        """
        self._driver.shut(cancels=cancel_futures)
        if wait:
            self._driver.over.wait()
            atexit.unregister(self._driver.leave)
            if self._shown is not None:
                self._shown.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        if isinstance(error, KeyboardInterrupt):
            self._driver.interrupt()
        return super().__exit__(kind, error, trace)


def _submitter(
    client: IrisClient, name: str, mark: str, entrypoint: Entrypoint, asked: OfWorkers
) -> Callable[[int, int], Job]:
    """Submits the job number so-and-so of a pool, with so many tasks."""

    def submit(number: int, count: int) -> Job:
        return client.submit(
            entrypoint,
            name if number == 0 else f"{name}-{number + 1}",
            replicas=count,
            max_retries_failure=RETRIES,
            max_retries_preemption=LOSSES,
            request_id=f"{mark}-{number}",
            **asked,
        )

    return submit


def _check_workers(workers: int) -> None:
    if not _is_count(workers, 1):
        raise BadRequest(f"workers: {workers!r} cannot be; give a whole number, 1 or more")
    if workers > MAX_REPLICAS:
        raise BadRequest(f"workers: {workers} is more than {MAX_REPLICAS}")


def _limits(failures: int, losses: int, timeout: float | str | None) -> CallLimits:
    for field, value in (("max_retries_failure", failures), ("max_retries_preemption", losses)):
        if not _is_count(value, 0):
            raise BadRequest(f"{field}: {value!r} cannot be; give a whole number, 0 or more")
    return CallLimits(failures, losses, None if timeout is None else _millis("timeout", timeout))


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _millis(field: str, value: float | str) -> Millis:
    try:
        span = parse_duration(value)
    except BadQuantity as error:
        raise BadRequest(f"{field}: {error}") from error
    if span <= 0:
        raise BadRequest(f"{field}: {value!r} is no time; give seconds, or a text as '10m'")
    return span
