"""A call to an actor: what goes there, what comes back, in which order, and in which ways it can be made."""

import asyncio
import builtins
import copyreg
import pickle
import threading
from concurrent.futures import as_completed, wait
from typing import Any

import pytest

from iris.actor import (
    ActorClient,
    ActorFuture,
    ActorUnavailable,
    CallTimeout,
    FixedResolver,
    NoSuchMethod,
    NotPicklable,
    NotReadable,
    RemoteFailure,
    RemoteTraceback,
)
from tests.actor.actors import Cabinet, served, until


def test_a_method_is_called_as_if_the_object_were_here() -> None:
    with served(Cabinet()) as client:
        assert client.add(3) == 3
        assert client.add(count=4) == 7
        assert client.echo(1, b=2) == ((1,), {"b": 2})
        assert client.slowly("x") == "x"
        assert client.echo(lambda: 5)() == 5


def test_a_function_is_an_actor_and_a_name_of_the_clients_own_is_reached_in_brackets() -> None:
    class Door:
        def close(self) -> str:
            return "shut"

    with served(len) as client:
        assert client([1, 2]) == 2
    with served(Door()) as client:
        assert client["close"]() == "shut"


def test_futures_serve_threads_and_loops() -> None:
    with served(Cabinet()) as client:
        futures = [client.add.submit() for _ in range(50)]
        assert {future.result(5) for future in as_completed(futures)} == set(range(1, 51))
        assert wait(futures).not_done == set()

        async def awaited() -> list[int]:
            return list(await asyncio.gather(*(client.add.submit() for _ in range(50))))

        assert sorted(asyncio.run(awaited())) == list(range(51, 101))


def test_calls_of_one_caller_begin_in_the_order_in_which_they_were_made() -> None:
    cabinet = Cabinet()
    with served(cabinet) as client:
        big = bytes(300_000)
        sent: list[Any] = []
        for number in range(200):
            sent.append(number if number % 7 else big)
            client.echo.submit(sent[-1])
        client.add()
    assert cabinet.calls == sent


def test_no_more_calls_run_at_once_than_the_actor_allows() -> None:
    cabinet = Cabinet()
    with served(cabinet, concurrency=3) as client:
        futures = [client.wait.submit() for _ in range(10)]
        until(lambda: cabinet.running == 3)
        cabinet.gate.set()
        assert [future.result(5) for future in futures] == ["waited"] * 10
    assert cabinet.most_running == 3


def _samples() -> list[BaseException]:
    """One of every exception that Python has built in."""
    special: dict[type[BaseException], tuple[Any, ...]] = {
        UnicodeDecodeError: ("utf-8", b"x", 0, 1, "why"),
        UnicodeEncodeError: ("utf-8", "x", 0, 1, "why"),
        UnicodeTranslateError: ("x", 0, 1, "why"),
        BaseExceptionGroup: ("some", [KeyboardInterrupt("a")]),
        ExceptionGroup: ("some", [ValueError("a"), KeyError("b")]),
    }
    kinds = {
        kind
        for kind in vars(builtins).values()
        if isinstance(kind, type) and issubclass(kind, BaseException)
    }
    kinds.add(asyncio.CancelledError)
    kinds.add(asyncio.InvalidStateError)
    return [
        kind(*special.get(kind, ("its own words",)))
        for kind in sorted(kinds, key=lambda kind: kind.__name__)
    ]


