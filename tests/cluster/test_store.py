"""What is kept by content, and logs: no piece lost, none twice, nothing outside the folder."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris.cluster.controller.store import Incoming, Store, TooLarge, tail_of
from iris.core.ids import JobId, TaskId

TASK = TaskId("/alice/train:0")


def test_a_blob_is_found_by_its_digest_and_no_other_name(tmp_path: Path) -> None:
    store = Store(tmp_path)
    digest = store.put(b"content")
    assert digest == hashlib.sha256(b"content").hexdigest()
    path = store.blob(digest)
    assert path is not None
    assert path.read_bytes() == b"content"
    for name in ("", "../secret", digest[:-1], digest.upper(), f"{digest}/..", "0" * 64):
        assert store.blob(name) is None


def test_i_107_what_is_half_received_is_found_under_no_name(tmp_path: Path) -> None:
    store = Store(tmp_path)
    incoming = store.receive_blob()
    incoming.write(b"half")
    assert [p for p in (tmp_path / "blobs").iterdir() if not p.name.startswith(".incoming")] == []
    incoming.drop()
    stray = store.receive_blob()
    stray.write(b"lost with its process")
    Store(tmp_path)  # A new start removes what the last one left behind.
    assert list((tmp_path / "blobs").iterdir()) == []
    stray.drop()


def test_more_than_the_limit_is_refused(tmp_path: Path) -> None:
    incoming = Incoming(tmp_path, limit=10)
    incoming.write(b"0123456789")
    with pytest.raises(TooLarge):
        incoming.write(b"x")
    incoming.drop()


def test_the_folder_of_a_child_lies_below_its_parents_and_is_never_taken_for_a_task(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path)
    assert store.log(TASK, 3) == tmp_path / "logs/+alice/+train/0/3.log"
    assert store.log(TaskId("/alice/train/0:7"), 3) == tmp_path / "logs/+alice/+train/+0/7/3.log"


@given(st.binary(min_size=1, max_size=60), st.data())
def test_i_128_a_log_that_is_sent_in_pieces_again_and_again_arrives_once(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, data: st.DataObject
) -> None:
    store = Store(tmp_path_factory.mktemp("log"))
    offset, steps = 0, 0
    while store.log_size(TASK, 0) < len(content):
        steps += 1
        assert steps < 200
        start = data.draw(st.integers(0, min(len(content), offset + 3)))
        end = data.draw(st.integers(start, len(content)))
        if steps > 50:  # Whoever was sent back goes on from there.
            start, end = offset, len(content)
        offset = store.append_log(TASK, 0, start, content[start:end])
        assert store.log(TASK, 0).read_bytes() == content[:offset] if offset else True
    assert store.log(TASK, 0).read_bytes() == content


def test_each_attempt_has_a_log_of_its_own(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append_log(TASK, 0, 0, b"first")
    store.append_log(TASK, 1, 0, b"second")
    assert store.log(TASK, 0).read_bytes() == b"first"
    assert store.log(TASK, 1).read_bytes() == b"second"


def test_to_forget_a_job_leaves_its_children(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append_log(TASK, 0, 0, b"parent")
    child = TaskId("/alice/train/eval:0")
    store.append_log(child, 0, 0, b"child")
    assert store.jobs() == {"/alice/train", "/alice/train/eval"}
    store.forget(JobId("/alice/train"))
    assert store.log_size(TASK, 0) == 0
    assert store.log_size(child, 0) == 5
    assert store.jobs() == {"/alice/train/eval"}
    store.forget(JobId("/alice/train/eval"))
    assert store.log_size(child, 0) == 0
    assert store.jobs() == set()


def test_results_alone_are_found_too(tmp_path: Path) -> None:
    store = Store(tmp_path)
    incoming = store.receive_result()
    incoming.write(b"7")
    incoming.keep(store.result(TASK, 0))
    assert store.jobs() == {"/alice/train"}


def aged(store: Store, content: bytes) -> str:
    digest = store.put(content)
    os.utime(store.blobs / digest, (1.0, 1.0))
    return digest


def test_a_blob_goes_when_it_is_unused_and_old(tmp_path: Path) -> None:
    store = Store(tmp_path)
    used, old, wanted, sent_again = (aged(store, word) for word in (b"1", b"2", b"3", b"4"))
    young = store.put(b"5")
    assert store.want_blob(wanted)
    assert not store.want_blob("0" * 64)
    store.put(b"4")
    assert store.drop_blobs({used}, unused_since=2.0) == 1
    assert store.blob(old) is None
    assert all(store.blob(kept) for kept in (used, wanted, sent_again, young))


@pytest.mark.parametrize(
    ("content", "lines", "tail"),
    [
        (b"", 3, b""),
        (b"a\nb\nc\n", 2, b"b\nc\n"),
        (b"a\nb\nc", 2, b"b\nc"),
        (b"a\nb\n", 9, b"a\nb\n"),
        (b"\n\n\n", 2, b"\n\n"),
        (b"x" * 3_000_000 + b"\nlast\n", 1, b"last\n"),
        (b"first\n" + b"x" * 3_000_000 + b"\n", 1, b"x" * 3_000_000 + b"\n"),
    ],
)
def test_the_last_lines_of_a_file(tmp_path: Path, content: bytes, lines: int, tail: bytes) -> None:
    path = tmp_path / "log"
    path.write_bytes(content)
    assert content[tail_of(path, lines) :] == tail
    assert tail_of(tmp_path / "absent", lines) == 0


TAKES_TOO_MUCH = """
import resource, sys
from pathlib import Path
from iris.cluster.controller.store import Store
store = Store(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    store.put(bytes(int(sys.argv[2])))
except OSError as error:
    print(error.strerror, error.filename)
"""


@pytest.mark.parametrize("size", [100_001, 10_000_000])
def test_a_disk_that_takes_no_more_is_named_and_nothing_is_left_of_the_blob(
    tmp_path: Path, size: int
) -> None:
    command = [sys.executable, "-c", TAKES_TOO_MUCH, str(tmp_path), str(size)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"File too large {tmp_path / 'blobs'}"
    assert list((tmp_path / "blobs").iterdir()) == []
