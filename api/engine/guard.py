"""Runs inside the model server: every path needs the key.

The server's own `--api-key` leaves `/pause`, `/collective_rpc` (which loads weights from any path),
`/metrics` and `/tokenize` open to everyone who reaches the port. On a machine with several users
loopback is no border, so this ASGI layer asks for the key everywhere. Imports nothing but the
standard library: it is loaded by another process.
"""

import hmac
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class RequireKey:
    """ASGI middleware: 401 for each request without `Authorization: Bearer $VLLM_API_KEY`."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._expected = f"Bearer {os.environ['VLLM_API_KEY']}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, one websocket, or the server's lifespan (which passes)."""
        if scope["type"] == "lifespan" or hmac.compare_digest(self._given(scope), self._expected):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await send({"type": "http.response.start", "status": 401, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    @staticmethod
    def _given(scope: Scope) -> bytes:
        return next((bytes(v) for k, v in scope["headers"] if k == b"authorization"), b"")