@pytest.mark.parametrize("method", ["throw", "throw_later"])
def test_i_131_every_exception_of_python_comes_back_as_itself_and_once(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Dask has a library for its own exceptions that spoils pickling for others, as arguments of ours.
    for kind in [it for it in copyreg.dispatch_table if issubclass(it, BaseException)]:
        monkeypatch.delitem(copyreg.dispatch_table, kind)
    cabinet = Cabinet()
    with served(cabinet) as client:
        for error in _samples():
            if method == "throw_later" and isinstance(error, StopIteration | StopAsyncIteration):
                continue  # Python turns it into a RuntimeError within the coroutine.
            found = client[method].submit(error).exception(5)
            assert type(found) is type(error)
            assert found is not None
            assert pickle.dumps(found.args) == pickle.dumps(error.args)
            assert str(found) == str(error)
            assert isinstance(found.__cause__, RemoteTraceback)
            assert "raise error" in found.__cause__.text
        assert client.add() == 1
    if method == "throw":
        assert cabinet.calls == [type(error) for error in _samples()]


class Awkward(Exception):
    """Takes other arguments than it hands on, so that pickle cannot make it again."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(f"{code}: {words}")
        self.code = code


class Secretive(Exception):
    """Holds what nobody can pickle."""

    def __init__(self) -> None:
        super().__init__("as it was")
        self.lock = threading.Lock()


class OnlyThere:
    """Is read as what raises, wherever it is read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return int, ("no number",)


def test_exceptions_that_pickle_cannot_make_again_come_back_too() -> None:
    with served(Cabinet()) as client:

        def awkward() -> None:
            raise Awkward(7, "odd")

        def secretive() -> None:
            raise Secretive

        with pytest.raises(Awkward, match="7: odd") as found:
            client.run(awkward)
        assert found.value.code == 7
        with pytest.raises(RemoteFailure, match="as it was") as stand_in:
            client.run(secretive)
        assert stand_in.value.kind.endswith("Secretive")
        assert "in secretive" in str(stand_in.value.__cause__)
        assert client.add() == 1


def test_i_131_an_error_of_iris_that_a_method_met_is_told_apart_from_the_wires_own() -> None:
    theirs = CallTimeout("elsewhere.m had not ended after 1 s")
    with served(Cabinet()) as client:
        found = client.throw.submit(theirs).exception(5)
        assert isinstance(found, CallTimeout)
        assert isinstance(found.__cause__, RemoteTraceback)
        own = client.options(timeout=0.05).forever.submit().exception(5)
        assert isinstance(own, CallTimeout)
        assert own.__cause__ is None


def test_i_131_what_cannot_be_pickled_is_told_by_name_and_breaks_nothing() -> None:
    with served(Cabinet()) as client:
        with pytest.raises(NotPicklable, match=r"echo cannot be called: argument 1, of type lock,"):
            client.echo(1, threading.Lock())
        with pytest.raises(NotPicklable, match=r"argument 'door', of type lock,"):
            client.echo.submit(door=threading.Lock())
        with pytest.raises(NotPicklable, match=r"run has run, but its result of type lock"):
            client.run(threading.Lock)
        assert client.add() == 1


def test_what_cannot_be_unpickled_is_told_with_the_place_and_breaks_nothing() -> None:
    with served(Cabinet()) as client:
        with pytest.raises(NotReadable, match=r"did not run: its arguments .* at the server"):
            client.echo(OnlyThere())
        with pytest.raises(NotReadable, match="has run, but its result cannot be unpickled here"):
            client.run(OnlyThere)
        assert client.add() == 1


def test_what_is_no_method_for_callers_is_refused_with_the_nearest() -> None:
    with served(Cabinet()) as client:
        with pytest.raises(NoSuchMethod, match="no method 'ad'; did you mean `add`"):
            client.ad()
        with pytest.raises(
            NoSuchMethod, match="one of add, count, counted, echo, forever, run, slowly, throw,"
        ):
            client.zzz()
        with pytest.raises(NoSuchMethod, match="its name begins with `_`"):
            client["__init__"]()
        with pytest.raises(NoSuchMethod, match=r"it\.total is int, and no method"):
            client.total()
        with pytest.raises(NoSuchMethod, match="cannot be called itself"):
            client()
        with pytest.raises(NotPicklable, match=r"call it as count\.stream"):
            client.count(3)


def test_the_time_of_a_call_is_the_callers_and_ends_what_can_be_ended() -> None:
    cabinet = Cabinet()
    with served(cabinet) as client:
        quick = client.options(timeout=0.05)
        with pytest.raises(CallTimeout, match=r"it\.forever had not ended after 0\.05 s"):
            quick.forever()
        until(lambda: cabinet.closed == ["forever"])
        blocked = client.wait.submit()
        until(lambda: cabinet.running == 2)
        with pytest.raises(CallTimeout):
            quick.add()
        cabinet.gate.set()
        assert blocked.result(5) == "waited"
        assert client.add() == 1  # The late one was never run.


def test_a_call_is_taken_back_or_ended_by_its_future() -> None:
    cabinet = Cabinet()
    with served(cabinet) as client:
        running = client.forever.submit()
        waiting = client.add.submit()
        until(lambda: cabinet.running == 1)
        assert waiting.cancel()
        assert running.cancel()
        assert wait([running, waiting], 5).not_done == set()
        until(lambda: cabinet.closed == ["forever"])
        assert client.add() == 1

        async def awaited() -> None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(_of(client.forever.submit()), 0.05)

        asyncio.run(awaited())
        until(lambda: cabinet.closed == ["forever"] * 2)


async def _of(future: ActorFuture[Any]) -> Any:
    return await future


def test_a_callback_that_waits_for_another_call_is_told_so() -> None:
    with served(Cabinet()) as client:
        found: list[BaseException | None] = []
        told = threading.Event()

        def callback(_: object) -> None:
            found.append(_error(client.slowly))
            told.set()

        client.add.submit().add_done_callback(callback)
        assert told.wait(5)
        assert "a callback of a call waits" in str(found[0])


def _error(call: Any) -> BaseException | None:
    try:
        call(1)
    except RuntimeError as error:
        return error
    return None


def test_an_argument_may_have_any_name() -> None:
    with served(dict) as client:
        assert client(self=1, **{"a b": 2}) == {"self": 1, "a b": 2}
        assert client["__call__"].submit(self=1).result(5) == {"self": 1}
        assert list(client["__call__"].stream(self=1)) == ["self"]


def test_a_client_travels_as_a_pickle() -> None:
    with served(Cabinet()) as client, pickle.loads(pickle.dumps(client)) as other:
        assert client.add() == 1
        assert other.add() == 2


def test_a_client_from_before_a_fork_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(Cabinet()) as client:
        assert client.add() == 1
        monkeypatch.setattr("iris.actor.router.os.getpid", lambda: 1)
        with pytest.raises(RuntimeError, match="was made before this process was forked"):
            client.add()
        monkeypatch.undo()


def test_a_resolver_that_fails_ends_calls_when_patience_does() -> None:
    class Broken(FixedResolver):
        def resolve(self, name: str) -> Any:
            raise ValueError(f"no idea of {name}")

    with (
        ActorClient("it", Broken("127.0.0.1:1"), patience=0.05) as client,
        pytest.raises(ActorUnavailable, match="its resolver failed: ValueError: no idea of it"),
    ):
        client.add()


def test_patience_and_time_are_the_callers_however_long_a_resolver_takes() -> None:
    answer = threading.Event()

    class Slow(FixedResolver):
        def resolve(self, name: str) -> Any:
            answer.wait(20)
            return super().resolve(name)

    with ActorClient("it", Slow("127.0.0.1:1"), patience=0.1) as client:
        with pytest.raises(
            ActorUnavailable, match=r"in 0\.1 s nobody .*asked, and not answered yet"
        ):
            client.add()
        with pytest.raises(CallTimeout, match=r"it\.add did not run: nobody .* after 0\.05 s"):
            client.options(timeout=0.05).add()
        answer.set()
