"""The application: which address leads to what, who may see it, and what every answer carries."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import parse_qs, quote
from weakref import WeakValueDictionary

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from iris.dashboard.actions import ACTIONS, Action
from iris.dashboard.assets import load_assets
from iris.dashboard.breath import Breath
from iris.dashboard.page import Asked, Page, Sharing
from iris.dashboard.pages import PAGES
from iris.dashboard.query import Query
from iris.dashboard.render import Renderer
from iris.dashboard.runs import REPORT, file_of
from iris.dashboard.sessions import NotSignedIn, Sessions
from iris.dashboard.stream import Beat
from iris.dashboard.subject import Door, Refusal, Subject, Viewer

_log = logging.getLogger(__name__)

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
REPORT_POLICY: Final = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'unsafe-inline'; img-src data: blob:; font-src data:; frame-ancestors 'self'"
)
"""A report holds its own scripts, and may reach nothing."""
_MOST_FORM_BYTES: Final = 16 << 10
_MOST_FIELDS: Final = 20
_WITH_EVENTS: Final = ("jobs", "tasks", "slices", "workers")
_KEPT: Final = 64
"""Rendered pages that several dashboards may share."""
_STALE_MS: Final = 10_000
"""Ages on a page may be so old though nothing changed."""

_Handler = Callable[[Request], Awaitable[Response]]
_Key: TypeAlias = tuple[str, Viewer | None]
"""An address, and whose page it is where not all are shown the same."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """The changing part of a page, as it was made last."""

    turns: int
    told: int
    """As of `Beat`, when it was made."""
    age: int
    main: str

    @property
    def mark(self) -> str:
        """Another one when it is made anew."""
        return f"{self.turns}-{self.age}"


class _Link(NamedTuple):
    """Where one can go from where there is nothing to see."""

    address: str
    text: str


class Dashboard:
    """All addresses of one subject."""

    def __init__(self, subject: Subject, door: Door, more: Sequence[Route] = ()) -> None:
        """Beside pages, `more` are served as they are."""
        self._subject = subject
        self._sessions = Sessions(door)
        self._assets = load_assets()
        self._renderer = Renderer(subject, [p for p in PAGES if p.in_menu])
        self._kept: dict[_Key, _Kept] = {}
        self.stopping = asyncio.Event()
        self._beat = Beat(subject, self.stopping)
        self._breathing = asyncio.Lock()
        self._making: WeakValueDictionary[_Key, asyncio.Lock] = WeakValueDictionary()
        """Likewise, so that it is made once for all who ask for it together."""
        routes = [
            Route("/static/{name}", self._static),
            Route("/sign-in", self._guarded(self._ask_token), methods=["GET"]),
            Route("/sign-in", self._guarded(self._sign_in), methods=["POST"]),
            Route("/sign-out", self._guarded(self._sign_out), methods=["POST"]),
            Route("/events", self._guarded(self._events)),
            *more,
        ]
        for page in PAGES:
            told = "/overview" if page.path == "/" else page.path
            routes.append(Route(f"/api/v1{told}.json", self._guarded(self._told(page))))
        for action in ACTIONS:
            routes.append(Route(action.path, self._guarded(self._asked(action)), methods=["GET"]))
            routes.append(Route(action.path, self._guarded(self._done(action)), methods=["POST"]))
        routes.append(Route("/simulations/files/{name}/{file}", self._guarded(self._run_file)))
        routes += [Route(page.path, self._guarded(self._shown(page))) for page in PAGES]
        routes.append(Route("/{path:path}", self._guarded(_unknown)))
        self.app: ASGIApp = _Headers(Starlette(routes=routes))

    # ---- pages -----------------------------------------------------------------------------------

    def _shown(self, page: Page) -> _Handler:
        async def show(request: Request) -> Response:
            viewer = self._sessions.viewer(request)
            mark, main = await self._main(page, request, viewer)
            fragment = "hx-request" in request.headers
            headers = {
                "etag": f'W/"{mark}"', "cache-control": "private, no-cache", "vary": "HX-Request, Cookie"
            }  # fmt: skip
            if fragment:
                if request.headers.get("if-none-match") == headers["etag"]:
                    return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
                return HTMLResponse(main, headers=headers)
            del headers["etag"]
            seal = self._sessions.seal(request)
            return HTMLResponse(self._renderer.whole(page, main, viewer, seal), headers=headers)

        return show

    async def _main(self, page: Page, request: Request, viewer: Viewer) -> tuple[str, str]:
        """A page's changing part, shared by all who look at the same while nothing changes."""
        url = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        if page.sharing is Sharing.NOBODY:
            main = await self._rendered(page, request, viewer, url)
            return sha256(main.encode()).hexdigest()[:16], main
        key = url, (viewer if page.sharing is Sharing.VIEWER else None)
        making = self._making.setdefault(key, asyncio.Lock())
        async with making:
            return await self._made(page, request, viewer, key)

    async def _made(
        self, page: Page, request: Request, viewer: Viewer, key: _Key
    ) -> tuple[str, str]:
        subject = self._subject
        age, turns = subject.now() // _STALE_MS, subject.changes
        kept = self._kept.get(key)
        if kept is not None and self._stands(
            kept, turns, age, fragment="hx-request" in request.headers
        ):
            return kept.mark, kept.main
        told = self._beat.told
        main = await self._rendered(page, request, viewer, key[0])
        self._kept.pop(key, None)
        kept = self._kept[key] = _Kept(turns, told, age, main)
        if len(self._kept) > _KEPT:
            del self._kept[next(iter(self._kept))]
        return kept.mark, main

    async def _rendered(self, page: Page, request: Request, viewer: Viewer, url: str) -> str:
        asked = self._wanted(request, viewer)
        model = await self._loaded(page, asked)
        await asked.breath.draw()
        return await self._renderer.main(page, model, asked, url)

    def _wanted(self, request: Request, viewer: Viewer) -> Asked:
        query = Query(request.query_params)
        return Asked(query, viewer, Breath(self._breathing), _name(request))

    async def _loaded(self, page: Page, asked: Asked) -> Any:
        """What a page shows; turns that are due come first."""
        await asked.breath.draw()
        await self._subject.recent.catch_up(self._subject.state, asked.breath)
        return await page.load(self._subject, asked)

    def _stands(self, kept: "_Kept", turns: int, age: int, *, fragment: bool) -> bool:
        """Whether what was made may be shown again.

        Also when turns were taken since, if all who look will be told of those: but not to somebody who has
        just asked for something, and is shown the whole page.
        """
        if kept.age != age:
            return False
        told = fragment and self._beat.is_heard and kept.told == self._beat.told
        return told or kept.turns == turns

    def _told(self, page: Page) -> _Handler:
        async def tell(request: Request) -> Response:
            viewer = self._sessions.viewer(request)
            model = await self._loaded(page, self._wanted(request, viewer))
            return JSONResponse(page.told(model), headers={"cache-control": "no-store"})

        return tell

    async def _events(self, request: Request) -> Response:
        self._sessions.viewer(request)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        messages = self._beat.stream()
        return StreamingResponse(messages, media_type="text/event-stream", headers=headers)

    async def _static(self, request: Request) -> Response:
        asset = self._assets.get(request.path_params["name"])
        if asset is None:
            return Response("no such file", HTTPStatus.NOT_FOUND, media_type="text/plain")
        headers = {"cache-control": "public, max-age=31536000, immutable"}
        return Response(asset.content, media_type=asset.media_type, headers=headers)

    # ---- actions ---------------------------------------------------------------------------------

    def _asked(self, action: Action) -> _Handler:
        async def ask(request: Request) -> Response:
            viewer = self._sessions.viewer(request)
            question = action.ask(self._subject, _name(request), viewer)
            seal = self._sessions.seal(request)
            html = self._renderer.alone("question.html", question=question, seal=seal)
            return HTMLResponse(html, headers={"cache-control": "no-store"})

        return ask

    def _done(self, action: Action) -> _Handler:
        async def do(request: Request) -> Response:
            viewer = self._sessions.viewer(request)
            form = await _form(request)
            self._sessions.check_wish(request, form.get("seal", ""))
            question = action.ask(self._subject, _name(request), viewer)
            await action.do(self._subject, _name(request), viewer, form)
            _log.info("%s: %s", viewer.user or "somebody here", question.title)
            return RedirectResponse(question.back, HTTPStatus.SEE_OTHER)

        return do

    async def _run_file(self, request: Request) -> Response:
        """A file of a finished simulation; its scripts can reach nothing of this dashboard."""
        self._sessions.viewer(request)
        name, file = request.path_params["name"], request.path_params["file"]
        path = await asyncio.to_thread(file_of, self._subject.runs, name, file)
        if path is None:
            raise Refusal(HTTPStatus.NOT_FOUND, f"there is no file {file!r} of a run {name!r}")
        if file != REPORT:
            return FileResponse(path, filename=f"{name}-{file}")
        headers = {"content-security-policy": REPORT_POLICY, "x-frame-options": "SAMEORIGIN"}
        return FileResponse(path, media_type="text/html", headers=headers)

    # ---- who looks -------------------------------------------------------------------------------

    async def _ask_token(self, request: Request) -> Response:
        del request
        return self._token_form("")

    def _token_form(self, trouble: str) -> Response:
        status = HTTPStatus.UNAUTHORIZED if trouble else HTTPStatus.OK
        return HTMLResponse(self._renderer.alone("sign_in.html", trouble=trouble), status)

    async def _sign_in(self, request: Request) -> Response:
        self._sessions.check_origin(request)
        form = await _form(request)
        answer = RedirectResponse(_local(request.query_params.get("to", "/")), HTTPStatus.SEE_OTHER)
        try:
            self._sessions.sign_in(
                form.get("token", "").strip(), answer, secure=request.url.scheme == "https"
            )
        except Refusal as refusal:
            return self._token_form(str(refusal))
        return answer

    async def _sign_out(self, request: Request) -> Response:
        self._sessions.check_wish(request, (await _form(request)).get("seal", ""))
        answer = RedirectResponse("/sign-in", HTTPStatus.SEE_OTHER)
        self._sessions.sign_out(answer)
        return answer

    def _told_no(
        self, request: Request, refusal: Refusal, word: str, links: Sequence[_Link]
    ) -> Response:
        """A refusal as a page, as the rest of a page that was live, or to programs as JSON."""
        is_page = _wants_page(request)
        if not is_page and "hx-request" not in request.headers:
            return _refused(refusal)
        template = "refused.html" if is_page else "over.html"
        html = self._renderer.alone(template, refusal=refusal, word=word, links=links)
        return HTMLResponse(html, refusal.status)

    def _guarded(self, handle: _Handler) -> _Handler:
        """The same, with refusals told as pages, or to programs as JSON."""

        async def answer(request: Request) -> Response:
            try:
                self._sessions.check_host(request)
                return await handle(request)
            except NotSignedIn as refusal:
                if _wants_page(request):
                    return RedirectResponse(_sign_in_for(request), HTTPStatus.SEE_OTHER)
                link = _Link(_sign_in_for(request), "Sign in again")
                return self._told_no(request, refusal, "signed out", [link])
            except Refusal as refusal:
                return self._told_no(request, refusal, "over", list(_elsewhere(request, refusal)))

        return answer


