"""What the startup script puts right on a machine, in a real shell: programs, logins and the firewall."""

import os
import subprocess
from pathlib import Path

import pytest

import iris.cluster.vm

BOOT = Path(iris.cluster.vm.__file__).with_name("boot.sh")
FIREWALL = """#!/bin/sh
shift # -w
case "$1" in
-S) echo "-P INPUT $POLICY" ;;
-C) shift; grep -qx -- "$*" "$RULES" ;;
-A) shift; echo "$*" >>"$RULES" ;;
esac
"""
ENGINE = """#!/bin/sh
case "$1" in
image) exit 1 ;;
login) cat >/dev/null; mkdir -p "$DOCKER_CONFIG" && echo "$*" >"$DOCKER_CONFIG/config.json" ;;
pull) grep -q docker.pkg.dev "$DOCKER_CONFIG/config.json" ;;
esac
"""


def command(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def run(
    home: Path, words: str, *before: str, **variables: str
) -> "subprocess.CompletedProcess[str]":
    """Run functions of the script, with commands of the folder beside `home` before all others."""
    commands = home.parent / "commands"
    path = f"{commands}{os.pathsep}{os.environ['PATH']}"
    env = {"PATH": path, "IRIS_HOME": str(home), "BOOT": str(BOOT), **variables}
    return subprocess.run(
        [*before, "sh", "-c", words],
        env=env,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(("policy", "rules"), [("DROP", 2), ("ACCEPT", 0)])
def test_a_closed_firewall_lets_tcp_in_once(tmp_path: Path, policy: str, rules: int) -> None:
    command(tmp_path / "commands", "iptables", FIREWALL)
    kept = tmp_path / "rules"
    kept.touch()
    words = '. "$BOOT"; settle --dport 10000 && settle --dport 10000 && settle && settle'
    done = run(tmp_path / "home", words, POLICY=policy, RULES=str(kept))
    assert done.returncode == 0, done.stderr
    every = ["INPUT -p tcp --dport 10000 -j ACCEPT", "INPUT -p tcp -j ACCEPT"]
    assert kept.read_text().splitlines() == every[:rules]


def test_a_disk_that_runs_no_programs_is_made_to(tmp_path: Path) -> None:
    apart = ("unshare", "--mount")
    if (
        os.geteuid()
        or subprocess.run([*apart, "true"], check=False, capture_output=True).returncode
    ):
        pytest.skip("a disk of its own takes root and mount namespaces")
    (tmp_path / "home").mkdir()
    program = (
        'printf "#!/bin/sh\\necho it runs" >"$IRIS_HOME/program"; chmod +x "$IRIS_HOME/program"'
    )
    disk = 'mount -t tmpfs -o noexec none "$IRIS_HOME"'
    alone = run(tmp_path / "home", f'{disk}; {program}; "$IRIS_HOME/program"', *apart)
    assert "ermission denied" in alone.stderr
    settled = f'{disk}; . "$BOOT"; settle; {program}; "$IRIS_HOME/program"'
    assert run(tmp_path / "home", settled, *apart).stdout == "it runs\n"


def test_a_login_at_a_registry_is_written_where_one_may_write(tmp_path: Path) -> None:
    command(tmp_path / "commands", "docker", ENGINE)
    words = (
        '. "$BOOT"; account_token() { echo secret; }; image=us-docker.pkg.dev/p/r/worker:v1; pull'
    )
    done = run(tmp_path / "home", words, HOME="/proc")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "home" / "logins" / "config.json").exists()
