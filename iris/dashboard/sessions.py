"""Who looks: a token shown once in a form, then a signed cookie; and that a request is the viewer's own wish.

A token never stands in an address. Where nobody needs one, only requests to this machine's own names
are answered, or else a page of another site could reach the dashboard through a browser of this machine.
"""

import hmac
import json
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NoBase64
from hashlib import sha256
from http import HTTPStatus
from typing import Final
from urllib.parse import SplitResult, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from iris.core.ids import UserName
from iris.dashboard.subject import Door, Refusal, Viewer

LASTS_S: Final = 12 * 3600
"""Then somebody who signed in has to sign in again."""
_OWN_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_OPEN: Final = "open"
_FROM_HERE: Final = frozenset({"same-origin", "none"})
"""What a browser calls a request of our own pages, or of its user's own (`Sec-Fetch-Site`)."""


class NotSignedIn(Refusal):
    """The viewer has to sign in first."""

    def __init__(self) -> None:
        super().__init__(HTTPStatus.UNAUTHORIZED, "sign in first")


class Sessions:
    """Tells viewers from strangers."""

    def __init__(self, door: Door) -> None:
        """Of those whom the door knows."""
        self._door = door
        self._key = hmac.digest(door.key, b"iris dashboard", "sha256")
        # Cookies do not keep the ports of a machine apart: each cluster's has a name of its own.
        self.cookie = f"iris-{sha256(self._key).hexdigest()[:8]}"

    @property
    def is_open(self) -> bool:
        """Whether nobody signs in."""
        return self._door.is_open

    def check_host(self, request: Request) -> None:
        """Refuse a request that reached an open dashboard under a name that is not this machine's.

        Raises:
            Refusal: it did.
        """
        if not self._door.is_open:
            return
        if _parsed(f"//{request.headers.get('host', '')}").hostname not in _OWN_NAMES:
            message = "without tokens this controller serves its own machine only: ask localhost"
            raise Refusal(HTTPStatus.MISDIRECTED_REQUEST, message)

    def viewer(self, request: Request) -> Viewer:
        """Who made a request.

        Raises:
            NotSignedIn: nobody known.
            Refusal: somebody who may not look.
        """
        bearer = _bearer(request)
        if bearer is not None:
            return self._door.viewer(bearer)
        if self._door.is_open:
            return Viewer(None, is_admin=True)
        found = self._remembered(request.cookies.get(self.cookie, ""))
        if found is None:
            raise NotSignedIn
        return found

    def sign_in(self, token: str, response: Response, *, secure: bool) -> None:
        """Let the browser of whoever shows a token be known from now on.

        Raises:
            Refusal: the token is nobody's, or that of one who may not look.
        """
        viewer = self._door.viewer(token)
        claims = {
            "user": viewer.user,
            "proof": self._proof(viewer),
            "until": int(time.time()) + LASTS_S,
            "salt": secrets.token_hex(8),
        }
        body = urlsafe_b64encode(json.dumps(claims).encode()).decode()
        response.set_cookie(
            self.cookie,
            f"{body}.{self._mark(body)}",
            max_age=LASTS_S,
            httponly=True,
            secure=secure,
            samesite="lax",
        )

    def sign_out(self, response: Response) -> None:
        """Let the browser forget."""
        response.delete_cookie(self.cookie)

    def seal(self, request: Request) -> str:
        """What a form of this viewer's carries: no other site can read it, or make it up."""
        return self._mark(f"form {request.cookies.get(self.cookie, _OPEN)}")

    def check_wish(self, request: Request, seal: str) -> None:
        """Refuse a request that another site made the browser send.

        Raises:
            Refusal: it shows no seal, or came from elsewhere.
        """
        if _bearer(request) is not None:
            return  # No browser adds that by itself.
        self.check_origin(request)
        if not hmac.compare_digest(seal.encode(), self.seal(request).encode()):
            raise _not_ours()

    def check_origin(self, request: Request) -> None:
        """Refuse a form that a page of elsewhere sent; programs say nothing of where they come from.

        Raises:
            Refusal: it came from elsewhere.
        """
        origin = request.headers.get("origin")
        here = origin is None or _parsed(origin).netloc == request.headers.get("host")
        if not here or request.headers.get("sec-fetch-site", "same-origin") not in _FROM_HERE:
            raise _not_ours()

    def _remembered(self, cookie: str) -> Viewer | None:
        body, _, mark = cookie.partition(".")
        if not hmac.compare_digest(mark.encode(), self._mark(body).encode()):
            return None
        try:
            claims = json.loads(urlsafe_b64decode(body))
        except (NoBase64, ValueError):
            return None
        if claims["until"] < time.time() or claims["user"] is None:
            return None
        viewer = self._door.known(UserName(claims["user"]))
        if viewer is None or claims["proof"] != self._proof(viewer):
            return None
        return viewer

    def _proof(self, viewer: Viewer) -> str:
        return self._mark(f"proof {self._door.proof(viewer)}")

    def _mark(self, text: str) -> str:
        return hmac.digest(self._key, text.encode(errors="replace"), "sha256").hex()


def _parsed(address: str) -> SplitResult:
    """An address that somebody sent; one that is none has no parts."""
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")


def _not_ours() -> Refusal:
    message = "the form is not of this dashboard, or of an earlier sign-in: open it again"
    return Refusal(HTTPStatus.FORBIDDEN, message)


def _bearer(request: Request) -> str | None:
    shown = request.headers.get("authorization", "")
    kind, _, token = shown.partition(" ")
    return token if kind.lower() == "bearer" else None
