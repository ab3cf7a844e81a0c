"""Which job is meant by less than its path."""

import pytest

from iris.cluster.controller.names import Ambiguous, job_meant
from iris.core.ids import JobId, UserName
from tests.harness import Script, cluster, cpu_group

ALICE = UserName("alice")


def known() -> Script:
    script = cluster(cpu_group())
    for user, name in (("alice", "train"), ("alice", "train-2"), ("bob", "train"), ("bob", "eval")):
        script.submit(name, user=user)
    script.submit("part", parent=JobId("/bob/eval"), user="bob")
    return script


@pytest.mark.parametrize(
    ("text", "user", "job"),
    [
        ("/alice/train", None, "/alice/train"),
        ("train", ALICE, "/alice/train"),
        ("train-2", None, "/alice/train-2"),
        ("eval", ALICE, "/bob/eval"),
        ("part", None, "/bob/eval/part"),
        ("/alice/train-", None, "/alice/train-2"),
        ("/bob/t", ALICE, "/bob/train"),
        ("nothing", ALICE, None),
        ("/alice/x", ALICE, None),
        ("", ALICE, None),
    ],
)
def test_a_name_or_the_beginning_of_a_path_is_enough(
    text: str, user: UserName | None, job: str | None
) -> None:
    assert job_meant(known().controller.state, text, user) == job


def test_what_could_be_several_is_told() -> None:
    state = known().controller.state
    with pytest.raises(Ambiguous, match=r"^train could be /alice/train, /bob/train$"):
        job_meant(state, "train", None)
    script = known()
    for number in range(6):
        script.submit(f"many-{number}")
    with pytest.raises(Ambiguous, match=r"/alice/many-4, and 1 more$"):
        job_meant(script.controller.state, "/alice/many", None)
