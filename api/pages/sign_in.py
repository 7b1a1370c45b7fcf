"""Signing in with an API key, and out again."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from api.dependencies import ServicesDep
from api.errors import CrossSite, InvalidRequest
from api.pages.cookies import (
    clear_cookie,
    find_by_cookie,
    is_same_origin,
    session_token,
    set_cookie,
)
from api.pages.rendering import PageRoute, page
from api.schemas import LONGEST_NAME
from db.queries.audit import record_event
from db.queries.keys import authenticate
from db.queries.page_sessions import begin_session, end_session
from db.types import clean_text

router = APIRouter(route_class=PageRoute)

_LONGEST_KEY = 512


@router.get("/login")
async def show(request: Request, next: str = "/") -> Response:  # noqa: A002 - the query's name
    """The form."""
    return page(request, "login.html", next=own_path(next), wrong=False, name="")


@router.post("/login")
async def sign_in(request: Request, services: ServicesDep) -> Response:
    """A session for whoever shows a key that is in force."""
    form = await _form(request)
    key = str(form.get("key", "")).strip()
    name = clean_text(str(form.get("name", "")).strip())[:LONGEST_NAME]
    target = own_path(str(form.get("next", "/")))
    async with services.sessions.begin() as session:
        found = await authenticate(session, key) if 0 < len(key) <= _LONGEST_KEY else None
        if found is None:
            facts: dict[str, Any] = {"next": target, "wrong": True, "name": name, "status": 401}
            return page(request, "login.html", **facts)
        services.limiter.take(found.id, found.requests_per_minute)
        old = session_token(request)
        if old:
            await end_session(session, old)
        begun = await begin_session(session, found, name or found.name or found.prefix)
        await record_event(
            session,
            found.tenant_id,
            actor=f"key:{found.prefix}",
            action="pages.sign-in",
            subject=str(begun.row.id),
        )
    response = RedirectResponse(target, 303)
    set_cookie(request, response, begun.token)
    return response


@router.get("/session")
async def who(request: Request, services: ServicesDep) -> Response:
    """Who is signed in here, null for nobody; a link from another site comes without its cookie."""
    found = await find_by_cookie(request, services)
    return JSONResponse({"reviewer": None if found is None else found.session.reviewer})


@router.post("/logout")
async def sign_out(request: Request, services: ServicesDep) -> Response:
    """The session ends, and the browser forgets its page images."""
    if not is_same_origin(request):
        raise CrossSite
    token = session_token(request)
    if token:
        async with services.sessions.begin() as session:
            await end_session(session, token)
    response = RedirectResponse("/login", 303)
    clear_cookie(request, response)
    return response


def own_path(given: str) -> str:
    """A path of this service, whatever a link asks for; never another host."""
    plain = given.isascii() and given.isprintable() and "\\" not in given
    return given if plain and given.startswith("/") and not given.startswith("//") else "/"


async def _form(request: Request) -> dict[str, Any]:
    if not is_same_origin(request):
        raise CrossSite
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise InvalidRequest({"Content-Type": "send the form of GET /login"})
    async with request.form(max_fields=10) as form:
        return dict(form)
