"""`python -m iris.cluster.vm.controller_on_host`: what a host does for whoever has its cluster's controller there.

A command line starts it by SSH: a JSON request on standard input, the answer on the last line of standard output.
"""

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from iris import __version__
from iris.cluster.vm.host import Found, HostTrouble
from iris.cluster.vm.host_process import ProcessHost, ProcessSettings
from iris.cluster.vm.on_host import CONTROLLER, Unfit, own_folder
from iris.cluster.vm.workers import write

_CONFIG: Final = "cluster.yaml"


async def answer(request: Mapping[str, Any]) -> dict[str, object]:
    """What a request comes to; trouble is told in the answer."""
    said: list[str] = []
    try:
        told = await _done(request, said)
    except HostTrouble as error:
        told = {"error": str(error), "help": error.help, "log": error.log}
    except Unfit as error:
        told = {"error": str(error)}
    except OSError as error:
        told = {"error": f"{error.filename or request['folder']}: {error.strerror or error}"}
    return {"iris": __version__, "said": said, **told}


async def _done(request: Mapping[str, Any], said: list[str]) -> dict[str, object]:
    folder = own_folder(Path(request["folder"])) / CONTROLLER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    words = ("--advertise", request["url"])
    settings = ProcessSettings(
        folder / request["root"], folder / _CONFIG, request["port"], request["tls"], words
    )
    host = ProcessHost(settings)
    if request["config"] is not None:
        write(folder / _CONFIG, request["config"])
    match request["verb"]:
        case "begin":
            found, begun = await host.begin(said.append)
            return {**_told(found), "done": begun}
        case "begin_anew":
            return _told(await host.begin_anew(said.append))
        case "end":
            return {"done": await host.end(said.append)}
        case "log":
            return {"log": await host.log()}
        case _:
            return _told(await host.look())


def _told(found: Found) -> dict[str, object]:
    return {"standing": found.standing.value, "name": found.name}


def main() -> int:
    """Answer one request."""
    request = json.loads(sys.stdin.readline())
    sys.stdout.write(f"\n{json.dumps(asyncio.run(answer(request)))}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
