"""Environments of tasks, built for real by pip and by `uv sync`: once, whole, and told in the log."""

import asyncio
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest

from iris.client import IrisClient
from iris.cluster.types import Entrypoint, EnvironmentSpec
from iris.cluster.worker.environments import Environments, HostBuilder
from iris.cluster.worker.runtime import LaunchError
from iris.rpc import iris_pb2 as pb
from tests.cluster.running import RunningCluster, running, until

SAY = "import greeting; print(greeting.WORD)"


def wheel(folder: Path, version: str = "1.0", word: str = "hello") -> Path:
    """A wheel of one module, made by hand."""
    path = folder / f"greeting-{version}-py3-none-any.whl"
    about = f"greeting-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("greeting.py", f"WORD = {word!r}\n")
        file.writestr(
            f"{about}/METADATA", f"Metadata-Version: 2.1\nName: greeting\nVersion: {version}\n"
        )
        tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        file.writestr(f"{about}/WHEEL", tags)
        file.writestr(f"{about}/RECORD", "")
    return path


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that pip is configured for, and nothing else."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    wheel(folder)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


class QuickBuilder(HostBuilder):
    """Spares a virtual environment its own copy of pip, which takes longer than all else: it has ours."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        script = root / "python"
        script.parent.mkdir(exist_ok=True)
        script.write_text(
            "#!/bin/sh -e\n"
            f'[ "$2" = venv ] || exec {sys.executable} "$@"\n'
            f'{sys.executable} -m venv --without-pip "$3"\n'
            f'ln -s {distribution("pip").locate_file("pip")} "$3"/lib/python3.*/site-packages/\n'
        )
        script.chmod(0o755)
        self.python = str(script)


def make(
    root: Path,
    launch: pb.Launch,
    log: Path,
    work: Path | None = None,
    builder: HostBuilder | None = None,
) -> str:
    made = Environments(root, builder or QuickBuilder(root))
    return asyncio.run(made.prepare(launch, work or root / "work", log)).python


def said(python: str) -> str:
    return subprocess.run(
        [python, "-c", SAY], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_who_asks_for_nothing_gets_the_workers_own_python(tmp_path: Path) -> None:
    assert make(tmp_path, pb.Launch(), tmp_path / "log", None, HostBuilder()) == sys.executable
    assert not (tmp_path / "log").exists()


def test_pip_installs_with_the_machines_configuration_and_says_so_in_the_log(
    tmp_path: Path, wheels: Path
) -> None:
    assert wheels.is_dir()
    log = tmp_path / "log"
    python = make(tmp_path, pb.Launch(pip=["greeting"]), log, None, HostBuilder())
    assert python != sys.executable
    assert said(python) == "hello"
    assert "install --quiet --no-input greeting\n" in log.read_text()


def test_the_same_packages_are_built_once(tmp_path: Path, wheels: Path) -> None:
    first = make(tmp_path, pb.Launch(pip=["greeting"]), tmp_path / "log")
    shutil.rmtree(wheels)  # Whoever builds again now, fails.
    again = tmp_path / "again"
    assert make(tmp_path, pb.Launch(pip=["greeting"]), again) == first
    assert not again.exists()


def test_two_tasks_at_once_build_once(tmp_path: Path, wheels: Path) -> None:
    assert wheels.is_dir()
    logs = [tmp_path / "a", tmp_path / "b"]

    async def both() -> list[str]:
        shared = Environments(tmp_path, QuickBuilder(tmp_path))
        launch = pb.Launch(pip=["greeting"])
        work = tmp_path / "work"
        made = await asyncio.gather(*(shared.prepare(launch, work, log) for log in logs))
        return [prepared.python for prepared in made]

    one, other = asyncio.run(both())
    assert one == other
    assert [log.exists() for log in logs].count(True) == 1
    assert said(one) == "hello"


def test_other_packages_are_another_environment(tmp_path: Path, wheels: Path) -> None:
    log = tmp_path / "log"
    old = make(tmp_path, pb.Launch(pip=["greeting==1.0"]), log)
    wheel(wheels, "2.0", "good day")
    new = make(tmp_path, pb.Launch(pip=["greeting==2.0"]), log)
    assert (said(old), said(new)) == ("hello", "good day")


def test_i_107_a_build_that_broke_off_is_not_taken_for_whole(tmp_path: Path, wheels: Path) -> None:
    assert wheels.is_dir()
    launch = pb.Launch(pip=["greeting"])
    python = Path(make(tmp_path, launch, tmp_path / "log"))
    (package,) = python.parents[1].glob("lib/*/site-packages/greeting.py")
    package.unlink()
    (python.parents[1] / "iris-whole").unlink()  # As when the worker is killed on the way.
    assert said(make(tmp_path, launch, tmp_path / "log")) == "hello"


def test_what_cannot_be_built_leaves_nothing_and_says_why(tmp_path: Path, wheels: Path) -> None:
    assert wheels.is_dir()
    log = tmp_path / "log"
    with pytest.raises(LaunchError, match=r"the environment could not be made: .* ended with 1"):
        make(tmp_path, pb.Launch(pip=["no-such-package"]), log)
    assert "No matching distribution found for no-such-package" in log.read_text()
    assert list((tmp_path / "environments").iterdir()) == []


def places(root: Path) -> set[str]:
    return {path.name for path in (root / "environments").iterdir()}


def test_i_107_for_its_room_an_environment_goes_when_nothing_uses_it_longest_unused_first(
    tmp_path: Path, wheels: Path
) -> None:
    assert wheels.is_dir()
    launch = pb.Launch(pip=["greeting"])
    made = [Path(make(tmp_path, launch, tmp_path / "log")).parents[1]]
    for name in ("b", "c", "d"):
        made.append(tmp_path / "environments" / name)
        made[-1].mkdir()
        (made[-1] / "iris-whole").touch()
    for age, place in enumerate(made):
        os.utime(place / "iris-whole", (1_000 + age, 1_000 + age))
    shared = Environments(tmp_path, QuickBuilder(tmp_path))
    make(tmp_path, launch, tmp_path / "log")  # Wanted again: now it is the youngest.
    asyncio.run(shared.make_room(lambda: len(places(tmp_path)) <= 3))
    assert places(tmp_path) == {made[0].name, "c", "d"}
    attempt = tmp_path / "attempts" / "one"
    attempt.mkdir(parents=True)
    (attempt / "environment").write_text("c")
    asyncio.run(shared.make_room(lambda: False))
    assert places(tmp_path) == {"c"}


def test_a_removal_that_was_cut_short_is_finished_at_the_next_start(tmp_path: Path) -> None:
    going = tmp_path / "environments" / ".going-x"
    going.mkdir(parents=True)
    (going / "file").touch()
    Environments(tmp_path, HostBuilder())
    assert places(tmp_path) == set()


PROJECT = """
[project]
name = "trainer"
version = "0.1"
requires-python = ">=3.11"
dependencies = []

