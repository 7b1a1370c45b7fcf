"""Templates, assets, and how a page answers: its headers, its errors, its way to the sign-in."""

import hashlib
import json
import mimetypes
from collections.abc import Callable, Coroutine
from functools import lru_cache
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from api.auth import Caller
from api.errors import Unauthenticated
from api.pages.cookies import csrf_token, session_token
from api.pages.words import FILTERS
from api.problems import log_problem, problem_of
from db.tables import Scope
from extraction.errors import DocloopError

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "content-security-policy": CSP,
    # Our own pages may see where a form came from; other sites never do.
    "referrer-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
_STATIC = files("api.pages") / "static"


def page(request: Request, template: str, caller: Caller | None = None, **facts: Any) -> Response:
    """A template as a response.

    Args:
        request: what is answered.
        template: a file of `templates/`.
        caller: who is signed in; None on the page where one does.
        facts: for the template.
    """
    token = session_token(request)
    status = int(facts.pop("status", 200))
    text = (
        environment()
        .get_template(template)
        .render(
            caller=caller,
            reviewer="" if caller is None else caller.reviewer,
            may=_may(caller),
            csrf=csrf_token(token) if token and caller is not None else "",
            path=request.url.path,
            draft_owner="" if caller is None else str(caller.key_id)[-12:],
            **facts,
        )
    )
    return HTMLResponse(text, status, headers=_HEADERS)


def as_json(value: Any) -> Markup:
    """JSON for a `<script type="application/json">`, which nothing in it can end."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - escaped above


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The templates, read once."""
    made = Environment(
        loader=PackageLoader("api.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {**FILTERS, "as_json": as_json}
    made.globals["asset"] = asset_url
    return made


class PageRoute(APIRoute):
    """A route whose errors are pages, and that leads to the sign-in whoever has no session."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See `APIRoute`."""
        answer = super().get_route_handler()

        async def handler(request: Request) -> Response:
            if "text/html" not in request.headers.get("accept", ""):
                return await answer(request)  # a script's, which reads problem documents
            try:
                return await answer(request)
            except Unauthenticated:
                place = request.url.path
                if request.url.query:
                    place += f"?{request.url.query}"
                back = "" if place == "/" else f"?next={quote(place, safe='/')}"
                return RedirectResponse(f"/login{back}", 303)
            except DocloopError as error:
                problem = problem_of(error)
                log_problem(problem, error)
                return page(request, "error.html", status=problem.status, problem=problem.body)

        return handler


def asset_url(name: str) -> str:
    """Where a static file is; its address changes with what is in any of them."""
    return f"/assets/{assets_version()}/{name}"


def asset(name: str) -> Response | None:
    """A static file; None where there is none of this name."""
    content = _contents().get(name)
    if content is None:
        return None
    kind = {"woff2": "font/woff2", "js": "text/javascript"}.get(name.rpartition(".")[2])
    kind = kind or mimetypes.guess_type(name)[0] or "application/octet-stream"
    headers = {"cache-control": "public, max-age=31536000, immutable"}
    return Response(content, media_type=kind, headers=headers)


@lru_cache(maxsize=1)
def assets_version() -> str:
    """A hash of all static files."""
    digest = hashlib.sha256()
    for name, content in sorted(_contents().items()):
        digest.update(name.encode() + b"\0" + content)
    return digest.hexdigest()[:12]


@lru_cache(maxsize=1)
def _contents() -> dict[str, bytes]:
    return {entry.name: entry.read_bytes() for entry in _STATIC.iterdir() if entry.is_file()}


def _may(caller: Caller | None) -> dict[str, bool]:
    """What the templates ask before they show a button; the server asks again."""
    scopes = frozenset[Scope]() if caller is None else caller.scopes
    return {str(scope): scope in scopes for scope in Scope}
