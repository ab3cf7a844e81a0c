"""The `docker` command of a machine that has no engine: a worker's container is a process of this machine.

It knows just what the startup script says, keeps its books below `DOCKER_HOME`, and runs tasks of its
workers as processes, too. What it starts is in its caller's process group, and so ends with the machine.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

HOME = Path(os.environ.get("DOCKER_HOME", "/nonexistent"))


def install(folder: Path, home: Path) -> str:
    """A folder with the command, to be first of `PATH`."""
    folder.mkdir(parents=True, exist_ok=True)
    command = folder / "docker"
    lines = (
        "#!/bin/sh",
        f"export DOCKER_HOME=${{DOCKER_HOME:-'{home}'}}",
        f"exec '{sys.executable}' '{__file__}' \"$@\"",
    )
    command.write_text("\n".join((*lines, "")))
    command.chmod(0o755)
    return str(folder)


def _status(name: str) -> str:
    try:
        return (HOME / name / "status").read_text()
    except FileNotFoundError:
        return ""


def _set_status(name: str, status: str) -> None:
    beside = HOME / name / "status.new"
    beside.write_text(status)
    beside.replace(HOME / name / "status")


def image(*words: str) -> int:
    """`image inspect NAME`."""
    return 0 if (HOME / "images" / words[-1].replace("/", "_")).exists() else 1


def pull(*words: str) -> int:
    """`pull -q NAME`: fails as often as the file `refusals` says, and always for what is nowhere."""
    refusals = HOME / "refusals"
    left = int(refusals.read_text()) if refusals.exists() else 0
    if left:
        refusals.write_text(str(left - 1))
    if left or words[-1].startswith("nowhere/"):
        sys.stderr.write("Error response from daemon: connection refused\n")
        return 1
    known = HOME / "images" / words[-1].replace("/", "_")
    known.parent.mkdir(parents=True, exist_ok=True)
    known.touch()
    return 0


def inspect(*words: str) -> int:
    """`inspect [-f FORMAT] NAME`: its status and what it was started as, or how it ended last."""
    name = words[-1]
    if not _status(name):
        return 1
    if words[0] == "-f" and "ExitCode" in words[1]:
        code = HOME / name / "code"
        sys.stdout.write(code.read_text() if code.exists() else "0")
    elif words[0] == "-f":
        mark = json.loads((HOME / name / "what.json").read_text())["mark"]
        sys.stdout.write(f"{_status(name)} {mark}\n")
    return 0


def run(*words: str) -> int:
    """`run -d --name N ... IMAGE ARGUMENTS`."""
    rest = list(words)
    options: dict[str, list[str]] = {}
    while rest[0].startswith("-"):
        key = rest.pop(0)
        options.setdefault(key, []).append("" if key == "-d" else rest.pop(0))
    (name,) = options["--name"]
    if image(rest.pop(0)):
        return 125
    module = "iris.cluster.controller.main"
    if rest[0] != "serve":
        module = "iris.cluster.worker.main"
        at = rest.index("--runtime")
        rest[at : at + 4] = ["--runtime", "process"]
    (HOME / name).mkdir(parents=True)
    mark = options["--label"][0].partition("=")[2]
    what = {
        "mark": mark,
        "words": [module, *rest],
        "restart": options["--restart"],
        "variables": options["-e"],
    }
    (HOME / name / "what.json").write_text(json.dumps(what))
    _set_status(name, "running")
    with (HOME / name / "log").open("ab") as log:
        null = subprocess.DEVNULL
        subprocess.Popen(
            [sys.executable, __file__, "keep", name], stdin=null, stdout=log, stderr=log
        )
    return 0


def keep(name: str) -> int:
    """What the engine's daemon would do: run it, and again when it has failed."""
    what = json.loads((HOME / name / "what.json").read_text())
    variables = dict(word.split("=", 1) for word in what["variables"])
    command = [sys.executable, "-m", *what["words"]]
    while True:
        worker = subprocess.Popen(command, env={**os.environ, **variables})
        (HOME / name / "pids").write_text(f"{os.getpid()} {worker.pid}")
        code = worker.wait()
        (HOME / name / "code").write_text(str(code))
        if code == 0 or what["restart"] != ["on-failure"]:
            _set_status(name, "exited")
            return 0
        time.sleep(0.1)


def rm(*words: str) -> int:
    """`rm -f NAME`."""
    name = words[-1]
    if not _status(name):
        return 1
    with suppress(FileNotFoundError):
        for pid in (HOME / name / "pids").read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
    shutil.rmtree(HOME / name)
    return 0


def stop(*words: str) -> int:
    """`stop -t SECONDS NAME`: asks it to end."""
    name = words[-1]
    if _status(name) != "running":
        return 0 if _status(name) else 1
    keeper, *workers = (int(pid) for pid in (HOME / name / "pids").read_text().split())
    os.kill(keeper, signal.SIGKILL)
    for pid in workers:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
            while True:
                os.kill(pid, 0)
                time.sleep(0.05)
    _set_status(name, "exited")
    return 0


def logs(name: str) -> int:
    """`logs NAME`: what it has said."""
    sys.stdout.write((HOME / name / "log").read_text(errors="replace"))
    return 0


def wait(name: str) -> int:
    """`wait NAME`: until it has ended for good."""
    while _status(name) == "running":
        time.sleep(0.05)
    return 0 if _status(name) else 1


def info() -> int:
    """`info`: it is there."""
    return 0


VERBS = {f.__name__: f for f in (image, pull, inspect, run, keep, rm, stop, logs, wait, info)}

if __name__ == "__main__":
    sys.exit(VERBS[sys.argv[1]](*sys.argv[2:]))
