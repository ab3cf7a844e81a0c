"""Who calls: tokens of users, of workers and of tasks, and what each of them may ask for.

Without configured tokens the controller serves its own machine only, and everybody there is an
administrator under the name that they give. Secrets are compared by what proves them, in constant time,
and never told.
"""

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import jwt

from iris.config import Auth, Secret, SecretSource
from iris.config_deployment import SHORTEST_TOKEN
from iris.core.ids import (
    EndpointId,
    JobId,
    SliceId,
    TaskId,
    UserName,
    WorkerId,
    attempt_name,
    slice_of,
    split_task_id,
)
from iris.core.views import WorkerView
from iris.rpc.methods import Kind, Method

_ALGORITHM: Final = "HS256"


class NotPermitted(Exception):
    """The caller may not do that; says what is missing."""


class NotSignedIn(NotPermitted):
    """The caller showed no token, or one that nobody knows."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever made a call."""

    kind: Kind
    user: UserName | None = None  # None: a worker, or anybody on the own machine
    tree: JobId | None = None  # None: not limited to one tree of jobs
    worker: WorkerId | None = None  # None: not bound to one worker's name
    slice: SliceId | None = None  # None: not bound to the workers of one slice
    attempt: str | None = None  # None: no attempt of a task

    def may_see(self, job: JobId) -> bool:
        """Whether a job is within what the caller is limited to."""
        return self.tree is None or job == self.tree or job.startswith(f"{self.tree}/")

    def tasks_of(self, worker: WorkerView) -> WorkerView:
        """A worker with those of its tasks only that are within what the caller is limited to."""
        if self.tree is None:
            return worker
        mine = tuple(task for task in worker.tasks if self.may_see(split_task_id(task)[0]))
        return replace(worker, tasks=mine)

    def check_owner(self, job: JobId, owner: UserName) -> None:
        """Refuse a user who acts on what is another's; administrators act on all.

        Raises:
            NotPermitted: the job is another user's.
        """
        if self.kind is Kind.USER and self.user != owner:
            raise NotPermitted(f"{job} belongs to {owner}")

    def check_attempt(self, task: TaskId, attempt: int) -> None:
        """Refuse a task that speaks for another, or for another attempt.

        Raises:
            NotPermitted: its token is that of another attempt, or of none.
        """
        name = attempt_name(task, attempt)
        if self.kind is Kind.TASK and self.attempt != name:
            raise NotPermitted(
                f"this token is that of {self.attempt or 'no attempt'}, and not of {name}"
            )

    def check_worker(self, worker: WorkerId) -> None:
        """Refuse a worker that speaks for another.

        Raises:
            NotPermitted: its token is bound to another name.
        """
        if self.worker is not None and self.worker != worker:
            raise NotPermitted(f"this token is that of {self.worker}, and not of {worker}")
        if self.slice is not None and self.slice != slice_of(worker):
            raise NotPermitted(f"this token is for workers of {self.slice}, and not for {worker}")


