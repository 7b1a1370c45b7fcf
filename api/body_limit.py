"""How many bytes of a request are read at most, whatever its headers say.

The limit holds while the body streams in: a body without Content-Length, or with a false one, is
cut at the same byte. FastAPI turns any error while it reads a body into a 400 of its own, so the
answer is replaced on its way out.
"""

import asyncio
import contextlib
from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import RequestTooLarge
from api.problems import problem_of

_STATE_KEY = "body_limit"
# Multipart borders, headers and the small form fields beside the file.
ENVELOPE_BYTES = 65_536
# A connection that is closed on unread bytes is reset, and the answer is lost with it.
_LINGER_SECONDS = 2.0
_LINGER_BYTES = 64_000_000
_LONGEST_NUMBER = 20  # digits of a Content-Length that means something


def upload_limit(document_bytes: int) -> int:
    """Most bytes of a body that carries a document of that size, as base64 in JSON at the worst."""
    return -(-document_bytes // 3) * 4 + ENVELOPE_BYTES


def narrow_body_limit(scope: Scope, document_bytes: int) -> None:
    """Lowers this request's limit to a key's own; call it before the body is read."""
    limit = scope.get("state", {}).get(_STATE_KEY)
    if isinstance(limit, _Limit):
        limit.bytes = min(limit.bytes, upload_limit(document_bytes))


class _Limit:
    """The limit of one request, and whether it was exceeded."""

    def __init__(self, limit_bytes: int) -> None:
        self.bytes = limit_bytes
        self.exceeded = False
        self.more_comes = True


class BodyLimit:
    """ASGI middleware: 413 for a body with too many bytes.

    Args:
        app: the next one.
        default: most bytes of a body.
        by_path: other limits of some paths.
    """

    def __init__(self, app: ASGIApp, *, default: int, by_path: Mapping[str, int]) -> None:
        self._app = app
        self._default = default
        self._by_path = dict(by_path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; anything else passes."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = _Limit(self._by_path.get(scope["path"], self._default))
        scope.setdefault("state", {})[_STATE_KEY] = limit
        declared = _declared_bytes(scope)
        read_bytes = 0
        started = replaced = False

        async def limited_receive() -> Message:
            nonlocal read_bytes
            message = await receive() if declared is None or declared <= limit.bytes else {}
            limit.more_comes = bool(message.get("more_body", not message))
            read_bytes += len(message.get("body", b""))
            if not message or read_bytes > limit.bytes:
                limit.exceeded = True
                raise RequestTooLarge(limit.bytes)
            return message

        async def replacing_send(message: Message) -> None:
            nonlocal started, replaced
            if replaced:
                return
            if limit.exceeded and not started:
                replaced = True
                await _refuse(limit, receive, send)
                return
            started = True
            await send(message)

        await self._app(scope, limited_receive, replacing_send)


async def _refuse(limit: _Limit, receive: Receive, send: Send) -> None:
    """Answers, then lets go by what still comes, a while, so that the answer arrives."""
    problem = problem_of(RequestTooLarge(limit.bytes))
    # Not all of the body is read, so the connection is of no more use.
    problem.headers["connection"] = "close"
    response = problem.response()
    start = {"type": "http.response.start", "status": problem.status}
    await send({**start, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    dropped_bytes = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_SECONDS):
            while limit.more_comes and dropped_bytes < _LINGER_BYTES:
                message = await receive()
                dropped_bytes += len(message.get("body", b""))
                limit.more_comes = bool(message.get("more_body", False))
    await send({"type": "http.response.body", "body": b""})


def _declared_bytes(scope: Scope) -> int | None:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and len(value) < _LONGEST_NUMBER:
            return int(value)
    return None
