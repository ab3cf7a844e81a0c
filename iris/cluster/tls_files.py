"""The files of a controller's certificate and its key: read, and found to belong together."""

import ssl

from iris.config import Tls
from iris.problems import Finding


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
