"""Real hosts behind real sshds, for tests: each in a network, a process and a mount namespace of its own.

A host dies as a machine does: with its first process go all others, and its link is down.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.running import RunningCluster, until

PORT = 22
TOKEN = "a-token-of-alice-for-tests"
_SSHD = "/usr/sbin/sshd"
_CONFIG = """\
Port {port}
ListenAddress {address}
HostKey {key}
AuthorizedKeysFile {authorized}
PidFile none
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
UsePAM no
MaxStartups 100
SetEnv HOME={home}
"""


def lacking() -> str:
    """Why these tests cannot run here; empty when they can."""
    if not Path(_SSHD).exists():
        return "needs sshd: apt-get install openssh-server"
    if shutil.which("ip") is None or shutil.which("unshare") is None:
        return "needs ip and unshare: apt-get install iproute2 util-linux"
    if os.geteuid() != 0:
        return "needs root, for network namespaces"
    probe = subprocess.run(["unshare", "--net", "--pid", "--fork", "true"], check=False)
    return "needs the right to make namespaces" if probe.returncode else ""


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (words, done.stderr)


def make_key(path: Path) -> Path:
    _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path))
    return path


@dataclass
class Host:
    """One machine."""

    root: Path
    """Of its own files."""
    shared: Path
    """Where its folder of slices appears to it, as each host's does to that."""
    authorized: Path
    key: Path = field(init=False)
    """By which it is known."""
    process: subprocess.Popen[bytes] | None = None
    _net: int = 1
    _rules: list[tuple[str, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True)
        self.folder.mkdir()
        self.key = make_key(self.root / "host_key")

    @property
    def folder(self) -> Path:
        """Its slices, as seen from outside."""
        return self.root / "slices"

    @property
    def space(self) -> str:
        """Its network namespace."""
        return f"iris-10-77-{self._net}"

    @property
    def address(self) -> str:
        return f"10.77.{self._net}.2"

    def connect(self) -> None:
        """Lay its cable: its network exists until `end`. Whoever else tests here takes other ones."""
        while not self._have_network():
            self._net += 1
            assert self._net < 255, "all networks are taken: ip netns list"
        inside, outside = f"i77-{self._net}", f"o77-{self._net}"
        _run("ip", "addr", "add", f"10.77.{self._net}.1/30", "dev", outside)
        _run("ip", "link", "set", outside, "up")
        _run("ip", "-n", self.space, "addr", "add", f"{self.address}/30", "dev", inside)
        _run("ip", "-n", self.space, "link", "set", inside, "up")
        _run("ip", "-n", self.space, "link", "set", "lo", "up")

    def _have_network(self) -> bool:
        """Make the network of its number; not so if somebody has it, or it was just given back.

        The name of a network is free before its cable is gone.
        """
        made = ["ip", "netns", "add", self.space]
        if subprocess.run(made, capture_output=True, check=False).returncode:
            return False
        inside, outside = f"i77-{self._net}", f"o77-{self._net}"
        cable = ["ip", "link", "add", outside, "type", "veth", "peer", inside]
        if subprocess.run(
            [*cable, "netns", self.space], capture_output=True, check=False
        ).returncode:
            _run("ip", "netns", "del", self.space)
            return False
        return True

    def start(self) -> None:
        """Switch it on."""
        config = self.root / "sshd_config"
        config.write_text(
            _CONFIG.format(
                port=PORT,
                address=self.address,
                key=self.key,
                authorized=self.authorized,
                home=self.root,  # Else each call runs what the shell of this machine starts with.
            )
        )
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        inner = f"mount --bind {self.folder} {self.shared} && exec {_SSHD} -D -e -f {config}"
        command = ["ip", "netns", "exec", self.space, "unshare", "--pid", "--mount"]
        command += ["--mount-proc", "--fork", "--kill-child", "sh", "-c", inner]
        with (self.root / "sshd.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log)
        until(self._answers)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.root / "sshd.log").read_text()
        try:
            with socket.create_connection((self.address, PORT), 0.2):
                return True
        except OSError:
            return False

    def cut(self, *, off: bool) -> None:
        """Unplug its cable, or plug it in: what runs on it runs on."""
        # Its own end: without ours, packets would leave by another way.
        _run("ip", "-n", self.space, "link", "set", f"i77-{self._net}", "down" if off else "up")

    def block(self, *, on: bool) -> None:
        """Let a firewall refuse, at once, what is sent to it, or no longer."""
        _run("ip", "route", "add" if on else "del", "prohibit", f"{self.address}/32")

    def close_port(self, port: int) -> None:
        """Let a firewall refuse, at once, what is sent to one of its ports, until `end`."""
        rule = ("to", f"{self.address}/32", "ipproto", "tcp", "dport", str(port), "prohibit")
        # A run that was killed has left it behind, if another host had this address.
        subprocess.run(["ip", "rule", "del", *rule], capture_output=True, check=False)
        _run("ip", "rule", "add", *rule)
        self._rules.append(rule)

    def route_to(self, far: "Host") -> None:
        """Lay a cable from this host to another, by which alone this one reaches that."""
        ours, theirs = f"n77-{self._net}", f"f77-{self._net}"
        peer = ("type", "veth", "peer", theirs, "netns", far.space)
        _run("ip", "-n", self.space, "link", "add", ours, *peer)
        for space, link, end in ((self.space, ours, 1), (far.space, theirs, 2)):
            _run("ip", "-n", space, "addr", "add", f"10.78.{self._net}.{end}/30", "dev", link)
            _run("ip", "-n", space, "link", "set", link, "up")
        by = f"10.78.{self._net}.2"
        _run("ip", "-n", self.space, "route", "add", f"{far.address}/32", "via", by)

    def kill(self) -> None:
        """As a machine that loses its power: all its processes are gone, and its link is down."""
        assert self.process is not None
        self.cut(off=True)
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(20)
        self.process = None

    def restart(self) -> None:
        """Give it its power back."""
        self.cut(off=False)
        self.start()

    def end(self) -> None:
        """Leave nothing of it."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(20)
        for rule in self._rules:
            _run("ip", "rule", "del", *rule)
        subprocess.run(["ip", "netns", "del", self.space], capture_output=True, check=False)

    def pids(self) -> list[int]:
        """Its processes that have to do with slices: workers, and what tasks started."""
        mark = str(self.shared).encode()
        found = []
        space = os.stat(f"/run/netns/{self.space}").st_ino
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    words = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                    if mark in words and (entry / "ns" / "net").stat().st_ino == space:
                        found.append(int(entry.name))
                except OSError:
                    continue
        return found


class Hosts:
    """A pool of machines, and what a controller needs to reach them."""

    def __init__(self, root: Path, count: int) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.shared = root / "shared"
        self.shared.mkdir()
        self.key = make_key(root / "user_key")
        self.known = root / "known_hosts"
        self.all = [
            Host(root / f"host{number}", self.shared, self.key.with_suffix(".pub"))
            for number in range(count)
        ]

    def know(self, hosts: list[Host]) -> None:
        """Note the keys of these hosts and of no other."""
        keys = [f"{h.address} {h.key.with_suffix('.pub').read_text().strip()}" for h in hosts]
        self.known.write_text("".join(f"{line}\n" for line in keys))

    def start(self) -> None:
        for host in self.all:
            host.connect()
        self.know(self.all)
        for host in self.all:
            host.start()

    def end(self) -> None:
        for host in self.all:
            host.end()

    def provider(self, **more: object) -> dict[str, object]:
        """The section of a configuration."""
        ssh = {"user": "root", "key": str(self.key), "known_hosts": str(self.known)}
        return {
            "type": "manual",
            "hosts": [host.address for host in self.all],
            "ssh": {**ssh, "port": PORT},
            "folder": str(self.shared),
            "python": sys.executable,
            **more,
        }


def machines(root: Path, count: int) -> Iterator[Hosts]:
    """Running hosts, and their end."""
    hosts = Hosts(root, count)
    try:
        hosts.start()
        yield hosts
    finally:
        hosts.end()


class ManualCluster(RunningCluster):
    """A controller of `provider: manual` over these hosts."""

    def __init__(
        self, root: Path, hosts: Hosts, group: Mapping[str, object], auth: object = None
    ) -> None:
        waits = {"stockout_backoff": "500ms", "internal_backoff": "500ms", "delete_retry": "1s"}
        vm = {"accelerator_type": "cpu", "vm": {"cpu": 2, "memory": "1GB"}}
        super().__init__(
            root,
            provider=hosts.provider(),
            auth={"tokens": {"alice": TOKEN}, "admins": ["alice"]} if auth is None else auth,
            autoscaler={**waits, "idle_timeout": "1h"},
            # A lost host is missed after a third of the one and all of the other, which must be longer than
            # the pause in which a worker looks for a controller that was away.
            timeouts={"orphan_timeout": "15s", "worker_timeout": "6s", "retry_backoff": "100ms"},
            scale_groups={"cpu": {**vm, **group}},
        )
        self.hosts = hosts

    def log(self) -> str:
        return (self.root.parent / "controller.log").read_text()

    def book(self) -> dict[str, list[str]]:
        """The hosts of each slice, as the controller has noted them."""
        note = json.loads((self.root / "vms" / "hosts.json").read_text())
        return {name: said["addresses"] for name, said in note["slices"].items()}

    def on_hosts(self) -> dict[str, list[str]]:
        """The slices that have a folder on each host."""
        return {
            host.address: sorted(path.parent.name for path in host.folder.glob("*/slice.json"))
            for host in self.hosts.all
        }

    def end(self) -> None:
        """The controller; the hosts take what runs on them with them."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
