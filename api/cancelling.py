"""Cancellation that holds.

Before Python 3.12, `asyncio.wait_for` forgets a cancellation that comes in the moment in which it
is done, and psycopg waits for the database with it. A loop that is cancelled right then would go on
for ever, and with it the end of the service; asking the task itself cannot be forgotten.
"""

import asyncio


def check_cancelled() -> None:
    """Raise where this task was told to end, even if the exception got lost on its way.

    Raises:
        asyncio.CancelledError: it was.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def cancel_until_done(task: asyncio.Task[None], every_seconds: float) -> None:
    """Cancel a task, and once more each time that it has not ended by then."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=every_seconds)
