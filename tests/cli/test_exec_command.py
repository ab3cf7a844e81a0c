"""`iris task exec`: one hop into a running task, with pipes and with a terminal, and nothing left behind."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from iris.client import IrisClient, Job
from iris.cluster.types import Entrypoint, EnvironmentSpec
from iris.exit_status import ExitStatus
from iris.rpc import iris_pb2 as pb
from iris.rpc.methods import EXEC_TASK
from tests.cluster.entering import command, entered, entering
from tests.cluster.running import RunningCluster, running, until

WAIT = 60.0


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    yield from running(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def client(shared: RunningCluster) -> Iterator[IrisClient]:
    with shared.client() as client:
        yield client


@pytest.fixture(scope="module")
def job(shared: RunningCluster) -> Iterator[Job]:
    """One that goes on."""
    with shared.client() as client:
        job = started(client, "goes-on")
        yield job
        job.terminate()


def started(client: IrisClient, name: str, script: str = "echo here; sleep 600") -> Job:
    environment = EnvironmentSpec({"COLOUR": "green"})
    job = client.submit(Entrypoint.from_command("sh", "-c", script), name, environment=environment)
    until(lambda: job.tasks()[0].logs() == "here\n")
    return job


def has_variable(text: str) -> list[int]:
    """All living processes with these words in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "environ").read_bytes().split(b"\0")
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if text.encode() in words and state not in "ZX":
                found.append(int(entry.name))
    return found


def test_i_142_a_command_runs_where_the_task_runs_with_its_output_and_exit_status(
    shared: RunningCluster, job: Job
) -> None:
    script = "echo $COLOUR $IRIS_TASK_INDEX; pwd; echo trouble >&2; exit 7"
    done = entered(shared, f"{job.id}:0", "--", "sh", "-c", script)
    assert done.returncode == 7
    said = done.stdout.decode().splitlines()
    assert said[0] == "green 0"
    assert Path(said[1]).is_relative_to(shared.root)
    assert done.stderr == b"trouble\n"


def test_a_command_that_a_signal_ends_has_the_status_that_a_shell_would_give_it(
    shared: RunningCluster, job: Job
) -> None:
    assert entered(shared, f"{job.id}:0", "sh", "-c", "kill -9 $$").returncode == 137


def test_megabytes_go_through_in_both_directions_unchanged(
    shared: RunningCluster, job: Job
) -> None:
    content = os.urandom(5_000_000)
    done = entered(shared, f"{job.id}:0", "cat", input=content)
    assert done.returncode == 0
    assert done.stdout == content


def test_without_a_command_it_is_a_shell_that_reads_its_input(
    shared: RunningCluster, job: Job
) -> None:
    done = entered(shared, f"{job.id}:0", input=b"echo $((6 * 7))\nexit 3\n")
    assert (done.returncode, done.stdout) == (3, b"42\n")


def test_the_job_may_be_named_as_everywhere_else(shared: RunningCluster, job: Job) -> None:
    assert job.id == "/alice/goes-on"
    assert entered(shared, "goes-on:0", "echo", "here").stdout == b"here\n"
    assert entered(shared, "nobody:0", "true").returncode == ExitStatus.NOT_FOUND


def test_no_stdin_leaves_the_input_to_whoever_runs_it(shared: RunningCluster, job: Job) -> None:
    assert entered(shared, "-n", f"{job.id}:0", "cat", input=b"mine").stdout == b""


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("/alice/nobody:0", "true"), ExitStatus.NOT_FOUND, "task /alice/nobody:0 is not known"),
        (("/alice/goes-on:0", "no-such-program"), 127, "no-such-program"),
        (("nonsense", "true"), ExitStatus.BAD_INPUT, "nonsense"),
        (("--tty", "/alice/goes-on:0", "true"), ExitStatus.BAD_INPUT, "needs a terminal here"),
    ],
)
def test_what_cannot_be_is_told_in_words(
    shared: RunningCluster, job: Job, words: tuple[str, ...], status: int, said: str
) -> None:
    assert job.id == "/alice/goes-on"
    done = entered(shared, *words)
    assert done.returncode == status
    assert said in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


