"""Why a controller's certificate is not believed, asked once more of the system's own TLS, which says it in words.

gRPC tells of every handshake that fails in the words of its C library. What is wrong, an operator
must be told: expired, another host's, or signed by somebody whom this client does not know.
"""

import socket
import ssl
from pathlib import Path
from typing import Final

from iris.rpc.addresses import Address

_PATIENCE_S: Final = 3.0


def trouble(address: Address, authority: Path | None) -> str:
    """What stands between this client and TLS there, in a sentence; empty when nothing does.

    Args:
        address: of a controller, with `tls`.
        authority: the certificate that signed the controller's, if no public authority did.
    """
    try:
        context = ssl.create_default_context(cafile=authority)
    except ssl.SSLError:
        return f"{authority} holds no certificate in PEM form"
    context.set_alpn_protocols(["h2"])
    try:
        with (
            socket.create_connection((address.host, address.port), _PATIENCE_S) as link,
            context.wrap_socket(link, server_hostname=address.host),
        ):
            return ""
    except ssl.SSLCertVerificationError as error:
        return _sentence(error, authority)
    except ssl.SSLError:
        return "it does not speak TLS; if that is meant, write http:// instead of https://"
    except OSError:
        return ""


def _sentence(error: ssl.SSLCertVerificationError, authority: Path | None) -> str:
    said = error.verify_message
    if "self-signed" in said or "unable to get" in said:
        whom = (
            f"whom {authority} does not name" if authority is not None else "whom nobody here knows"
        )
        return (
            f"its certificate is signed by somebody {whom} ({said});"
            " name the right authority with IRIS_AUTHORITY"
        )
    return f"its certificate is refused: {said.rstrip('.').lower()}"


def speaks_tls(address: Address) -> bool:
    """Whether a TLS server listens there, whoever it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((address.host, address.port), _PATIENCE_S) as link,
            context.wrap_socket(link, server_hostname=address.host),
        ):
            return True
    except OSError:
        return False