def _elsewhere(request: Request, refusal: Refusal) -> Iterator[_Link]:
    """What is forgotten by the controller may be told of by its journal."""
    _, kind, name = [*request.url.path.split("/", 2), "", ""][:3]
    if refusal.status is HTTPStatus.NOT_FOUND and kind in _WITH_EVENTS and name:
        yield _Link(f"/timeline/{kind.removesuffix('s')}/{quote(name)}", "What happened to it")
    yield _Link("/", "To the overview")


def _sign_in_for(request: Request) -> str:
    """The form that leads back to what was asked for."""
    asked = request.url.path + (request.url.query and f"?{request.url.query}")
    return f"/sign-in?to={quote(asked)}"


async def _unknown(request: Request) -> Response:
    raise Refusal(HTTPStatus.NOT_FOUND, f"there is no page {request.url.path}")


def _name(request: Request) -> str:
    return str(request.path_params.get("name", ""))


def _wants_page(request: Request) -> bool:
    return (
        not request.url.path.startswith("/api/")
        and request.url.path != "/events"
        and ("hx-request" not in request.headers)
    )


def _refused(refusal: Refusal) -> Response:
    told = {"schema": "iris/v1", "kind": "Error", "message": str(refusal)}
    return JSONResponse(told, refusal.status)


def _local(target: str) -> str:
    """Where to go after a sign-in: a page of this dashboard, whatever the address says."""
    return target if target.startswith("/") and target[1:2] not in {"/", "\\"} else "/"


async def _form(request: Request) -> dict[str, str]:
    """The fields of a small form, each once.

    Raises:
        Refusal: it is too large, or has too many fields.
    """
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _MOST_FORM_BYTES:
            message = f"a form of more than {_MOST_FORM_BYTES} bytes is none of this dashboard"
            raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)
    try:
        fields = parse_qs(body.decode(errors="replace"), max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        message = f"a form of more than {_MOST_FIELDS} fields is none of this dashboard"
        raise Refusal(HTTPStatus.BAD_REQUEST, message) from error
    return {name: values[-1] for name, values in fields.items()}


class _Headers:
    """Gives every answer the headers that keep a browser from doing what no page of ours needs."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, sent)
