"""Images on the real thing: built by the command, pushed to registries, pulled, and run."""

import base64
import io
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from iris.cli.main import main
from iris.cluster.engine import connect
from iris.cluster.image_pushes import push, verdict
from iris.cluster.types import Entrypoint, ResourceSpec
from iris.exit_status import ExitStatus
from iris.image_names import places
from tests.cluster.docking import PATIENCE_S, docked, docker, lacking
from tests.cluster.registries import PASSWORD, USER, digest_of, registry
from tests.cluster.running import free_port

BASE = "iris-base:test"
WHEELS = Path(__file__).parents[2] / "docker" / "wheels"


@dataclass(frozen=True, slots=True)
class Regions:
    """Two registries, on 127.0.0.1 and 127.0.0.2; of `1` and `2` the regions. `3` has none."""

    port: int

    def image(self, name: str) -> str:
        return f"127.0.0.{{region}}:{self.port}/iris/{name}:v1"

    def address(self, region: int) -> str:
        return f"127.0.0.{region}:{self.port}"


@pytest.fixture(scope="module", autouse=True)
def engine() -> None:
    """Skips where there is none, or no registry."""
    why = lacking()
    if not why and shutil.which("docker-registry") is None:
        why = "needs a registry of images: apt-get install docker-registry"
    if why:
        pytest.skip(why)


@pytest.fixture(scope="module")
def regions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Regions]:
    found, folder = Regions(free_port()), tmp_path_factory.mktemp("registries")
    with registry(folder / "1", found.address(1)), registry(folder / "2", found.address(2)):
        yield found
    for region in (1, 2, 3):
        for name in ("iris-worker", "iris-controller", "tiny"):
            image = f"{found.address(region)}/iris/{name}:v1"
            subprocess.run(["docker", "rmi", image], capture_output=True, check=False)


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[str]:
    """The id of an image that holds one file."""
    empty = tmp_path / "tiny.tar"
    with tarfile.open(empty, "w") as tar:
        tar.addfile(tarfile.TarInfo("nothing"), io.BytesIO())
    image = docker("import", str(empty)).strip()
    yield image
    docker("rmi", "-f", image)


Said = tuple[int, str, str]


def build(capfd: pytest.CaptureFixture[str], kind: str, *words: str) -> Said:
    capfd.readouterr()
    known = ["--base", BASE, "--wheels", str(WHEELS)]
    status = main(["build", f"{kind}-image", *known, *words])
    return status, *capfd.readouterr()


def test_an_image_reaches_the_regions_that_answer(regions: Regions, tiny: str) -> None:
    client, said = connect(), list[str]()
    goals = places(regions.image("tiny"), ("1", "2", "3"))
    first, second, third = found = push(client, tiny, goals, said.append)
    assert (verdict(found), third.digest) == (ExitStatus.FAILED, "")
    assert "connection refused" in third.why
    kept = client.images.get(tiny).tags
    assert kept == [str(place.name) for place in goals[:2]], "a name that leads nowhere is not kept"
    assert first.digest == second.digest
    for region in (1, 2):
        assert digest_of(regions.address(region), "iris/tiny", "v1") == first.digest
    assert any(line.endswith(": Pushed") for line in said)

    said.clear()
    assert push(client, tiny, goals[:2], said.append) == (first, second)
    assert any(line.endswith(": Layer already exists") for line in said)
    assert not any(line.endswith(": Pushed") for line in said)
    client.close()


@pytest.mark.timeout(300)  # A whole image is compressed and sent.
def test_a_worker_image_is_built_pushed_pulled_and_runs_jobs(
    regions: Regions, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ["-t", regions.image("iris-worker"), "--push", "--region=1", "--region=3", "--json"]
    status, out, err = build(capfd, "worker", *words)
    assert status == ExitStatus.FAILED
    found = json.loads(out)
    near, dead = found["pushes"]
    assert (dead["region"], dead["digest"]) == ("3", None)
    assert json.loads(err.splitlines()[-1])["error"]["message"].startswith("1 of 2 pushes failed")
    assert near["digest"] == digest_of(regions.address(1), "iris/iris-worker", "v1")
    above_base = sum(layer["size_bytes"] for layer in found["layers"])
    assert found["size_bytes"] == found["base"]["size_bytes"] + above_base
    assert above_base < 64e6

    pulled = f"{near['image'].removesuffix(':v1')}@{near['digest']}"
    docker("rmi", near["image"])
    known = subprocess.run(["docker", "inspect", pulled], capture_output=True, check=False)
    assert known.returncode == 1
    _run_a_job(tmp_path, pulled)
    docker("rmi", pulled)


def _run_a_job(folder: Path, image: str) -> None:
    def told() -> tuple[str, int]:
        import importlib.util

        import iris

        compiled = Path(importlib.util.cache_from_source(iris.__file__)).read_bytes()
        return sys.prefix, compiled[4]

    for cluster in docked(folder, image=image):
        with cluster.client() as client:
            small = ResourceSpec(cpu="0.5", memory="128MB")
            job = client.submit(Entrypoint.from_callable(told), "inside", resources=small)
            # Compiled against a hash of the source that no import checks (PEP 552).
            assert job.result(PATIENCE_S) == ("/srv/iris", 0b01)


def test_a_controller_image_is_nobodys_root(
    regions: Regions, capfd: pytest.CaptureFixture[str]
) -> None:
    image = regions.image("iris-controller").format(region=1)
    status, out, _ = build(capfd, "controller", "-t", image, "--push")
    assert status == ExitStatus.DONE
    docker("rmi", image)
    assert f"pushed {image.removesuffix(':v1')}@sha256:" in out
    run = ["run", "--rm", "--network", "none"]
    assert docker(*run, "--entrypoint", "id", image, "-u").strip() == "10000"
    assert "iris-controller" in docker(*run, image, "--help")


def test_missing_credentials_are_told_with_the_way_to_get_them(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"127.0.0.4:{free_port()}"
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    def pushed(config: object) -> tuple[ExitStatus, str, str]:
        (tmp_path / "config.json").write_text(json.dumps(config))
        (found,) = push(client, tiny, places(f"{address}/iris/tiny:v1", ()), print)
        return verdict([found]), found.why, found.help

    client = connect()
    with registry(tmp_path / "registry", address, closed=True):
        status, why, remedy = pushed({})
        assert (status, remedy) == (ExitStatus.NOT_PERMITTED, f"docker login {address}")
        assert "no basic auth credentials" in why
        status, why, remedy = pushed({"credHelpers": {address: "absent"}})
        assert status == ExitStatus.NOT_PERMITTED
        assert "docker-credential-absent" in why
        assert remedy.startswith("install the helper that ~/.docker/config.json names")
        assert pushed({"auths": {address: {"auth": login}}})[0] == ExitStatus.DONE
    client.close()


def test_a_base_that_cannot_be_used_is_refused(
    tiny: str, capfd: pytest.CaptureFixture[str]
) -> None:
    for base, status, said in (
        ("127.0.0.1:9/no/such:1", ExitStatus.NOT_FOUND, "cannot be had: "),
        (tiny, ExitStatus.FAILED, "cannot be used: "),
    ):
        found, _, err = build(capfd, "worker", "-t", "iris-none:v1", "--base", base)
        assert found == status
        assert f"error: the base image {base} {said}" in err
    assert not docker("ps", "-aq", "--filter", f"ancestor={tiny}")  # What asked it is gone.
