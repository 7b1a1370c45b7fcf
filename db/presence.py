"""Which processes of the service live: each holds an advisory lock for as long as it does.

PostgreSQL frees a session's locks when its connection ends, however the process ended, so that a
killed process is known as gone at once and no clock is compared. A process whose database was
restarted takes its lock again; until then it may look gone, which costs at most a repeated answer.
"""

import asyncio
import contextlib
import logging
import secrets

import psycopg
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

_PING_SECONDS = 2.0
_ANSWER_SECONDS = 5.0
# Locks of blobs are positive numbers (`db.queries.blobs`), so these are negative.
_NUMBERS = 1 << 62

logger = logging.getLogger(__name__)


class Presence:
    """The lock of this process.

    Attributes:
        number: names this process among those that share the database; drawn at its start.
    """

    def __init__(self) -> None:
        self.number = -1 - secrets.randbelow(_NUMBERS)
        self._connection: psycopg.AsyncConnection | None = None
        self._watch: asyncio.Task[None] | None = None

    async def start(self, url: str) -> None:
        """Take the lock and keep it; does nothing where it is kept already.

        Args:
            url: libpq's address of the database.

        Raises:
            psycopg.OperationalError: the database does not answer.
        """
        if self._watch is not None:
            return
        try:
            await self._take(url)
        except BaseException:
            await self._drop()
            raise
        self._watch = asyncio.create_task(self._keep(url), name="presence")

    async def stop(self) -> None:
        """Give the lock back."""
        watch, self._watch = self._watch, None
        while watch is not None and not watch.done():
            # More than once: a cancellation can get lost (see `api.cancelling`).
            watch.cancel()
            await asyncio.wait({watch}, timeout=_PING_SECONDS / 2)
        await self._drop()

    async def _take(self, url: str) -> None:
        self._connection = await psycopg.AsyncConnection.connect(
            url, autocommit=True, connect_timeout=int(_ANSWER_SECONDS), application_name="docloop"
        )
        await self._connection.execute("SELECT pg_advisory_lock(%s)", (self.number,))

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error):
                await connection.close()

    async def _keep(self, url: str) -> None:
        """Asks the connection for a sign of life, and opens a new one where there is none."""
        while True:
            await asyncio.sleep(_PING_SECONDS)
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    if self._connection is None:
                        await self._take(url)
                    else:
                        await self._connection.execute("SELECT 1")
            except (psycopg.Error, TimeoutError, OSError):
                logger.warning("the connection that shows our presence is lost; opening another")
                await self._drop()


async def is_gone(session: AsyncSession, number: int) -> bool:
    """Whether no living process has this number.

    The lock is asked for in shared mode, so that two who ask at once do not take each other for it.
    """
    query = select(func.pg_try_advisory_xact_lock_shared(number))
    return bool((await session.execute(query)).scalar())