[project.optional-dependencies]
greet = ["greeting"]

[tool.uv]
package = false

[tool.uv.sources]
greeting = {path = "../wheels/greeting-1.0-py3-none-any.whl"}
"""


@pytest.fixture
def project(tmp_path: Path, wheels: Path) -> Path:
    work = tmp_path / "project"
    work.mkdir()
    (work / "pyproject.toml").write_text(PROJECT)
    assert wheels.is_dir()
    return work


@pytest.fixture
def uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real uv; without one, it is fetched as any package is."""
    if shutil.which("uv") is not None:
        return
    place = tmp_path / "uv"
    for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(place), "uv"]
    subprocess.run(command, check=True, capture_output=True)
    monkeypatch.setenv("PATH", f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.usefixtures("uv")
def test_uv_syncs_the_workspaces_project_with_its_extras(tmp_path: Path, project: Path) -> None:
    log = tmp_path / "log"
    plain = make(tmp_path, pb.Launch(sync=True, bundle="1"), log, project)
    assert subprocess.run([plain, "-c", SAY], capture_output=True, check=False).returncode == 1
    launch = pb.Launch(sync=True, extras=["greet"], bundle="1")
    assert said(make(tmp_path, launch, log, project)) == "hello"
    assert "uv sync --quiet" in log.read_text()


@pytest.mark.usefixtures("uv")
def test_a_lock_that_does_not_fit_the_project_is_refused(tmp_path: Path, project: Path) -> None:
    (project / "uv.lock").write_text('version = 1\nrequires-python = ">=3.11"\n')
    log = tmp_path / "log"
    with pytest.raises(LaunchError, match="uv sync"):
        make(tmp_path, pb.Launch(sync=True, bundle="1"), log, project)
    assert "uv.lock" in log.read_text() or "lockfile" in log.read_text()


def test_without_uv_a_project_is_refused_by_name(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(LaunchError, match="this worker has no `uv`; install it beside Iris"):
        make(tmp_path, pb.Launch(sync=True), tmp_path / "log", project)


def test_a_workspace_without_a_project_cannot_be_synced(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match=r"the workspace has no pyproject\.toml"):
        make(tmp_path, pb.Launch(sync=True), tmp_path / "log", tmp_path)


# ---- on a cluster ----------------------------------------------------------------------------------


@pytest.fixture
def cluster(tmp_path: Path, wheels: Path) -> Iterator[RunningCluster]:
    """One whose workers inherit the configuration of pip."""
    assert wheels.is_dir()
    yield from running(tmp_path)


def test_a_command_finds_the_packages_that_its_job_asked_for(cluster: RunningCluster) -> None:
    packages = EnvironmentSpec(pip_packages=["greeting"])
    with cluster.client() as client:
        entry = Entrypoint.from_command("python", "-c", SAY)
        job = client.submit(entry, "greets", environment=packages)
        assert job.wait(120).state == "succeeded", job.tasks()[0].logs()
        lines = job.tasks()[0].logs().splitlines()
        assert lines[0].startswith("iris: ")  # What was built, before what the task says.
        assert lines[-1] == "hello"
        again = client.submit(entry, "greets-again", environment=packages)
        assert again.wait(120).state == "succeeded"


def test_a_command_finds_the_workers_own_python(cluster: RunningCluster) -> None:
    with cluster.client() as client:
        entry = Entrypoint.from_command("python", "-c", "import sys; print(sys.prefix)")
        job = client.submit(entry, "prefix")
        job.wait(60)
        assert job.tasks()[0].logs() == f"{sys.prefix}\n"


def test_a_build_that_fails_never_charges_the_users_budget(cluster: RunningCluster) -> None:
    with cluster.client() as client:
        job = client.submit(
            Entrypoint.from_command("true"),
            "cannot-build",
            environment=EnvironmentSpec(pip_packages=["no-such-package"]),
            max_retries_failure=5,
            max_retries_preemption=0,
        )
        ended = job.wait(120)
        assert ended.state == "failed"
        (attempt,) = ended.details[0].attempts
        assert attempt.cause == "build"
        said = "the environment could not be made: `python -m pip install ...` ended with 1: "
        assert attempt.detail.startswith(f"{said}ERROR: No matching distribution found for")
        assert "No matching distribution found" in job.tasks()[0].logs()
        assert "max_retries_preemption is 0" in ended.details[0].why


def test_a_bundle_that_leaves_its_folder_is_not_unpacked_and_blames_no_host(
    cluster: RunningCluster, tmp_path: Path
) -> None:
    import io
    import tarfile

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        member = tarfile.TarInfo("../../../escaped")
        member.size = 1
        tar.addfile(member, io.BytesIO(b"x"))
    with IrisClient.remote(cluster.url, user="alice") as client:
        client._bundle = client._upload(packed.getvalue())
        client._workspace = tmp_path
        job = client.submit(Entrypoint.from_command("true"), "escapes", max_retries_preemption=0)
        ended = job.wait(60)
        assert ended.state == "failed"
        assert "../../../escaped: leaves the workspace" in ended.details[0].attempts[0].detail
        assert ended.details[0].attempts[0].cause == "build"
    # A walk does not mind that the worker tidies up meanwhile.
    assert not any("escaped" in files for _, _, files in os.walk(tmp_path))


@pytest.fixture
def nearly_full(tmp_path: Path, wheels: Path) -> Iterator[RunningCluster]:
    """Its worker takes half of what is free for the least that must be."""
    assert wheels.is_dir()
    half = shutil.disk_usage(tmp_path).free >> 21
    yield from running(tmp_path, variables={"IRIS_MIN_FREE_DISK": f"{half}MiB"})


def test_a_host_that_gets_full_gives_up_what_nothing_uses_before_it_refuses_work(
    nearly_full: RunningCluster,
) -> None:
    with nearly_full.client() as client:
        environment = EnvironmentSpec(pip_packages=["greeting"])
        command = Entrypoint.from_command("python", "-c", SAY + "; import time; time.sleep(3)")
        job = client.submit(command, "greets", environment=environment)
        until(lambda: job.tasks()[0].logs().endswith("hello\n"), 120)
        (made,) = nearly_full.root.glob("vms/*/*/environments/*")
        client.submit(Entrypoint.from_command("true"), "beside").wait(60)
        assert made.exists()  # It is in use.
        assert job.wait(60).state == "succeeded"
        until(lambda: not list(nearly_full.root.glob("vms/*/*/attempts/*")))
        client.submit(Entrypoint.from_command("true"), "after").wait(60)
        assert not made.exists()
