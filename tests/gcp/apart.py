"""A client that is built as in production, without any seam, in a process of its own.

gRPC reads its root certificates once in a process, and credentials are found by its environment.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.certificates import Authority
from tests.gcp.fake_google import FakeGoogle


@contextmanager
def client_apart(
    program: str, google: FakeGoogle, authority: Authority, folder: Path, *words: str
) -> Iterator[Callable[[], str]]:
    """Run a program that prints a line, waits for one, and so on.

    Args:
        program: its source.
        google: what it talks to, over TLS.
        authority: whom it trusts.
        folder: for the key of its service account.
        words: its arguments.

    Yields:
        What has it go on, and gives the line that it prints then; the first time it just begins.
    """
    environment = os.environ | {
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(authority.cert),
        "GOOGLE_APPLICATION_CREDENTIALS": str(google.service_account(folder / "sa.json")),
    }
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", program, *words],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as process:
        into, out = process.stdin, process.stdout
        assert into is not None
        assert out is not None
        begun = False

        def next_line() -> str:
            nonlocal begun
            if begun:
                into.write("\n")
            begun = True
            return out.readline()

        yield next_line
        into.write("\n")