class Doorkeeper:
    """Knows the tokens."""

    def __init__(self, auth: Auth, key: bytes) -> None:
        """Knows the configured tokens, and signs those of tasks with `key`.

        Raises:
            ValueError: a token's source, a variable or a file, is missing, or holds a short one.
        """
        self._users: Mapping[UserName, str] = {
            user: digest_of(word, f"auth.tokens.{user}") for user, word in auth.tokens
        }
        self._admins = frozenset(auth.admins)
        self._worker = (
            digest_of(auth.worker_token, "auth.worker_token")
            if auth.worker_token is not None
            else ""
        )
        self._key = key

    @property
    def is_open(self) -> bool:
        """Whether nobody needs a token: then only the own machine is served."""
        return not self._users

    def caller(self, token: str) -> Caller:
        """Whose token this is.

        Raises:
            NotSignedIn: nobody's.
        """
        if token.count(".") == 2:
            found = self._signed(token)
            if found is not None:
                return found
        shown = _digest(token)
        if self._worker and hmac.compare_digest(shown, self._worker):
            return Caller(Kind.WORKER)
        for user, word in self._users.items():
            if hmac.compare_digest(shown, word):
                return Caller(Kind.ADMIN if user in self._admins else Kind.USER, user)
        if self.is_open:
            return Caller(Kind.ADMIN)
        if not token:
            raise NotSignedIn("this controller asks for a token, and none was shown")
        raise NotSignedIn("the token is not known to this controller")

    def caller_named(self, user: UserName) -> Caller | None:
        """Who calls under a configured name; nothing when there is no such user now."""
        if user not in self._users:
            return None
        return Caller(Kind.ADMIN if user in self._admins else Kind.USER, user)

    def proof_of(self, user: UserName) -> str:
        """What proves a configured user's token, and changes when that does."""
        return self._users[user]

    def check_kind(self, method: Method[Any, Any], caller: Caller) -> None:
        """Refuse a caller of a kind that a call is not for.

        Raises:
            NotPermitted: it is.
        """
        if caller.kind in method.kinds:
            return
        if self.is_open and caller.kind is Kind.ADMIN:
            return  # On the own machine, without tokens, everybody is everything.
        if caller.kind is Kind.ADMIN and Kind.USER in method.kinds:
            return
        raise NotPermitted(f"a token of a {caller.kind.value} is not good for {method.name}")

    def task_token(self, root: JobId, attempt: str = "") -> str:
        """A token for an attempt in one tree of jobs; it is good as long as the tree's root may run.

        Without an attempt it may do within the tree what all may, and speaks for none.
        """
        return jwt.encode({"tree": root, "attempt": attempt}, self._key, algorithm=_ALGORITHM)

    def endpoint_secret(self, endpoint: EndpointId) -> str:
        """What the callers of an endpoint and its server prove to each other that they know, in hex.

        It follows from the key, so that it is kept nowhere, and the same after a restart.
        """
        told = f"endpoint\0{endpoint}".encode()
        return hmac.new(self._key, told, hashlib.sha256).hexdigest()

    def worker_token(self, worker: WorkerId) -> str:
        """A token for one worker and no other."""
        return jwt.encode({"worker": worker}, self._key, algorithm=_ALGORITHM)

    def slice_token(self, slice_: SliceId) -> str:
        """A token for the workers of one slice, whose machines are all told the same."""
        return jwt.encode({"slice": slice_}, self._key, algorithm=_ALGORITHM)

    def _signed(self, token: str) -> Caller | None:
        try:
            claims = jwt.decode(token, self._key, algorithms=[_ALGORITHM])
        except jwt.InvalidTokenError:
            return None
        if "worker" in claims:
            return Caller(Kind.WORKER, worker=WorkerId(str(claims["worker"])))
        if "slice" in claims:
            return Caller(Kind.WORKER, slice=SliceId(str(claims["slice"])))
        tree = JobId(str(claims["tree"]))
        attempt = str(claims.get("attempt", "")) or None  # Tokens of older versions name none.
        return Caller(Kind.TASK, UserName(tree.split("/")[1]), tree, attempt=attempt)


def digest_of(secret: Secret, key: str) -> str:
    """What proves a configured secret: the SHA-256 of it, in hex.

    Raises:
        ValueError: its source, which `key` names, is missing, or holds a short one.
    """
    found = _read(secret, key)
    return found if secret.source is SecretSource.DIGEST else _digest(found)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _read(secret: Secret, key: str) -> str:
    found = secret.word
    match secret.source:
        case SecretSource.VALUE | SecretSource.DIGEST:
            return found
        case SecretSource.ENVIRONMENT:
            if not os.environ.get(secret.word):
                raise ValueError(f"{key}: the variable {secret.word} is not set")
            found = os.environ[secret.word]
        case SecretSource.FILE:
            try:
                found = Path(secret.word).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise ValueError(f"{key}: {secret.word}: {error.strerror}") from error
            except UnicodeDecodeError as error:
                raise ValueError(f"{key}: {secret.word}: it holds no text") from error
    if len(found) < SHORTEST_TOKEN:
        raise ValueError(
            f"{key}: the token in {secret.word} is shorter than {SHORTEST_TOKEN} characters"
        )
    return found


def signing_key(root: Path) -> bytes:
    """The key that task tokens are signed with: drawn once, kept beside the journal, for its owner only."""
    path = root / "signing.key"
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(32))
    return path.read_bytes()
