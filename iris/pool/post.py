"""A worker of a pool, in its task: takes calls, has them made beside it, keeps answers until they are seen.

A connection may break between any two messages: the pool then greets again, in the same session, learns which
calls are here, and hears the answers that it has not seen. So nothing is made twice and no answer is lost as
long as this process lives. A later session, or that of another pool, ends all that was.
"""

import sys
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Final

from iris.actor.payload import Payload
from iris.core.calls import CallId, Outcome
from iris.pool.hands import Hand
from iris.pool.words import (
    GIVEN_BACK,
    KEPT_FUNCTIONS,
    Answer,
    Answers,
    Call,
    Greeting,
    Orders,
    Session,
    StaleSession,
    apart,
)

BATCH_BYTES: Final = 4 << 20
"""Of answers in one message, unless one alone is larger."""
_GATHER_S: Final = 0.002
"""While further calls wait, answers are gathered for so long before they are sent."""
_FALSE_STARTS: Final = 3
"""So many processes in a row that end before they have worked, and the worker ends itself."""


class Post:
    """The calls that a worker holds, and their answers. Safe to use from several threads."""

    def __init__(self, task: str, attempt: int) -> None:
        """Without a session; the process that makes calls is started, so that it is warm."""
        self._task = task
        self._attempt = attempt
        self._lock = threading.Lock()
        self._news = threading.Condition(self._lock)
        self._session: Session | None = None  # None: nobody has greeted
        self._functions: OrderedDict[bytes, bytes] = OrderedDict()
        self._queue: deque[Call] = deque()
        """Each with its function instead of the digest."""
        self._made: Call | None = None  # None: nothing is being made
        self._answers: deque[tuple[int, Answer]] = deque()
        self._next = 1
        self._reader = 0
        self._is_gathering = False
        """Whether answers are waited for that will come soon, and need not be told one by one."""
        self._heard_at = time.monotonic()
        self._over = threading.Event()
        self.status = 0
        """Of the worker's exit, once it is over."""
        self._hand = Hand()
        self._false_starts = 0
        threading.Thread(target=self._collect, name="iris-pool-hand", daemon=True).start()

    # ---- what the pool calls -----------------------------------------------------------------------

    def greet(self, session: Session) -> Greeting:
        """Begin a session, or go on with it by another connection.

        Raises:
            StaleSession: a later one has begun.
        """
        with self._lock:
            known = self._session
            if known is not None and known[0] == session[0] and known[1:] > session[1:]:
                raise StaleSession(f"{session} is over, {known} has begun")
            if known is None or known[:2] != session[:2]:
                self._begin()
            self._session = session
            self._heard_at = time.monotonic()
            self._reader += 1
            self._news.notify_all()
            made = [self._made[0]] if self._made is not None else []
            answered = [answer[0] for _, answer in self._answers]
            return self._task, self._attempt, (*made, *(c[0] for c in self._queue), *answered)

    def tell(self, session: Session, orders: Orders) -> None:
        """Do what a pool says.

        Raises:
            StaleSession: a later session or connection has begun.
        """
        seen, abandoned, recalled, functions, calls = orders
        with self._lock:
            self._check(session)
            self._heard_at = time.monotonic()
            while self._answers and self._answers[0][0] <= seen:
                self._answers.popleft()
            if self._made is not None and self._made[0] in abandoned:
                self._hand.end()
            self._give_back({*abandoned, *recalled})
            self._functions.update(functions)
            for call, digest, arguments in calls:
                self._functions.move_to_end(digest)
                self._queue.append((call, self._functions[digest], arguments))
            while len(self._functions) > 2 * KEPT_FUNCTIONS:
                self._functions.popitem(last=False)
            self._make_next()

    def hear(self, session: Session, seen: int) -> Iterator[Answers]:
        """All answers after one that was seen, as they come, until somebody else listens.

        Raises:
            StaleSession: a later session or connection has begun.
        """
        with self._lock:
            self._check(session)
            self._reader += 1
            reader = self._reader
            self._news.notify_all()
        while True:
            with self._lock:
                while not self._has_news(seen) and reader == self._reader:
                    self._news.wait()
                self._is_gathering = True
                self._news.wait_for(lambda: not self._queue or reader != self._reader, _GATHER_S)
                self._is_gathering = False
                if reader != self._reader:
                    return
                found = self._after(seen)
            yield seen + 1, [(*answer[:3], apart(answer[3])) for answer in found]
            seen += len(found)

    def dismiss(self, session: Session) -> None:
        """End well: this worker is not wanted any more.

        Raises:
            StaleSession: a later session or connection has begun.
        """
        with self._lock:
            self._check(session)
        self.end(0)

    # ---- how it ends -------------------------------------------------------------------------------

    def wait(self, lease_s: float) -> int:
        """Wait for the end; the status of the worker's exit.

        A pool that is not heard for a lease is gone, or cannot get here. Who has never heard one ends
        well, so that its task does not come back: so a job whose pool has died comes to its end. Who
        has heard one before ends badly, so that its task is tried once more, and maybe elsewhere.
        """
        while not self._over.wait(lease_s / 10):
            with self._lock:
                is_alone = time.monotonic() - self._heard_at > lease_s
                never = self._session is None
            if is_alone:
                words = "has never been heard" if never else "was not heard any more"
                _say(f"the pool {words} for {lease_s:g} s: this worker ends")
                self.end(0 if never else 1)
        with self._lock:
            self._hand.end()
        return self.status

    def end(self, status: int) -> None:
        """Have `wait` return."""
        self.status = status
        self._over.set()

    # ---- inside; the lock is held ------------------------------------------------------------------

    def _check(self, session: Session) -> None:
        if session != self._session:
            raise StaleSession(f"{session} is over, {self._session} has begun")

    def _begin(self) -> None:
        self._functions.clear()
        self._queue.clear()
        self._answers.clear()
        self._next = 1
        if self._made is not None:
            self._made = None
            self._hand.end()

    def _has_news(self, seen: int) -> bool:
        return bool(self._answers) and self._answers[-1][0] > seen

    def _after(self, seen: int) -> list[Answer]:
        """As many of the answers after one as go into a message."""
        found: list[Answer] = []
        room = BATCH_BYTES
        for number, answer in self._answers:
            if number <= seen:
                continue
            room -= sum(memoryview(buffer).nbytes for buffer in answer[3])
            if found and room < 0:
                break
            found.append(answer)
        return found

    def _answer(self, call: CallId, outcome: str, took_us: int = 0, payload: Payload = ()) -> None:
        self._answers.append((self._next, (call, outcome, took_us, payload)))
        self._next += 1
        if not (self._is_gathering and self._queue):
            self._news.notify_all()

    def _give_back(self, calls: set[CallId]) -> None:
        if calls:
            for call in self._queue:
                if call[0] in calls:
                    self._answer(call[0], GIVEN_BACK)
            self._queue = deque(call for call in self._queue if call[0] not in calls)

    def _make_next(self) -> None:
        """Hand the next call over, if none is being made."""
        if self._made is None and self._queue and not self._hand.is_ending:
            _, function, arguments = self._queue[0]
            if self._hand.make(function, arguments):
                self._made = self._queue.popleft()

    # ---- the thread that waits for what is made ----------------------------------------------------

    def _collect(self) -> None:
        while True:
            made = self._hand.made()
            with self._lock:
                if made is None and self._over.is_set():
                    self._hand.how_it_ended()
                    return
                if made is None:
                    self._replace()
                elif self._made is not None:
                    outcome, took_us, payload = made
                    self._answer(self._made[0], outcome.value, took_us, payload)
                    self._made = None
                self._make_next()

    def _replace(self) -> None:
        """The process has ended: there is a new one."""
        how = self._hand.how_it_ended()
        if self._made is not None:
            self._answer(self._made[0], Outcome.CRASHED.value, 0, [how.encode()])
            self._made = None
        self._false_starts = self._false_starts + 1 if self._hand.never_worked else 0
        if self._false_starts == _FALSE_STARTS:
            _say(f"the process that makes calls {how}, {_FALSE_STARTS} times: this worker ends")
            self.end(1)
        self._hand = Hand()


def _say(line: str) -> None:
    print(f"iris: {line}", file=sys.stderr, flush=True)  # noqa: T201
