"""Addresses of a controller, as people write them: `http://host:10000`, `https://host:10000`, `host:10000`."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from iris.exit_status import ExitStatus
from iris.problems import Failure

DEFAULT_PORT: Final = 10_000


class BadAddress(Failure, ValueError):
    """A text that is no address of a controller; says what would be one."""

    def __init__(self, message: str) -> None:
        super().__init__(
            message, ExitStatus.BAD_INPUT, "write it as http://host:10000, or https:// for TLS"
        )


@dataclass(frozen=True, slots=True)
class Address:
    """Where a controller listens."""

    host: str
    port: int
    tls: bool

    @property
    def target(self) -> str:
        """As gRPC wants it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """As people write it."""
        return f"{'https' if self.tls else 'http'}://{self.target}"


def parse_address(text: str) -> Address:
    """The address that a text names.

    Raises:
        BadAddress: it names none.
    """
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        port = parts.port
    except ValueError as error:
        raise BadAddress(f"{text!r} is no address of a controller ({error})") from error
    if "@" in parts.netloc:  # It is not repeated: it may hold a password.
        raise BadAddress("an address of a controller has no user and no password; set IRIS_TOKEN")
    if (
        parts.query
        or parts.fragment
        or parts.scheme not in ("http", "https")
        or not parts.hostname
        or parts.path.strip("/")
    ):
        raise BadAddress(f"{text!r} is no address of a controller")
    return Address(parts.hostname, DEFAULT_PORT if port is None else port, parts.scheme == "https")
