"""Who asks, and what they may: bearer keys or a page's session, their scopes, their limits."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

import structlog
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.body_limit import narrow_body_limit
from api.dependencies import Services, ServicesDep
from api.errors import ForbiddenScope, Unauthenticated
from api.pages.cookies import find_by_cookie
from db.queries.keys import authenticate
from db.tables import ApiKey, PageSession, Scope

_LONGEST_KEY = 512

bearer = HTTPBearer(
    auto_error=False,
    scheme_name="API key",
    description="A key made with `docloop keys create`, as `Authorization: Bearer dl_...`.",
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks; known by the key alone.

    Attributes:
        tenant_id: whose documents they are.
        key_id: the key's row; unlike its text, it may be logged.
        scopes: what the key allows.
        actor: for the audit trail, as "key:dl_x7Kq2".
        max_bytes: the key's own limit of a document's size; None for the general one.
        page: the browser's session where the key was shown to the pages; None for a bearer.
    """

    tenant_id: UUID
    key_id: UUID
    scopes: frozenset[Scope]
    actor: str
    max_bytes: int | None = None
    page: PageSession | None = None

    @property
    def reviewer(self) -> str:
        """How the person at the pages calls themselves; empty for a program."""
        return "" if self.page is None else self.page.reviewer


async def identify(
    request: Request,
    services: ServicesDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> Caller:
    """The caller of this request, counted against the key's rate.

    The key is looked up by its SHA-256, so that the time it takes tells nothing about a stored key.
    One that was in force a moment ago (`api.known_keys`) is not looked up again. Without a key the
    session of the pages counts, whose requests have to come from the pages (`api.pages.cookies`).

    Raises:
        Unauthenticated: no key, or one that is unknown, revoked or expired.
        CrossSite: a session, and not from our pages.
        RateLimited: the key asks too often.
        DatabaseUnavailable: keys cannot be looked up now.
    """
    page = None
    if credentials is None:
        found = await find_by_cookie(request, services)
        if found is None:
            raise Unauthenticated
        key, page = found.key, found.session
    else:
        key = await _find_key(services, credentials.credentials)
    structlog.contextvars.bind_contextvars(tenant_id=str(key.tenant_id), key_id=str(key.id))
    services.limiter.take(key.id, key.requests_per_minute)
    if key.max_bytes is not None:
        narrow_body_limit(request.scope, key.max_bytes)
    return Caller(
        tenant_id=key.tenant_id,
        key_id=key.id,
        scopes=frozenset(Scope(scope) for scope in key.scopes),
        actor=f"key:{key.prefix}",
        max_bytes=key.max_bytes,
        page=page,
    )


async def _find_key(services: Services, secret: str) -> ApiKey:
    if not 0 < len(secret) <= _LONGEST_KEY:
        raise Unauthenticated
    # A transaction of its own: the route may go on for seconds, and a connection is dear.
    # Each statement commits itself: two journeys to the database fewer for every request.
    key = services.known_keys.find(secret)
    if key is None:
        async with services.sessions() as session:
            await session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
            key = await authenticate(session, secret)
        if key is None:
            raise Unauthenticated
        services.known_keys.remember(key)
    return key


CallerDep = Annotated[Caller, Depends(identify)]


def require(*scopes: Scope | str) -> Callable[[Caller], Awaitable[Caller]]:
    """A dependency: the caller, whose key has every one of these scopes; any key where none is."""
    needed = tuple(Scope(scope) for scope in scopes)

    async def check(caller: CallerDep) -> Caller:
        for scope in needed:
            if scope not in caller.scopes:
                raise ForbiddenScope(scope)
        return caller

    return check
