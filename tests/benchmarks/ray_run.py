"""Ray's figures on this machine; run by an interpreter that has `ray[default]`. Prints one line of JSON."""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from ray.job_submission import (  # type: ignore[import-not-found]  # another interpreter has it
    JobSubmissionClient,
)


def pss_mib(marker: str) -> float:
    """The proportional set size of all processes that name a word in their arguments."""
    total = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                if marker.encode() in (entry / "cmdline").read_bytes():
                    for line in (entry / "smaps_rollup").read_text().splitlines():
                        total += int(line.split()[1]) if line.startswith("Pss:") else 0
            except OSError:
                continue
    return total / 1_024


def main() -> None:
    """Start a cluster, measure, stop it."""
    command = [str(Path(sys.executable).with_name("ray"))]
    began = time.perf_counter()
    start = [*command, "start", "--head", "--num-cpus=8", "--dashboard-host=127.0.0.1"]
    subprocess.run(start, check=True, stdout=subprocess.DEVNULL)
    up = time.perf_counter() - began
    try:
        client = JobSubmissionClient("http://127.0.0.1:8265")

        def job() -> None:
            name = client.submit_job(entrypoint="true")
            while client.get_job_status(name).value not in ("SUCCEEDED", "FAILED"):
                time.sleep(0.02)

        job()
        jobs = [timed(job) for _ in range(3)]
        submit = [*command, "job", "submit", "--address=http://127.0.0.1:8265", "--", "true"]
        whole = timed(lambda: subprocess.run(submit, check=True, capture_output=True))
        time.sleep(5)
        idle = pss_mib("ray")
        found = {
            "up_s": up,
            "job_s": statistics.median(jobs),
            "jobs_per_s": 1 / statistics.median(jobs),
            "command_s": whole,
            "idle_mib": idle,
        }
    finally:
        subprocess.run([*command, "stop", "--force"], check=False, stdout=subprocess.DEVNULL)
    sys.stdout.write(json.dumps(found) + "\n")


def timed(work: object) -> float:
    """Seconds that a call takes."""
    began = time.perf_counter()
    assert callable(work)
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
