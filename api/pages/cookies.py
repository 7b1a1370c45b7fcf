"""The session of a browser, and why no other site can ride on it.

The cookie is HttpOnly and SameSite=Strict, so that a browser sends it with nothing that another
site begins. What changes anything has to carry a token beside it, which only our own pages know:
the SHA-256 of the cookie's value under a prefix. `Sec-Fetch-Site` and `Origin` are believed where a
browser sends them. A request with a bearer key needs none of this and never looks at the cookie.
"""

import hashlib
import hmac
from datetime import timedelta
from urllib.parse import urlsplit

from fastapi import Request, Response

from api.dependencies import Services
from api.errors import CrossSite
from db.queries.page_sessions import LIFETIME, SignedIn, find_signed_in

COOKIE = "docloop_session"
CSRF_HEADER = "x-csrf-token"
_LONGEST_TOKEN = 128
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN = frozenset({"same-origin", "none"})


def csrf_token(token: str) -> str:
    """What a page sends beside its cookie with every change."""
    return hashlib.sha256(f"docloop-csrf:{token}".encode()).hexdigest()


def session_token(request: Request) -> str:
    """The cookie's value; empty where there is none that could be ours."""
    token = request.cookies.get(COOKIE, "")
    return token if len(token) <= _LONGEST_TOKEN and token.isascii() else ""


async def find_by_cookie(request: Request, services: Services) -> SignedIn | None:
    """The session that a request rides on; None where it has none in force.

    Raises:
        CrossSite: it would change something and is not from one of our pages.
        DatabaseUnavailable: sessions cannot be looked up now.
    """
    token = session_token(request)
    if not token:
        return None
    if request.method not in _SAFE:
        given = request.headers.get(CSRF_HEADER, "")
        # As bytes: `compare_digest` refuses text that is not ASCII.
        same = hmac.compare_digest(given.encode(), csrf_token(token).encode())
        if not same or not is_same_origin(request):
            raise CrossSite
    async with services.sessions() as session:
        await session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
        return await find_signed_in(session, token)


def is_same_origin(request: Request) -> bool:
    """Whether the browser says nothing else than that one of our own pages sent this."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in _OWN  # the browser's own word; a proxy may have changed Host
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


def set_cookie(request: Request, response: Response, token: str) -> None:
    """Give the browser its session; over HTTPS it is never sent without."""
    _write(request, response, token, LIFETIME)


def clear_cookie(request: Request, response: Response) -> None:
    """Take the browser's session, and the page images that it keeps."""
    _write(request, response, "", timedelta(0))
    response.headers["clear-site-data"] = '"cache"'


def _write(request: Request, response: Response, token: str, lifetime: timedelta) -> None:
    response.set_cookie(
        COOKIE,
        token,
        max_age=int(lifetime.total_seconds()),
        path="/",
        httponly=True,
        samesite="strict",
        # A proxy that ends TLS says so; who forges it hides the cookie from plain HTTP, no more.
        secure="https" in {request.url.scheme, request.headers.get("x-forwarded-proto")},
    )