def test_a_task_that_does_not_run_takes_no_commands(
    shared: RunningCluster, client: IrisClient
) -> None:
    job = client.submit(Entrypoint.from_command("true"), "short")
    assert job.wait(WAIT).state == "succeeded"
    done = entered(shared, f"{job.id}:0", "true")
    assert done.returncode == ExitStatus.CONFLICT
    assert "task /alice/short:0 is succeeded; commands run in tasks that are running" in (
        done.stderr.decode()
    )


def test_when_its_caller_goes_the_command_and_all_that_it_started_go_too(
    shared: RunningCluster, job: Job
) -> None:
    script = "export MINE=gone-caller; sleep 500 & sleep 500"
    calling = entering(shared, f"{job.id}:0", "sh", "-c", script)
    until(lambda: len(has_variable("MINE=gone-caller")) == 2)
    calling.send_signal(signal.SIGKILL)
    calling.wait()
    until(lambda: not has_variable("MINE=gone-caller"))


def test_a_command_that_reads_nothing_ends_when_its_caller_goes_in_the_middle_of_sending(
    shared: RunningCluster, job: Job
) -> None:
    words = (f"{job.id}:0", "sh", "-c", "MINE=deaf exec sleep 500")
    calling = entering(shared, *words, stdin=subprocess.PIPE)
    assert calling.stdin is not None
    until(lambda: len(has_variable("MINE=deaf")) == 1)
    os.set_blocking(calling.stdin.fileno(), False)
    end = time.monotonic() + 3
    while time.monotonic() < end:
        if not os.write(calling.stdin.fileno(), b"x" * 65_536):
            break
        select.select([], [calling.stdin], [], 0.2)
        if not select.select([], [calling.stdin], [], 0.2)[1]:
            break
    calling.kill()
    calling.wait()
    calling.stdin.close()
    until(lambda: not has_variable("MINE=deaf"))


def test_what_a_command_leaves_in_the_background_does_not_keep_it_open(
    shared: RunningCluster, job: Job
) -> None:
    began = time.monotonic()
    done = entered(shared, f"{job.id}:0", "sh", "-c", "MINE=background sleep 500 & echo done")
    assert (done.returncode, done.stdout) == (0, b"done\n")
    assert time.monotonic() - began < 30
    until(lambda: not has_variable("MINE=background"))


def test_when_the_task_ends_so_does_the_command(shared: RunningCluster, client: IrisClient) -> None:
    job = started(client, "ends")
    calling = entering(shared, f"{job.id}:0", "sh", "-c", "MINE=ends exec sleep 500")
    until(lambda: len(has_variable("MINE=ends")) == 1)
    job.terminate()
    assert calling.wait(WAIT) == 137
    assert not has_variable("MINE=ends")
    assert job.wait(WAIT).state == "killed"


def test_a_restarted_worker_ends_the_commands_of_its_last_run_and_keeps_the_task(
    tmp_path: Path,
) -> None:
    for own in running(tmp_path, timeouts={"worker_timeout": "30s", "retry_backoff": "100ms"}):
        with own.client() as client:
            job = started(client, "stays")
            words = (f"{job.id}:0", "sh", "-c", "MINE=restart exec sleep 500")
            calling = entering(own, *words, stderr=subprocess.PIPE)
            until(lambda: len(has_variable("MINE=restart")) == 1)
            own.restart_worker()
            said = calling.communicate(timeout=WAIT)[1].decode()
            assert calling.returncode in (ExitStatus.FAILED, ExitStatus.UNREACHABLE), said
            until(lambda: not has_variable("MINE=restart"))
            assert job.status().state == "running"
            assert entered(own, f"{job.id}:0", "echo", "again").stdout == b"again\n"
            job.terminate()


