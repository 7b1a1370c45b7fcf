"""Who asks, and what they may: bearer keys, their scopes, their limits."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

import structlog
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.body_limit import narrow_body_limit
from api.dependencies import ServicesDep
from api.errors import ForbiddenScope, Unauthenticated
from db.queries.keys import authenticate
from db.tables import Scope

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
    """

    tenant_id: UUID
    key_id: UUID
    scopes: frozenset[Scope]
    actor: str
    max_bytes: int | None = None


async def identify(
    request: Request,
    services: ServicesDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> Caller:
    """The caller of this request, counted against the key's rate.

    The key is looked up by its SHA-256, so that the time it takes tells nothing about a stored key.
    One that was in force a moment ago (`api.known_keys`) is not looked up again.

    Raises:
        Unauthenticated: no key, or one that is unknown, revoked or expired.
        RateLimited: the key asks too often.
        DatabaseUnavailable: keys cannot be looked up now.
    """
    if credentials is None or not 0 < len(credentials.credentials) <= _LONGEST_KEY:
        raise Unauthenticated
    # A transaction of its own: the route may go on for seconds, and a connection is dear.
    # Each statement commits itself: two journeys to the database fewer for every request.
    key = services.known_keys.find(credentials.credentials)
    if key is None:
        async with services.sessions() as session:
            await session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
            key = await authenticate(session, credentials.credentials)
        if key is None:
            raise Unauthenticated
        services.known_keys.remember(key)
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
    )


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
