"""What a scenario of `fidelity: protocol` says beside the cloud: network, runtimes, controller.

Frozen values; nothing here draws or decides. Without any key all three are instant and kind. The
marks F-14 to F-23 name the fault models that a key can produce (see docs/simulation.md).
"""

from dataclasses import dataclass
from typing import Final

from iris.core.instant import SECOND, Millis
from sim.dice import Constant, Distribution


@dataclass(frozen=True, slots=True)
class Chance:
    """Something that happens with a probability, and then takes a while."""

    probability: float = 0.0
    span: Distribution = Constant(Millis(0))


@dataclass(frozen=True, slots=True)
class Recurring:
    """Something that comes again and again, and lasts."""

    every: Distribution
    lasts: Distribution


@dataclass(frozen=True, slots=True)
class NetworkModel:
    """What happens to messages between workers and the controller."""

    delay: Distribution = Constant(Millis(0))
    """Of each message."""
    loss: float = 0.0
    """F-14: the probability that a message is lost, in either direction."""
    repeat: float = 0.0
    """F-14: the probability that a request arrives twice."""
    late: Chance = Chance()
    """F-14: a message that is late by so much more, and so is overtaken by others."""
    cuts: Recurring | None = None  # None: lines are not cut
    """F-15: of each worker's line."""
    one_way: float = 0.0
    """F-15: the share of cuts in which one direction still works."""
    half_open: float = 0.0
    """F-16: the share of cuts in which calls are swallowed, where others fail at once."""


@dataclass(frozen=True, slots=True)
class RuntimeModel:
    """What happens to containers and to the agents that start them."""

    refused: float = 0.0
    """F-20: the probability that a launch fails, by no fault of the job."""
    slow: Chance = Chance()
    """F-20: a launch that takes so much longer."""
    wedged: float = 0.0
    """F-20: the probability that a launch never gets anywhere."""
    dirty_hosts: float = 0.0
    """F-19: the share of hosts on which every launch fails."""
    stop: Distribution = Constant(Millis(0))
    """F-17: from SIGTERM to the end of a container that heeds it."""
    deaf: float = 0.0
    """F-17: the share of containers that do not heed SIGTERM."""
    unkillable: Chance = Chance()
    """F-17: a container that outlives SIGKILL by so much."""
    agent_deaths: Recurring | None = None  # None: agents do not die
    """F-18: an agent's process ends, and another takes up its containers later."""
    reboots: float = 0.0
    """F-18: the share of those deaths that are the whole machine's: its containers are gone with it."""
    exit_zero: float = 0.0
    """F-21: the share of containers that exit with 0 when they are stopped."""
    siblings: Chance = Chance()
    """F-21: a gang's member that exits by itself, so long after another lost its host."""


@dataclass(frozen=True, slots=True)
class ControllerModel:
    """What happens to the controller's process."""

    crashes: Recurring | None = None  # None: it does not crash
    """F-22: it dies, and is started again after a while."""
    between: float = 0.0
    """F-22: the share of crashes between the journal's write and the last request of a turn."""
    stalls: Recurring | None = None  # None: it never stands still
    """F-23."""


KIND_NETWORK: Final = NetworkModel()
KIND_RUNTIME: Final = RuntimeModel()
KIND_CONTROLLER: Final = ControllerModel()

RETRY_SUBMIT: Final = Millis(10 * SECOND)
"""A user whose request is not answered by then makes it again, under the same id."""
SNAPSHOT_EVERY: Final = 1_000
"""Turns between two snapshots of the controller's state."""
