"""A real engine for tests: started, waited for, stopped."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from api.engine.local import LocalEngine
from api.engine.options import LocalOptions
from extraction.engine import EngineStatus


@asynccontextmanager
async def serving(options: LocalOptions, most_seconds: float) -> AsyncIterator[LocalEngine]:
    """The engine once it is ready; fails with the server's words where it gives up."""
    engine = LocalEngine(options)
    await engine.start()
    async with asyncio.timeout(most_seconds):
        while not engine.state().ready:
            assert engine.state().status is EngineStatus.STARTING, engine.last_lines
            await asyncio.sleep(0.1)
    yield engine
    await engine.stop()
