"""The controller of a campaign of chaos: the production one, told how fast time is there, and timed.

`python -m tests.cluster.chaos_controller ROOT TPU COMPUTE` serves ROOT/cluster.yaml until it is killed. How
long each turn took, in milliseconds, is a line of ROOT/turns.
"""

import asyncio
import logging
import sys
import time
from pathlib import Path
from typing import Any

from iris.cluster.controller import turns
from iris.cluster.controller.service import ControllerService, Options, Provider, Surroundings
from iris.cluster.vm.bootstrap import Bootstrap
from iris.cluster.vm.gcp import GcpSettings, GcpVmManager
from iris.cluster.vm.gcp_calls import Limits
from iris.cluster.vm.gcp_endpoints import Endpoints
from iris.config import Gcp, load_cluster
from iris.garbage import rare_collections
from tests.gcp.managing import plain

FAST = Limits(
    patience_s=3.0,
    listing_s=4.5,
    retry_s=0.03,
    first_poll_s=0.2,
    longest_poll_s=3.0,
    polls_per_second=40.0,
    create_s=180.0,
    delete_s=60.0,
    listing_gap_s=0.2,
)
"""The usual limits, ten times as fast."""


def main(root: Path, tpu: str, compute: str) -> None:
    """Serve until killed."""
    config = load_cluster(root / "cluster.yaml")
    gcp = config.provider
    assert isinstance(gcp, Gcp)
    assert config.docker is not None
    image = config.docker.image

    def provide(around: Surroundings) -> Provider:
        bootstrap = Bootstrap(
            gcp.cluster, gcp.project_id, around.url, image, around.groups, around.slice_token
        )
        endpoints = Endpoints(tpu, compute, plain)
        settings = GcpSettings(gcp, dict(config.runtime_versions), endpoints, FAST)
        return GcpVmManager(settings, bootstrap, around.clock, around.deliver)

    _time_turns(root / "turns")
    options = Options(root / "iris", config.controller.port, end_workers=False)
    with rare_collections():
        asyncio.run(ControllerService(config, options, provide).serve(lambda _: None))


def _time_turns(path: Path) -> None:
    """Write how long each turn takes, from the facts to the last effect that was begun."""
    inner = turns.TurnLoop._turn
    lines = path.open("a", buffering=1)

    def timed(self: Any, *rest: Any) -> Any:
        began = time.perf_counter()
        try:
            return inner(self, *rest)
        finally:
            lines.write(f"{(time.perf_counter() - began) * 1_000:.1f}\n")

    turns.TurnLoop._turn = timed  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
