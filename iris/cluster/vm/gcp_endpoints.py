"""Where Google's interfaces are, and who we are there. It imports nothing heavy, for commands ask it, too."""

import json
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import grpc.aio
    from google.auth.credentials import Credentials

# Google's libraries tell whoever imports them how long they will know this Python: no user can act on it.
warnings.filterwarnings("ignore", "You are using a Python version", FutureWarning)

SCOPES: Final = ("https://www.googleapis.com/auth/cloud-platform",)
ELSEWHERE: Final = "IRIS_GOOGLE"
"""The one way to have all processes of a test ask a fake: a JSON object with `tpu`, as `127.0.0.1:1234`,
and `compute`, as `http://127.0.0.1:1235`. Neither TLS nor credentials are used then."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where Google's interfaces are."""

    tpu: str = "tpu.googleapis.com"
    compute: str = "https://compute.googleapis.com"
    channel: "Callable[[str], grpc.aio.Channel] | None" = None  # None: TLS, as who runs this
    """Makes the channel to an endpoint; then nobody asks for credentials either."""


def google() -> Endpoints:
    """Google's own, unless this process belongs to a test.

    Raises:
        ValueError: the variable holds something else.
    """
    elsewhere = os.environ.get(ELSEWHERE)
    if not elsewhere:
        return Endpoints()
    said = json.loads(elsewhere)
    return Endpoints(said["tpu"], said["compute"], _plain)


def default_credentials() -> "Credentials":
    """Who runs this, by Google's own rules; may ask the metadata server, so it is called in a thread.

    Raises:
        GoogleAuthError: nobody is to be found.
    """
    import google.auth

    found, _ = google.auth.default(default_scopes=SCOPES)
    return found


def _plain(address: str) -> "grpc.aio.Channel":
    import grpc.aio

    unlimited = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    return grpc.aio.insecure_channel(address, options=unlimited)
