r"""Data-parallel training by JAX on all hosts of a gang, which goes on from its last checkpoint.

    iris job run --config docs/examples/gang.yaml --workspace docs/examples --replicas 4 --coscheduled \
        --env CHECKPOINTS=$PWD/checkpoints -- python train_jax.py

Nothing here knows Iris. How many processes there are, and where they meet, JAX reads from its
surroundings; that the machine will be taken, it learns by SIGTERM. After each step all processes tell
each other whether they have heard of it, and save and end together. What a step computes depends on
its number only, so an interrupted run has the losses of one that was not.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

STEPS = 40
SAVE_EVERY = 10
ROWS_PER_PROCESS = 8
WIDTH = 16
RATE = 0.1
INTERRUPTED = 75
"""The exit status of a run that is to go on: never 0, which would say that all is done."""

ASKED = threading.Event()
"""This process was asked to end."""

Parameters = dict[str, jax.Array]


def first_parameters() -> Parameters:
    """A network of two layers, the same in every process."""
    dice = np.random.default_rng(0)
    return {
        "inner": jnp.asarray(dice.normal(size=(2, WIDTH)), jnp.float32),
        "outer": jnp.asarray(dice.normal(size=(WIDTH, 1)) / WIDTH, jnp.float32),
    }


def rows(step: int, process: int) -> np.ndarray:
    """What a process brings to a step: points of the plane, and the product of their coordinates."""
    dice = np.random.default_rng((step, process))
    points = dice.uniform(-1, 1, size=(ROWS_PER_PROCESS, 2))
    found: np.ndarray = np.column_stack([points, points[:, 0] * points[:, 1]])
    return found.astype(np.float32)


def loss_of(parameters: Parameters, batch: jax.Array) -> jax.Array:
    """The mean square error over the rows of all processes."""
    told = jnp.tanh(batch[:, :2] @ parameters["inner"]) @ parameters["outer"]
    return jnp.mean((told[:, 0] - batch[:, 2]) ** 2)


def update(parameters: Parameters, batch: jax.Array) -> tuple[Parameters, jax.Array]:
    """The parameters after a step, and the loss before it."""
    loss, slopes = jax.value_and_grad(loss_of)(parameters, batch)
    return jax.tree.map(lambda value, slope: value - RATE * slope, parameters, slopes), loss


def load(file: Path) -> tuple[int, Parameters]:
    """How many steps were done when the file was saved, and the parameters; the beginning without one."""
    if not file.exists():
        return 0, first_parameters()
    with np.load(file) as saved:
        values = {name: jnp.asarray(saved[name]) for name in saved.files}
    return int(values.pop("done")), values


def save(file: Path, done: int, parameters: Parameters) -> None:
    """Write a checkpoint; whoever is killed in the middle leaves the one before. One process is enough."""
    if jax.process_index() == 0:
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_suffix(".new.npz")
        np.savez(beside, done=done, **{name: np.asarray(v) for name, v in parameters.items()})
        beside.replace(file)


def show(step: int, loss: float) -> None:
    """One line for a step, by one process."""
    print(f"step {step} loss {loss!r}", flush=True)


def train(file: Path, told: Callable[[int, float], None] = show) -> int:
    """Train from the last checkpoint on; the exit status."""
    mesh = Mesh(np.array(jax.devices()), ("rows",))
    by_rows = NamedSharding(mesh, PartitionSpec("rows"))
    stepped = jax.jit(update)
    done, parameters = load(file)
    parameters = jax.device_put(parameters, NamedSharding(mesh, PartitionSpec()))
    for step in range(done, STEPS):
        batch = jax.make_array_from_process_local_data(by_rows, rows(step, jax.process_index()))
        parameters, loss = stepped(parameters, batch)
        if jax.process_index() == 0:
            told(step, float(loss))
        # JAX has `reached_preemption_sync_point` for this; it takes some 17 seconds to agree.
        asked = multihost_utils.process_allgather(np.array(ASKED.is_set()))
        interrupted = bool(asked.any())
        if interrupted or (step + 1) % SAVE_EVERY == 0:
            save(file, step + 1, parameters)
        if interrupted:
            return INTERRUPTED
    return 0


def main(told: Callable[[int, float], None] = show) -> int:
    """Meet the others, and train with them; the exit status."""
    jax.distributed.initialize()
    signal.signal(signal.SIGTERM, lambda *_: ASKED.set())  # JAX has a handler of its own by now.
    return train(Path(os.environ["CHECKPOINTS"]) / "last.npz", told)


if __name__ == "__main__":
    sys.exit(main())
