"""A small HTTP server on loopback that speaks vLLM's chat completions, for tests of the client."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Self

import uvicorn

Answer = Callable[[dict[str, Any]], tuple[int, Any]]


def answer(text: str, tokens: list[dict[str, Any]] | None = None, **choice: Any) -> dict[str, Any]:
    """A body as vLLM 0.32 sends it."""
    content = tokens or [{"token": c, "logprob": -0.5, "bytes": list(c.encode())} for c in text]
    return {
        "model": "v-1",
        "choices": [
            {
                "message": {"role": "assistant", "content": text},
                "logprobs": {"content": content},
                "finish_reason": "stop",
            }
            | choice
        ],
        "usage": {"prompt_tokens": 7, "completion_tokens": len(content)},
        "metrics": {"queue_time_ms": 2.0, "time_to_first_token_ms": 30.0},
    }


class FakeVllm:
    """One server; use as an async context manager.

    Args:
        model: the name that it serves.
        port: a port to listen on; 0 takes a free one.
    """

    def __init__(self, model: str = "v-1", port: int = 0) -> None:
        self.model = model
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[bytes, bytes]] = []
        self.respond: Answer = lambda _request: (200, answer("ok"))
        self.hold = asyncio.Event()
        self.hold.set()
        self.healthy = True
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        self.port = int(self._socket.getsockname()[1])
        self.address = f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        config = uvicorn.Config(
            self._app, log_config=None, lifespan="off", ws="none", interface="asgi3"
        )
        self._server = uvicorn.Server(config)
        self._task = asyncio.create_task(self._server._serve([self._socket]))
        while not self._server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.005)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.die()

    async def die(self) -> None:
        """Breaks every connection and stops listening."""
        if not self._task.done():
            self._server.should_exit = self._server.force_exit = True
            for connection in list(self._server.server_state.connections):
                connection.transport.abort()
            self.hold.set()
            await self._task
        self._socket.close()

    async def _app(
        self,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[dict[str, Any]]],
        send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        body = b""
        more = True
        while more:
            event = await receive()
            body, more = body + event.get("body", b""), event.get("more_body", False)
        status, reply = 200, b""
        if scope["path"] == "/v1/models":
            reply = json.dumps({"data": [{"id": self.model}]}).encode()
        elif scope["path"] == "/metrics":
            reply = b"# HELP vllm:n Count.\n# TYPE vllm:n counter\nvllm:n_total 1.0\n"
        elif scope["path"] == "/health":
            status = 200 if self.healthy else 503
        else:
            self.requests.append(json.loads(body))
            self.headers.append(dict(scope["headers"]))
            await self.hold.wait()
            status, value = self.respond(self.requests[-1])
            reply = json.dumps(value).encode()
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": reply})
