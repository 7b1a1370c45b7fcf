"""What happens around each request: its id, its access line, its count, its headers, worst case.

One plain ASGI layer, outermost but for Starlette's own. It logs the route's template, never the
path or the query string, and it answers an exception that nobody expected, so that no message of
one reaches a caller or the server's log.
"""

import time
from typing import Any

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.logs import is_sane_id
from api.metrics import Metrics
from api.problems import log_problem, problem_of
from api.telemetry import RequestSpan, Telemetry
from db.types import uuid7

UNMATCHED = "unmatched"
HEADER = "x-request-id"
SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    # An answer holds a document's fields; no cache between us and the caller keeps it.
    "cache-control": "no-store",
}
_NO_RESPONSE = 499
_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})

logger = structlog.get_logger(__name__)


class Trace:
    """ASGI middleware around everything.

    Args:
        app: the next one.
        metrics: where requests are counted.
        telemetry: where they are traced; nowhere where None.
    """

    def __init__(
        self, app: ASGIApp, *, metrics: Metrics, telemetry: Telemetry | None = None
    ) -> None:
        self._app = app
        self._silent = Telemetry(None, version="")
        self._telemetry = telemetry or self._silent
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; anything else passes."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        identity = _identity(scope)
        status = _NO_RESPONSE
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=identity)

        async def dressed_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[HEADER] = identity
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        traced = self._silent if scope["path"] in _QUIET else self._telemetry
        with traced.request(self._metrics.method(scope["method"]), scope["headers"]) as span:
            try:
                await self._app(scope, receive, dressed_send)
            except Exception as error:  # noqa: BLE001 - the last one who can answer
                problem = problem_of(error)
                log_problem(problem, error)
                if status == _NO_RESPONSE:
                    await problem.response()(scope, receive, dressed_send)
            finally:
                self._close(scope, status, time.perf_counter() - began, span, identity)
                structlog.contextvars.clear_contextvars()

    def _close(
        self, scope: Scope, status: int, seconds: float, span: RequestSpan, identity: str
    ) -> None:
        """The access line, the count and the span."""
        route = route_template(scope)
        method = self._metrics.method(scope["method"])
        span.close(method=method, route=route, status=status, request_id=identity)
        self._metrics.count_request(scope["method"], route, status, seconds)
        log = logger.debug if route in _QUIET else logger.info
        log(
            "request",
            method=method,
            route=route,
            status=status,
            duration_seconds=round(seconds, 4),
        )


def route_template(scope: Scope) -> str:
    """The route as it was declared, "/predictions/{prediction_id}"; one word for all others."""
    route: Any = scope.get("route")
    path = getattr(route, "path_format", None) or getattr(route, "path", None)
    return path if isinstance(path, str) else UNMATCHED


def _identity(scope: Scope) -> str:
    """The caller's request id where it is a sane token, else a new one that sorts by time."""
    for name, value in scope["headers"]:
        if name == HEADER.encode():
            given: str = value.decode("latin-1")
            if is_sane_id(given):
                return given
    return str(uuid7())
