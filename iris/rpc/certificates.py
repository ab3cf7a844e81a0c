"""Why a controller's certificate is not believed, asked of the system's own TLS, which says it in words.

gRPC tells of every handshake that fails in the words of its C library. What is wrong, an operator
must be told: expired, another host's, or signed by somebody whom this client does not know.
"""

import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

from iris.rpc.addresses import Address

_PATIENCE_S: Final = 3.0
_NOT_YET: Final = 9
_EXPIRED: Final = 10
_OTHER_HOST: Final = (62, 64)
"""X509_V_ERR_HOSTNAME_MISMATCH and its like for addresses; all of x509_vfy.h of OpenSSL."""

Certificate: TypeAlias = Mapping[str, Any]
"""As `ssl.SSLSocket.getpeercert` tells it."""
_Handshake: TypeAlias = Callable[[ssl.SSLContext], Certificate]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a client does not speak with a server."""

    said: str
    help: str
    """What would be right."""


def trouble(address: Address, authority: Path | None) -> Refusal | None:
    """What stands between this client and TLS there; nothing when nothing does.

    Args:
        address: of a controller, with `tls`.
        authority: the certificate that signed the controller's, if no public authority did.
    """

    def handshake(context: ssl.SSLContext) -> Certificate:
        with (
            socket.create_connection((address.host, address.port), _PATIENCE_S) as link,
            context.wrap_socket(link, server_hostname=address.host) as line,
        ):
            return line.getpeercert() or {}

    try:
        context = _client(authority)
    except ssl.SSLError:
        help = "name the right file with IRIS_AUTHORITY"
        return Refusal(f"{authority} holds no certificate in PEM form", help)
    try:
        return _refusal(handshake, context, address.host, _unknown(authority))
    except ssl.SSLError:
        return Refusal(
            "it does not speak TLS", "if that is meant, write http:// instead of https://"
        )
    except OSError:
        return None


def examine(cert: Path, key: Path, host: str) -> Refusal | Certificate:
    """What a client says to a server with these files, which are a pair, or what it learns of it; nobody is called.

    Args:
        cert: the certificate; the client believes in nothing else.
        key: its key.
        host: what the client calls it.
    """

    def handshake(context: ssl.SSLContext) -> Certificate:
        to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(cert, key)
        ours = context.wrap_bio(to_client, to_server, server_hostname=host)
        theirs = server.wrap_bio(to_server, to_client, server_side=True)
        while not all([_is_through(ours), _is_through(theirs)]):
            pass  # What one says the other hears at its next turn.
        return ours.getpeercert() or {}

    context = _client(cert)
    stranger = Refusal(
        f"its certificate is signed by somebody whom {cert} does not name",
        "let that file have the whole chain, up to who signed: workers believe in nothing else",
    )
    return _refusal(handshake, context, host, stranger) or handshake(context)


def _is_through(end: ssl.SSLObject) -> bool:
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def _client(authority: Path | None) -> ssl.SSLContext:
    """What verifies as gRPC does, whatever this version of Python would do by itself."""
    context = ssl.create_default_context(cafile=authority)
    context.verify_flags &= ~(ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT)
    context.set_alpn_protocols(["h2"])
    return context


def _refusal(
    handshake: _Handshake, context: ssl.SSLContext, host: str, stranger: Refusal
) -> Refusal | None:
    try:
        handshake(context)
    except ssl.SSLCertVerificationError as error:
        said = error.verify_message
        if "self-signed" in said or "unable to get" in said:
            return replace(stranger, said=f"{stranger.said} ({said})")
        if error.verify_code in _OTHER_HOST:
            context.check_hostname = False
            names = ", ".join(name for _, name in handshake(context).get("subjectAltName", ()))
            help = f"call it by a name that it has ({names or 'it has none'}), or have one made for {host}"
        elif error.verify_code == _EXPIRED:
            help = "renew it, and `iris cluster restart`"
        elif error.verify_code == _NOT_YET:
            help = "set the clock of this machine: timedatectl set-ntp true"
        else:
            help = "have another one made"
        return Refusal(f"its certificate is refused: {said.rstrip('.').lower()}", help)
    return None


def _unknown(authority: Path | None) -> Refusal:
    whom = f"whom {authority} does not name" if authority is not None else "whom nobody here knows"
    help = "name the right authority with IRIS_AUTHORITY"
    return Refusal(f"its certificate is signed by somebody {whom}", help)


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
