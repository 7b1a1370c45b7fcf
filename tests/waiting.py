"""Waiting for what has no event."""

import asyncio
from collections.abc import Callable


async def until(holds: Callable[[], bool], seconds: float) -> None:
    """Returns once it holds.

    Raises:
        TimeoutError: it did not in time.
    """
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)