class Typist:
    """Types at a command in a terminal of its own."""

    def __init__(self, shared: RunningCluster, *words: str) -> None:
        arguments, variables = command(shared, *words)
        variables |= {"LINES": "24", "COLUMNS": "80"}  # Of an outer terminal, long past.
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.execvpe(arguments[0], arguments, variables)
        self.seen = b""

    def size(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def types(self, keys: str) -> None:
        os.write(self.terminal, keys.encode())

    def sees(self, text: str) -> None:
        end = time.monotonic() + WAIT
        while text.encode() not in self.seen:
            assert time.monotonic() < end, self.seen
            if select.select([self.terminal], [], [], 0.1)[0]:
                self.seen += os.read(self.terminal, 65_536)
        self.seen = self.seen.split(text.encode(), 1)[1]

    def ends(self) -> int:
        end = time.monotonic() + WAIT
        while time.monotonic() < end:
            if select.select([self.terminal], [], [], 0.05)[0]:
                with contextlib.suppress(OSError):
                    self.seen += os.read(self.terminal, 65_536)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                os.close(self.terminal)
                return os.waitstatus_to_exitcode(status)
        raise AssertionError(self.seen)


def test_at_a_terminal_it_is_a_shell_with_one_which_knows_its_size_and_takes_every_key(
    shared: RunningCluster, job: Job
) -> None:
    typist = Typist(shared, f"{job.id}:0", "sh")
    typist.size(33, 101)
    typist.sees("$ " if os.geteuid() else "# ")
    typist.types("test -t 0 && test -t 1 && test -t 2 && echo a-ter''minal $COLOUR\r")
    typist.sees("a-terminal green")
    typist.types("while [ \"$(stty size)\" != '33 101' ]; do sleep 0.1; done; echo si''zed\r")
    typist.sees("sized")
    typist.types("sleep 500\r")
    typist.sees("sleep 500")
    time.sleep(0.5)
    typist.types("\x03")
    typist.types("echo still''-here\r")
    typist.sees("still-here")
    typist.size(20, 60)
    typist.types("while [ \"$(stty size)\" != '20 60' ]; do sleep 0.1; done; echo sma''ller\r")
    typist.sees("smaller")
    typist.types("exit 4\r")
    assert typist.ends() == 4


def test_a_caller_that_sends_more_than_it_may_has_its_command_killed(
    client: IrisClient, job: Job
) -> None:
    words = ["sh", "-c", "MINE=flooded exec sleep 500"]
    gone = threading.Event()

    def inputs() -> Iterator[pb.ExecInput]:
        yield pb.ExecInput(start=pb.ExecStart(task=f"{job.id}:0", command=words))
        until(lambda: len(has_variable("MINE=flooded")) == 1)
        for _ in range(64):
            yield pb.ExecInput(content=b"x" * 65_536)
        gone.wait(WAIT)

    outputs = list(client.channel.converse(EXEC_TASK, inputs()))
    gone.set()
    assert "broke off" in outputs[-1].trouble
    until(lambda: not has_variable("MINE=flooded"))


def test_a_hundred_commands_leave_nothing_behind(shared: RunningCluster, job: Job) -> None:
    from io import BytesIO

    from iris.client.execs import run_in_task

    (worker,) = shared.worker_pids()
    with shared.client() as client:
        for number in range(5):
            out = BytesIO()
            assert run_in_task(client.channel, f"{job.id}:0", ["true"], out=out, err=out) == 0
            del number
        before = len(os.listdir(f"/proc/{worker}/fd"))
        for number in range(100):
            out, err = BytesIO(), BytesIO()
            words = ["sh", "-c", f"echo {number}"]
            assert run_in_task(client.channel, f"{job.id}:0", words, out=out, err=err) == 0
            assert out.getvalue() == f"{number}\n".encode()
    until(lambda: len(os.listdir(f"/proc/{worker}/fd")) <= before)
