"""A user's archive cannot leave its folder, fill the disk or the memory, or end the worker."""

import gzip
import io
import random
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from iris.client.bundle import pack
from iris.cluster.worker import archive as module
from iris.cluster.worker.archive import BadArchive, unpack


def packed(tmp_path: Path, *entries: tarfile.TarInfo, content: bytes = b"") -> Path:
    path = tmp_path / "bundle.tar"
    with tarfile.open(path, "w:gz") as tar:
        for entry in entries:
            entry.size = len(content) if entry.isreg() else 0
            tar.addfile(entry, io.BytesIO(content))
    return path


def entry(name: str, kind: bytes = tarfile.REGTYPE, to: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, to
    return found


def test_what_was_packed_is_unpacked(tmp_path: Path) -> None:
    (tmp_path / "from" / "deep").mkdir(parents=True)
    (tmp_path / "from" / "deep" / "a.txt").write_text("content")
    bundle = tmp_path / "bundle"
    bundle.write_bytes(pack(tmp_path / "from"))
    unpack(bundle, tmp_path / "to")
    assert (tmp_path / "to" / "deep" / "a.txt").read_text() == "content"


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (entry("../escaped"), "../escaped: leaves the workspace"),
        (entry("a/../../escaped"), "leaves the workspace"),
        (entry("/tmp/iris-escaped"), "leaves the workspace"),
        (entry("link", tarfile.SYMTYPE, "/etc/passwd"), "link: neither a file nor a folder"),
        (entry("link", tarfile.SYMTYPE, "a"), "neither a file nor a folder"),
        (entry("hard", tarfile.LNKTYPE, "/etc/passwd"), "neither a file nor a folder"),
        (entry("null", tarfile.CHRTYPE), "neither a file nor a folder"),
        (entry("disk", tarfile.BLKTYPE), "neither a file nor a folder"),
        (entry("pipe", tarfile.FIFOTYPE), "neither a file nor a folder"),
        (entry("good/below"), "good/below: (not a directory|file exists)"),
        (entry("x" * 300), "x{80}: file name too long"),
    ],
    ids=lambda value: value.name if isinstance(value, tarfile.TarInfo) else "",
)
def test_what_is_no_file_below_the_folder_is_refused(
    tmp_path: Path, bad: tarfile.TarInfo, said: str
) -> None:
    bundle = packed(tmp_path, entry("good"), bad)
    with pytest.raises(BadArchive, match=said):
        unpack(bundle, tmp_path / "to")
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["good"]
    assert not (tmp_path / "escaped").exists()
    assert not Path("/tmp/iris-escaped").exists()


def test_too_many_bytes_are_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UNPACKED_BYTES", 1 << 20)
    bundle = packed(tmp_path, entry("zeros"), content=bytes(2 << 20))
    assert bundle.stat().st_size < 10_000
    with pytest.raises(BadArchive, match="more than"):
        unpack(bundle, tmp_path / "to")
    assert not (tmp_path / "to" / "zeros").exists()


def test_too_many_files_are_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_MEMBERS", 3)
    bundle = packed(tmp_path, *(entry(str(number)) for number in range(5)))
    with pytest.raises(BadArchive, match="more than 3 files"):
        unpack(bundle, tmp_path / "to")
    assert len(list((tmp_path / "to").iterdir())) == 3


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE])
def test_a_header_that_would_fill_the_memory_is_not_read(tmp_path: Path, kind: bytes) -> None:
    header = entry("header", kind)
    header.size = 256 << 20
    bundle = tmp_path / "bundle"
    with gzip.open(bundle, "wb") as file:
        file.write(header.tobuf())
        for _ in range(256):
            file.write(bytes(1 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(BadArchive, match="a header of 268435456 bytes"):
            unpack(bundle, tmp_path / "to")
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()


def test_what_is_no_archive_is_refused_whatever_it_is(tmp_path: Path) -> None:
    dice = random.Random(1)
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "a").write_text(" ".join(f"{dice.random()}" for _ in range(20_000)))
    good = pack(tmp_path / "from")
    bundle = tmp_path / "bundle"
    cases = [b"", b"\0" * 600, b"no archive", good[: len(good) // 2], gzip.compress(b"no tar")]
    for _ in range(200):
        damaged = bytearray(good)
        for _ in range(dice.randint(1, 4)):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        cases.append(bytes(damaged))
    refused = []
    for content in cases:
        bundle.write_bytes(content)
        try:
            unpack(bundle, tmp_path / "to")
        except BadArchive:
            refused.append(content)
    assert refused[:5] == cases[:5]
    assert len(refused) > 10  # What is wrong in a file's own bytes, the blob's digest finds.
