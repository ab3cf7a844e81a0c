"""A workspace as an archive: what is in it, what is refused, and that the same is the same."""

import gzip
import io
import os
import subprocess
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from iris.client.bundle import BadWorkspace, pack
from iris.exit_status import ExitStatus


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / ".gitignore").write_text("*.log\nsecret/\n")
    (tmp_path / "tracked.py").write_text("tracked")
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "new.py").write_text("not added yet")
    (tmp_path / "noise.log").write_text("ignored")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("ignored, too")
    git(tmp_path, "add", "tracked.py")
    return tmp_path


def members(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        found = {}
        for member in tar:
            file = tar.extractfile(member)
            assert file is not None, member.name
            found[member.name] = file.read()
        return found


def test_what_git_tracks_and_would_track_travels_and_nothing_else(repository: Path) -> None:
    found = members(pack(repository))
    assert sorted(found) == [".gitignore", "pkg/new.py", "tracked.py"]
    assert found["pkg/new.py"] == b"not added yet"


def test_a_repository_within_the_workspace_travels_with_it_by_its_own_rules(
    repository: Path,
) -> None:
    for name in ("module", "clone"):
        (repository / name).mkdir()
        git(repository / name, "init", "-q")
        (repository / name / "inner.py").write_text(name)
        (repository / name / ".gitignore").write_text("*.tmp\n")
        (repository / name / "noise.tmp").write_text("ignored there")
        git(repository / name, "add", ".")
        git(repository / name, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "it")
    git(repository, "add", "module")  # As a submodule is tracked: by its commit.
    found = members(pack(repository))
    assert found["module/inner.py"] == b"module"
    assert found["clone/inner.py"] == b"clone"
    assert not [name for name in found if name.endswith(".tmp")]


def test_a_tracked_file_that_was_deleted_is_left_out(repository: Path) -> None:
    (repository / "tracked.py").unlink()
    assert sorted(members(pack(repository))) == [".gitignore", "pkg/new.py"]


def test_a_folder_of_a_repository_is_a_workspace_of_its_own(repository: Path) -> None:
    assert sorted(members(pack(repository / "pkg"))) == ["new.py"]


def test_an_ignored_folder_that_is_asked_for_travels_whole(repository: Path) -> None:
    assert members(pack(repository / "secret")) == {"key": b"ignored, too"}
    (repository / "secret" / "kept").write_text("tracked all the same")
    git(repository, "add", "-f", "secret/kept")
    assert members(pack(repository / "secret")) == {"kept": b"tracked all the same"}
    (repository / "empty").mkdir()
    assert members(pack(repository / "empty")) == {}


def test_outside_a_repository_all_but_hidden_files_travel(tmp_path: Path) -> None:
    for name in ("a.py", "b/c.py", ".hidden", ".venv/x.py", "b/__pycache__/c.pyc"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    assert sorted(members(pack(tmp_path))) == ["a.py", "b/c.py"]


def test_a_repository_that_git_will_not_read_is_refused_and_not_sent_whole(
    repository: Path,
) -> None:
    (repository / ".git" / "config").write_text("[no config")
    with pytest.raises(BadWorkspace, match="git cannot say what belongs to it: "):
        pack(repository)


def test_the_same_files_are_the_same_bytes_whenever_they_were_written(
    repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    first = pack(repository)
    os.utime(repository / "tracked.py", (1, 1))
    assert pack(repository) == first
    other = tmp_path_factory.mktemp("other")
    for name in ("pkg/new.py", "tracked.py", ".gitignore"):
        (other / name).parent.mkdir(exist_ok=True)
        (other / name).write_bytes((repository / name).read_bytes())
    git(other, "init", "-q")
    assert pack(other) == first


def test_a_script_stays_executable(tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text("true")
    (tmp_path / "run.sh").chmod(0o700)
    (tmp_path / "data").write_text("")
    with tarfile.open(fileobj=io.BytesIO(pack(tmp_path))) as tar:
        assert {member.name: member.mode for member in tar} == {"run.sh": 0o755, "data": 0o644}


@pytest.mark.parametrize("in_git", [True, False])
@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("/etc/hostname", "a link that leaves the workspace; copy what it names"),
        ("../outside", "a link that leaves the workspace; copy what it names"),
        ("absent", "a link to nothing; copy what it names"),
        ("folder", "a link to a folder; copy what it names"),
    ],
)
def test_links_that_would_not_arrive_are_refused_by_name(
    tmp_path: Path, to: str, said: str, *, in_git: bool
) -> None:
    if in_git:
        git(tmp_path, "init", "-q")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(to)
    with pytest.raises(BadWorkspace, match=f"^link: {said}") as refused:
        pack(tmp_path)
    assert refused.value.status is ExitStatus.BAD_INPUT


def test_a_link_within_the_workspace_arrives_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("content")
    (tmp_path / "b").symlink_to("a")
    assert members(pack(tmp_path)) == {"a": b"content", "b": b"content"}


def test_a_pipe_is_left_out_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert members(pack(tmp_path)) == {}


def test_i_141_a_workspace_of_5_gb_is_refused_without_being_read(tmp_path: Path) -> None:
    with (tmp_path / "model.bin").open("wb") as file:
        file.truncate(5 << 30)
    (tmp_path / "small").write_text("x")
    tracemalloc.start()
    try:
        with pytest.raises(BadWorkspace) as refused:
            pack(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()
    message = str(refused.value)
    assert "5120 MiB, more than 200" in message
    assert "model.bin (5120 MiB)" in message
    assert ".gitignore" in message


@pytest.mark.parametrize(
    ("name", "what"),
    [("absent", "there is no such folder"), ("file", "it is a file, and a workspace")],
)
def test_what_is_no_folder_is_no_workspace(tmp_path: Path, name: str, what: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadWorkspace, match=f"{name}: {what}"):
        pack(tmp_path / name)


def test_the_archive_tells_nothing_of_who_made_it(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with tarfile.open(fileobj=io.BytesIO(pack(tmp_path))) as tar:
        (member,) = tar.getmembers()
    assert (member.uid, member.uname, member.mtime) == (0, "", 0)
    assert gzip.decompress(pack(tmp_path))
