"""Who may use the engine now, who waits, and who is sent away, so that nothing dies slowly.

At most `max_concurrency` extractions run, at most `queue_size` requests wait for one to end, in the
order in which they came, and nobody waits longer than `queue_wait_seconds`. What all of them hold
in memory, files and decoded pages, stays below `most_bytes`.
"""

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.requests import Request

from api.errors import ClientGone, QueueFull, QueueTimeout

T = TypeVar("T")
_REMEMBERED = 32
_FIRST_GUESS_SECONDS = 5.0
_LONGEST_RETRY_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Place:
    """A place among the running ones; `waited_seconds` is what it took to get it."""

    waited_seconds: float


class Admission:
    """The bounded queue before the engine; for one event loop.

    Args:
        max_concurrency: how many run.
        queue_size: how many wait; 0 turns away all who cannot run at once.
        queue_wait_seconds: how long one waits.
        most_bytes: how much the documents of all may take.
    """

    def __init__(
        self,
        *,
        max_concurrency: int,
        queue_size: int,
        queue_wait_seconds: float,
        most_bytes: int,
    ) -> None:
        self._max_concurrency = max_concurrency
        self._queue_size = queue_size
        self._queue_wait_seconds = queue_wait_seconds
        self._most_bytes = most_bytes
        self._held_bytes = 0
        self._running = 0
        self._waiting = 0  # of those who count against `queue_size`
        self._turns: deque[asyncio.Future[None]] = deque()
        self._recent: deque[float] = deque(maxlen=_REMEMBERED)

    @property
    def running(self) -> int:
        """How many have a place."""
        return self._running

    @property
    def waiting(self) -> int:
        """How many wait for one, background work included."""
        return len(self._turns)

    @contextlib.contextmanager
    def hold(self, size_bytes: int) -> Iterator[None]:
        """Room for a document's bytes, as sent or decoded, until the block ends.

        A document finds room where nothing else is held, however large it is.

        Raises:
            QueueFull: others hold too much.
        """
        if self._held_bytes and self._held_bytes + size_bytes > self._most_bytes:
            raise QueueFull(len(self._turns), self.retry_after_seconds())
        self._held_bytes += size_bytes
        try:
            yield
        finally:
            self._held_bytes -= size_bytes

    @contextlib.asynccontextmanager
    async def place(self, *, patient: bool = False) -> AsyncIterator[Place]:
        """A place for one extraction; freed however the block ends, cancellation included.

        Args:
            patient: work that nobody waits for: it stands in the same line, has no deadline, and
                does not count against `queue_size`.

        Raises:
            QueueFull: too many wait.
            QueueTimeout: the turn did not come in time.
        """
        arrived = time.monotonic()
        await self._enter(patient=patient)
        began = time.monotonic()
        try:
            yield Place(began - arrived)
        except BaseException:
            self._leave()
            raise
        else:
            # What failed or was given up says nothing about how long an answer takes.
            self._recent.append(time.monotonic() - began)
            self._leave()

    def retry_after_seconds(self) -> int:
        """When there should be room: those before one, at the recent pace; 1 to 120."""
        mean = sum(self._recent) / len(self._recent) if self._recent else _FIRST_GUESS_SECONDS
        expected = (len(self._turns) + 1) * mean / self._max_concurrency
        return min(_LONGEST_RETRY_SECONDS, max(1, math.ceil(expected)))

    async def _enter(self, *, patient: bool) -> None:
        if self._running < self._max_concurrency and not self._turns:
            self._running += 1
            return
        if not patient and self._waiting >= self._queue_size:
            raise QueueFull(self._waiting, self.retry_after_seconds())
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns.append(turn)
        self._waiting += not patient
        try:
            async with asyncio.timeout(None if patient else self._queue_wait_seconds):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                # The turn came in the moment of giving up; the next one gets it.
                self._leave()
            else:
                self._turns.remove(turn)
            if isinstance(error, TimeoutError):
                raise QueueTimeout(self._queue_wait_seconds, self.retry_after_seconds()) from None
            raise
        finally:
            self._waiting -= not patient

    def _leave(self) -> None:
        """Hands the place to the next one in line."""
        while self._turns:
            turn = self._turns.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._running -= 1


async def until_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled when the client hangs up.

    Call it when the body has been read: it listens for what the server says next.

    Raises:
        ClientGone: the client hung up first.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnect(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientGone
    finally:
        gone.cancel()
        if not task.done():
            task.cancel()
        # Both end before we do: a cancelled task still frees its place and its session.
        await asyncio.gather(task, gone, return_exceptions=True)


async def _disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
