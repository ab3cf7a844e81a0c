"""Who may do what: every kind of token, and every way to come without a good one."""

from pathlib import Path

import pytest

from iris.cluster.controller.auth import (
    Caller,
    Doorkeeper,
    NotPermitted,
    NotSignedIn,
    signing_key,
)
from iris.cluster.controller.sealing import sealed
from iris.config import Auth, Secret, SecretSource, read_cluster
from iris.core.ids import JobId, SliceId, UserName, WorkerId
from iris.rpc.methods import Kind
from iris.yaml_source import parse_mapping

ALICE, BOB = UserName("alice"), UserName("bob")
KEY = b"k" * 32


def secret(word: str) -> Secret:
    return Secret(SecretSource.VALUE, word)


def door() -> Doorkeeper:
    tokens = ((ALICE, secret("alices-long-token")), (BOB, secret("bobs-very-long-token")))
    return Doorkeeper(Auth(tokens, (BOB,), secret("the-workers-token")), KEY)


def test_each_token_names_its_caller() -> None:
    assert door().caller("alices-long-token") == Caller(Kind.USER, ALICE)
    assert door().caller("bobs-very-long-token") == Caller(Kind.ADMIN, BOB)
    assert door().caller("the-workers-token") == Caller(Kind.WORKER)


@pytest.mark.parametrize(
    "token", ["alices-long-toke", "alices-long-token ", "x", "a.b.c", "ümlaut"]
)
def test_i_145_a_wrong_token_is_nobodys(token: str) -> None:
    with pytest.raises(NotSignedIn, match="not known"):
        door().caller(token)


def test_no_token_is_told_apart_from_a_wrong_one() -> None:
    with pytest.raises(NotSignedIn, match="none was shown"):
        door().caller("")


def test_a_tasks_token_is_limited_to_its_own_tree() -> None:
    caller = door().caller(door().task_token(JobId("/alice/train")))
    assert caller == Caller(Kind.TASK, ALICE, JobId("/alice/train"))
    assert caller.may_see(JobId("/alice/train"))
    assert caller.may_see(JobId("/alice/train/eval"))
    assert not caller.may_see(JobId("/alice/train2"))
    assert not caller.may_see(JobId("/alice"))


def test_a_token_that_another_key_signed_is_nobodys() -> None:
    other = Doorkeeper(Auth((), (), None), b"x" * 32).task_token(JobId("/alice/train"))
    with pytest.raises(NotSignedIn):
        door().caller(other)


def test_i_146_a_workers_token_is_good_for_its_own_name_only() -> None:
    caller = door().caller(door().worker_token(WorkerId("iris-cpu-1-w0")))
    caller.check_worker(WorkerId("iris-cpu-1-w0"))
    with pytest.raises(NotPermitted, match="is that of iris-cpu-1-w0, and not of iris-cpu-2-w0"):
        caller.check_worker(WorkerId("iris-cpu-2-w0"))


def test_a_slices_token_is_good_for_the_workers_of_that_slice_only() -> None:
    caller = door().caller(door().slice_token(SliceId("iris-cpu-1")))
    assert caller.kind is Kind.WORKER
    caller.check_worker(WorkerId("iris-cpu-1-w3"))
    with pytest.raises(
        NotPermitted, match="is for workers of iris-cpu-1, and not for iris-cpu-12-w0"
    ):
        caller.check_worker(WorkerId("iris-cpu-12-w0"))


def test_a_sealed_file_opens_to_the_same_tokens_and_holds_none_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALICES_TOKEN", "from-the-environment")
    text = """
scale_groups: {cpu: {accelerator_type: cpu, max_slices: 1}}
auth:
  tokens: {alice: {env: ALICES_TOKEN}, bob: a-token-in-the-file}
  admins: [alice]
  worker_token: all-workers-show-this
"""
    document = parse_mapping(text, "cluster.yaml")
    told = sealed(document, read_cluster(document).auth)
    secrets = ("from-the-environment", "a-token-in-the-file", "all-workers-show-this")
    assert not [word for word in secrets if word in told]
    opened = Doorkeeper(read_cluster(parse_mapping(told, "sealed.yaml")).auth, KEY)
    callers = [opened.caller(word) for word in secrets]
    assert callers == [Caller(Kind.ADMIN, ALICE), Caller(Kind.USER, BOB), Caller(Kind.WORKER)]


def test_without_tokens_everybody_on_the_machine_is_an_administrator() -> None:
    open_door = Doorkeeper(Auth((), (), None), KEY)
    assert open_door.is_open
    assert open_door.caller("") == Caller(Kind.ADMIN)
    assert not door().is_open


def test_secrets_come_from_where_the_config_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "token"
    path.write_text("from-a-file-with-a-newline\n")
    monkeypatch.setenv("ALICES_TOKEN", "from-the-environment")
    tokens = (
        (ALICE, Secret(SecretSource.ENVIRONMENT, "ALICES_TOKEN")),
        (BOB, Secret(SecretSource.FILE, str(path))),
    )
    found = Doorkeeper(Auth(tokens, (), None), KEY)
    assert found.caller("from-the-environment").user == ALICE
    assert found.caller("from-a-file-with-a-newline").user == BOB
    monkeypatch.delenv("ALICES_TOKEN")
    with pytest.raises(ValueError, match="the variable ALICES_TOKEN is not set"):
        Doorkeeper(Auth(tokens, (), None), KEY)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is shorter than 16 characters"),
        (b"fifteen-letters\n", "is shorter than 16 characters"),
        (b"\xff" * 20, "it holds no text"),
        (None, "No such file or directory"),
    ],
)
def test_a_file_without_a_token_opens_no_door(
    tmp_path: Path, content: bytes | None, why: str
) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    secret = Secret(SecretSource.FILE, str(path))
    for auth in (Auth(((ALICE, secret),), (ALICE,), None), Auth((), (), secret)):
        with pytest.raises(ValueError, match=why) as refused:
            Doorkeeper(auth, KEY)
        key = "auth.tokens.alice" if auth.tokens else "auth.worker_token"
        assert str(refused.value).startswith(key)
        assert str(path) in str(refused.value)


def test_the_signing_key_is_drawn_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    key = signing_key(tmp_path)
    assert len(key) == 32
    assert signing_key(tmp_path) == key
    assert (tmp_path / "signing.key").stat().st_mode & 0o077 == 0
