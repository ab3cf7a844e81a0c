"""Slurm as a peer, from Debian's packages: its daemons in a folder of their own, on loopback, ended by their ids.

What is measured is what a user does: `sinfo` until the node is idle, `srun true`, `sbatch --wait`, an array.
"""

import os
import secrets
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.benchmarks.figures import timed
from tests.cluster.logs import proportional_mib
from tests.cluster.running import free_port, until

_NEEDED: Final = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "sinfo", "squeue")
_PATH: Final = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_UP_S: Final = 60.0
_CORES: Final = 80
"""That it may give away, one to a job: as many jobs at a time as the other clusters are given room for."""


@dataclass(frozen=True)
class Slurm:
    """Running daemons."""

    variables: Mapping[str, str]
    daemons: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def run(self, *words: str) -> str:
        """What one of its commands prints."""
        done = subprocess.run(
            words, env=self.variables, capture_output=True, text=True, check=True, timeout=120
        )
        return done.stdout

    def is_idle(self) -> bool:
        """Whether its node takes jobs."""
        with suppress(subprocess.CalledProcessError, subprocess.TimeoutExpired):
            return self.run("sinfo", "--noheader", "--format=%T").strip() == "idle"
        return False


def _config(folder: Path, ports: tuple[int, int]) -> str:
    host = socket.gethostname()
    user = "root" if os.geteuid() == 0 else os.environ.get("LOGNAME", "nobody")
    return "\n".join(
        (
            "ClusterName=peer",
            f"SlurmctldHost={host}(127.0.0.1)",
            f"SlurmctldPort={ports[0]}",
            f"SlurmdPort={ports[1]}",
            f"SlurmUser={user}",
            f"SlurmdUser={user}",
            f"AuthInfo=socket={folder}/munge.socket",
            "AuthType=auth/munge",
            "CredType=cred/munge",
            f"StateSaveLocation={folder}/state",
            f"SlurmdSpoolDir={folder}/spool",
            f"SlurmctldPidFile={folder}/slurmctld.pid",
            f"SlurmdPidFile={folder}/slurmd.pid",
            "ProctrackType=proctrack/linuxproc",
            "TaskPlugin=task/none",
            "SelectType=select/cons_tres",
            "SelectTypeParameters=CR_Core",
            "ReturnToService=2",
            "MpiDefault=none",
            "SlurmdParameters=config_overrides",
            f"NodeName={host} NodeAddr=127.0.0.1 CPUs={_CORES} State=UNKNOWN",
            f"PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE",
            "",
        )
    )


def lacking() -> str:
    """What of it is not here, and how it would be had; empty when nothing is."""
    missing = [name for name in _NEEDED if shutil.which(name, path=_PATH) is None]
    packages = "apt-get install munge slurmctld slurmd slurm-client"
    return f"Slurm's {', '.join(missing)} is not here: {packages}" if missing else ""


@contextmanager
def running() -> Iterator[Slurm]:
    """Its daemons, begun; the node may not be idle yet."""
    with tempfile.TemporaryDirectory(prefix="slurm-") as name:
        folder = Path(name)
        for below in ("state", "spool"):
            (folder / below).mkdir()
        key = folder / "munge.key"
        key.write_bytes(secrets.token_bytes(1_024))
        key.chmod(0o600)
        config = folder / "slurm.conf"
        config.write_text(_config(folder, (free_port(), free_port())))
        variables = {**os.environ, "PATH": _PATH, "SLURM_CONF": str(config)}
        found = Slurm(variables)
        munge = [f"--{what}={folder}/munge.{what}" for what in ("socket", "pid-file", "log-file")]
        munge += [
            f"--seed-file={folder}/munge.seed",
            f"--key-file={key}",
            "--foreground",
            "--force",
        ]
        try:
            for words in (["munged", *munge], ["slurmctld", "-D", "-i"], ["slurmd", "-D"]):
                with (folder / f"{words[0]}.out").open("wb") as out:
                    found.daemons.append(
                        subprocess.Popen(words, env=variables, stdout=out, stderr=out)
                    )
                if words[0] == "munged":
                    until((folder / "munge.socket").exists, _UP_S)
            yield found
        finally:
            for daemon in reversed(found.daemons):
                daemon.terminate()
            for daemon in found.daemons:
                with suppress(subprocess.TimeoutExpired):
                    daemon.wait(10)
                daemon.kill()
                daemon.wait()


def measure(
    *, commands: int = 7, jobs: int = 200, ups: int = 3, settle_s: float = 5.0
) -> dict[str, float]:
    """All figures of Slurm."""
    spans = []
    for _ in range(ups):
        began = time.monotonic()
        with running() as found:
            until(found.is_idle, _UP_S)
            spans.append(time.monotonic() - began)
    with running() as found, tempfile.TemporaryDirectory() as folder:
        until(found.is_idle, _UP_S)
        batch = ("sbatch", "--quiet", f"--output={folder}/%A.out", "--wrap=true")

        def array() -> None:
            found.run(*batch, f"--array=1-{jobs}")  # With --wait it would look every few seconds.
            until(lambda: not found.run("squeue", "--noheader").strip(), 10 * _UP_S)

        measured = {
            "up_s": statistics.median(spans),
            "run_s": statistics.median(
                timed(lambda: found.run("srun", "--quiet", "true"))[0] for _ in range(commands)
            ),
            "batch_s": statistics.median(
                timed(lambda: found.run(*batch, "--wait"))[0] for _ in range(commands)
            ),
            "array_per_s": jobs / timed(array)[0],
        }
        time.sleep(settle_s)
        measured["idle_mib"] = sum(proportional_mib(daemon.pid) for daemon in found.daemons)
    return measured
