"""`iris build`: where images go, and what is refused before anything is built."""

import pytest

from iris.cli.main import main
from iris.exit_status import ExitStatus
from iris.image_names import local_name, places

GOOGLE = "us-central1-docker.pkg.dev/my-project/iris/iris-worker:v1"


@pytest.mark.parametrize(
    ("tag", "regions", "names"),
    [
        (GOOGLE, (), [GOOGLE]),
        (
            GOOGLE,
            ("us-central1", "europe-west4", "us-central1"),
            [GOOGLE, "europe-west4-docker.pkg.dev/my-project/iris/iris-worker:v1"],
        ),
        (
            "7.dkr.ecr.{region}.amazonaws.com/iris-worker",
            ("us-east-1",),
            ["7.dkr.ecr.us-east-1.amazonaws.com/iris-worker:latest"],
        ),
        ("localhost/iris:v1", (), ["localhost/iris:v1"]),
    ],
)
def test_an_image_has_a_name_in_each_region(
    tag: str, regions: tuple[str, ...], names: list[str]
) -> None:
    assert [str(place.name) for place in places(tag, regions)] == names
    assert str(local_name(tag, regions)) == names[0]


@pytest.mark.parametrize(
    ("words", "said", "remedy"),
    [
        (["-t", "Iris:v1"], "--tag: 'Iris:v1' is no name of an image", "in small letters"),
        (["-t", 256 * "a"], "has 256 characters", "255 at most"),
        (["-t", "a@sha256:1"], "--tag: 'a@sha256:1' is no name", "a digest is no name"),
        (["-t", GOOGLE, "--region=us-central1"], "there is no --push", "see `iris build"),
        (["-t", "iris", "--push"], "--tag: 'iris' names no registry", "us-central1-docker.pkg.dev"),
        (["-t", "a/iris", "--push"], "--tag: 'a/iris' names no registry", "PROJECT/REPOSITORY"),
        (
            ["-t", GOOGLE, "--push", "--region=us-central1-a"],
            "--region: 'us-central1-a' is a zone",
            "its region is us-central1",
        ),
        (
            ["-t", GOOGLE, "--push", "--region=Iowa"],
            "--region: 'Iowa' is no region",
            "as us-central1",
        ),
        (
            ["-t", "ghcr.io/a/iris:v1", "--push", "--region=us-central1"],
            "--tag: 'ghcr.io/a/iris:v1' is the same image in every region",
            "put {region} where the region belongs",
        ),
        (
            ["-t", "iris", "--extra=sotrage"],
            "--extra: 'sotrage' is none of Iris's extras",
            "did you mean `storage`?",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_can(
    words: list[str], said: str, remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", "worker-image", *words]) == ExitStatus.BAD_INPUT
    out, err = capsys.readouterr()
    first, *_, last = err.splitlines()
    assert out == ""
    assert first.startswith("error: ")
    assert said in first
    assert last.startswith("help:  ")
    assert remedy in last


def test_without_an_engine_nothing_is_built(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    assert main(["build", "controller-image", "-t", "iris"]) == ExitStatus.FAILED
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: no Docker engine answers: ")
