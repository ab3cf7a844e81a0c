"""The files of a controller's certificate and its key: read, found to belong together, and looked at as callers do."""

import ssl
import time
from collections.abc import Iterable
from typing import Final

from iris.config import Tls
from iris.problems import Finding

LEAST_LEFT_S: Final = 7 * 24 * 3600
"""A certificate that expires sooner is to be renewed now."""


class NoPair(ValueError):
    """They cannot be read, or are no pair.

    Attributes:
        finding: at the key of the configuration that is wrong, `controller.tls` or one below it.
    """

    def __init__(self, message: str, *below: str, help: str) -> None:
        self.finding = Finding(("controller", "tls", *below), message, help)
        super().__init__(f"{'.'.join(('controller', 'tls', *below))}: {message}")

    @property
    def is_absence(self) -> bool:
        """Whether a file cannot be read here, and may be right where the controller runs."""
        return len(self.finding.at) > len(("controller", "tls"))


def read_pair(tls: Tls) -> tuple[bytes, bytes]:
    """Key and certificate; gRPC itself would not say what is wrong with them.

    Raises:
        NoPair: one cannot be read, or the key is not the certificate's.
    """
    found = []
    for name, path in (("key", tls.key), ("cert", tls.cert)):
        try:
            found.append(path.read_bytes())
        except OSError as error:
            help = "name a file that whoever starts the controller may read"
            raise NoPair(f"{path}: {error.strerror}", name, help=help) from error
    try:
        # A key under a password is refused by the empty one, and nobody is asked.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.cert, tls.key, password="")
    except ssl.SSLError as error:
        message = f"{tls.key} is no key of the certificate {tls.cert}"
        help = "name a certificate by `cert`, and by `key` the key that it was made with"
        raise NoPair(f"{message} ({error.reason or error})", help=help) from error
    return found[0], found[1]


def judged(tls: Tls, names: Iterable[str]) -> tuple[str, str]:
    """What becomes of those who call a controller with these files by each of some names; nobody is called.

    Returns: how it stands, and what would be right; that is empty where they can call it, now and for a week at least.
    """
    from iris.rpc.certificates import Refusal, examine

    try:
        read_pair(tls)
    except NoPair as error:
        return str(error), error.finding.help
    until = ""
    for name in names:
        found = examine(tls.cert, tls.key, name)
        if isinstance(found, Refusal):
            return f"{tls.cert}: {found.said}", found.help
        until = found["notAfter"]
    is_ageing = ssl.cert_time_to_seconds(until) - time.time() < LEAST_LEFT_S
    renew = "renew it, and `iris cluster restart`"
    return f"{tls.cert} is good until {until}", renew if is_ageing else ""
