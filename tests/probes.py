"""What a hostile test looks through: peak memory, a real server on loopback, problem documents."""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from sqlalchemy import func, select

from tests.factories_api import Serving

PROBLEM = "application/problem+json"


class Growth:
    """How far this process's memory went above where it began; in bytes."""

    def __init__(self) -> None:
        self.bytes = 0


@contextmanager
def memory() -> Iterator[Growth]:
    """Peak resident memory of this process inside the block (proc(5): clear_refs 5 resets it)."""
    Path("/proc/self/clear_refs").write_text("5")
    before, growth = _status("VmRSS"), Growth()
    try:
        yield growth
    finally:
        growth.bytes = max(_status("VmHWM") - before, 0)


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


async def count_rows(up: Serving, table: type) -> int:
    """How many rows a table has, all tenants'."""
    async with up.sessions.begin() as session:
        return int(await session.scalar(select(func.count()).select_from(table)) or 0)


def problem_in(response: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    """The problem document of a response, which is complete and says what to change."""
    assert response.status_code == status, (response.status_code, response.text[:500])
    assert response.headers["content-type"] == PROBLEM
    body: dict[str, Any] = response.json()
    assert body["type"] == f"/problems/{slug}", body
    assert body["status"] == status
    assert body["title"]
    assert len(body["detail"].split()) > 3, body["detail"]
    assert body["request_id"] == response.headers["x-request-id"]
    return body


@dataclass(frozen=True)
class Reply:
    """What came back over a plain socket."""

    status: int
    head: str
    body: bytes


@dataclass(frozen=True)
class Loopback:
    """A server that really listens."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def send(self, *parts: bytes, seconds: float = 30.0) -> Reply:
        """Bytes as they are; ends when the server has answered, whether it read them all or not."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            async with asyncio.timeout(seconds):
                try:
                    for part in parts:
                        writer.write(part)
                        await writer.drain()
                except ConnectionError:
                    pass  # it has answered, and reads no more
                return await _reply(reader)
        finally:
            writer.transport.abort()


async def _reply(reader: asyncio.StreamReader) -> Reply:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    length = next(
        (
            int(line.split(":")[1])
            for line in head.splitlines()
            if line.lower().startswith("content-length")
        ),
        0,
    )
    return Reply(int(head.split()[1]), head, await reader.readexactly(length))


@asynccontextmanager
async def listening(app: FastAPI) -> AsyncIterator[Loopback]:
    """The app behind uvicorn as `docloop serve` runs it; its lifespan is the caller's."""
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            app,
            http="h11",
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            proxy_headers=False,
        )
        server = uvicorn.Server(config)
        task = asyncio.create_task(server._serve([listener]))
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.005)
        try:
            yield Loopback(int(listener.getsockname()[1]))
        finally:
            server.should_exit = server.force_exit = True
            for connection in list(server.server_state.connections):
                connection.transport.abort()
            await task


@contextmanager
def serving_in_thread(app: FastAPI, seconds: float = 60.0) -> Iterator[str]:
    """The app with its lifespan on a thread's own loop, for clients that block; gives its URL."""
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, http="h11", log_config=None, access_log=False, ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            deadline = time.monotonic() + seconds
            while not server.started or httpx.get(f"{url}/readyz").status_code != 200:
                if time.monotonic() > deadline:
                    raise TimeoutError(httpx.get(f"{url}/readyz").text)
                time.sleep(0.05)
            yield url
        finally:
            server.should_exit = server.force_exit = True
            thread.join()
