"""A controller that belongs to one program: `python -m iris.cluster.controller.local CONFIG`.

Prints its address when it serves, on any port that is free, and ends with all its workers when its
standard input does: so it never outlives the program that started it, however that ends. Nor does its
folder.
"""

import asyncio
import shutil
import sys
from pathlib import Path

from iris.cluster.controller.main import close_when_asked, provider_of
from iris.cluster.controller.service import ControllerService, Options
from iris.config import load_cluster


async def _serve(path: Path) -> None:
    config = load_cluster(path)
    options = Options(Path(config.storage.root), 0, end_workers=True)
    service = ControllerService(config, options, provider_of(config))
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), _read, service)
    close_when_asked(service)
    await service.serve(lambda it: print(it.url, flush=True))  # noqa: T201
    shutil.rmtree(options.root, ignore_errors=True)


def _read(service: ControllerService) -> None:
    if not sys.stdin.buffer.raw.read(4_096):  # type: ignore[union-attr, unused-ignore]
        service.close()
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
