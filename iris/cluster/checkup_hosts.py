"""Manual hosts, looked at by SSH as their controller reaches them: keys, Python, Iris, engine, room, clock."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from iris import __version__
from iris.cluster.checkup import (
    LEAST_FREE_BYTES,
    Check,
    Outcome,
    clock_check,
    failed,
    ok,
    skipped,
)
from iris.cluster.vm.host import HostTrouble, Standing
from iris.cluster.vm.host_ssh import SshHost, ssh_settings
from iris.cluster.vm.ssh import NoLibrary, SshHosts, Unreachable
from iris.config import ClusterConfig, Manual, Runtime

_PATIENCE_S = 30.0


async def examine_hosts(
    config: ClusterConfig, pool: Manual, certificate: Mapping[str, str]
) -> list[Check]:
    """One answer for each host, in the order of the file, and those for that of the controller.

    Args:
        config: of the cluster.
        pool: its hosts.
        certificate: `controller.tls` as the file has it, with paths of the controller's host; empty for none.
    """
    try:
        hosts = SshHosts(pool.ssh, pool.python)
    except NoLibrary as error:
        return [skipped("hosts", str(error))]
    except OSError as error:
        said = f"{error.filename}: {(error.strerror or str(error)).lower()}"
        return [failed("ssh key", said, "name one that this user can read by provider.ssh.key")]
    try:
        found = await asyncio.gather(*(_host(hosts, pool, at.address) for at in pool.hosts))
        if config.controller.host is not None:
            at = config.controller.host
            found.append(await _controller(hosts, config, pool, at))
            if certificate:
                found.append(await _certificate(hosts, pool, at, certificate))
        return found
    finally:
        hosts.close()


async def _host(hosts: SshHosts, pool: Manual, at: str) -> Check:
    containers = pool.runtime is Runtime.DOCKER
    asked = {"verb": "look", "folder": pool.folder, "containers": containers}
    return await _asked(hosts, pool, at, f"host {at}", asked)


async def _controller(hosts: SshHosts, config: ClusterConfig, pool: Manual, at: str) -> Check:
    """The host where the controller runs, or is to: its port is free, unless the controller has it."""
    name = f"controller host {at}"
    asked = {"verb": "look", "folder": pool.folder, "containers": False}
    found = await _asked(hosts, pool, at, name, asked)
    if found.outcome is not Outcome.OK:
        return found
    where = ssh_settings(config, pool, at, lambda: "")
    try:
        standing = (await SshHost(where).look()).standing
    except HostTrouble as error:
        return failed(name, str(error), error.help or "correct it, and look again")
    if standing is Standing.SERVING:
        return ok(name, f"{found.said}; its controller serves")
    return await _asked(hosts, pool, at, name, {**asked, "port": where.port})


async def _certificate(
    hosts: SshHosts, pool: Manual, at: str, certificate: Mapping[str, str]
) -> Check:
    """The controller's certificate, as those see it who call that host."""
    asked = {"verb": "certificate", "folder": pool.folder, "name": at, **certificate}
    try:
        said = await hosts.call(at, asked, _PATIENCE_S)
    except Unreachable:
        return skipped("tls", f"{at} is not reached")
    if said["iris"] != __version__:
        return skipped("tls", f"{at} has Iris {said['iris']}")
    if "error" in said:
        return failed("tls", said["error"], "name another folder by provider.folder")
    told = f"{at}: {said['found']}"
    return failed("tls", told, said["help"]) if said["help"] else ok("tls", told)


async def _asked(
    hosts: SshHosts, pool: Manual, at: str, name: str, asked: Mapping[str, object]
) -> Check:
    began = time.time()
    try:
        said = await hosts.call(at, asked, _PATIENCE_S)
    except Unreachable as error:
        user = f"{pool.ssh.user}@" if pool.ssh.user else ""
        jump = f"-J {pool.ssh.jump} " if pool.ssh.jump else ""
        return failed(
            name, str(error), f"have this work: ssh {jump}-p {pool.ssh.port} {user}{at} true"
        )
    return _judged(name, pool, said, began, time.time())


def _judged(name: str, pool: Manual, said: Mapping[str, Any], began: float, ended: float) -> Check:
    """What a host's answer comes to: the first thing that is wrong."""
    if said["iris"] != __version__:
        install = f"{pool.python} -m pip install iris-orchestrator=={__version__}"
        return failed(
            name, f"it has Iris {said['iris']}, and this is {__version__}", f"there: {install}"
        )
    if "error" in said:
        return failed(name, said["error"], "name another folder by provider.folder")
    if said["lacks"]:
        remedy = "start the engine there, or say `provider: {runtime: process}`"
        if name.startswith("controller"):
            extra = f"there: {pool.python} -m pip install 'iris-orchestrator[manual]'"
            remedy = f"{extra}; a port that is taken: name another by controller.vm.port"
        return failed(name, "; ".join(said["lacks"]), remedy)
    free = said["free_bytes"]
    if free < LEAST_FREE_BYTES:
        remedy = "make room there, or name another by provider.folder"
        return failed(name, f"{free / 1e9:.1f} GB free for {pool.folder}", remedy)
    middle, half = (began + ended) / 2, (ended - began) / 2
    clock = clock_check(name, said["now_s"] - middle, half)
    if clock.outcome is Outcome.FAILED:
        return clock
    held = ", ".join(found["slice"] for found in said["slices"])
    python = f"Python {said['python']} and Iris {said['iris']}, {free / 1e9:.0f} GB free"
    return ok(name, f"{python}, {f'held by {held}' if held else 'free'}")
