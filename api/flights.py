"""What this process is computing now, so that others who ask for the same wait for it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, TypeVar
from uuid import UUID

from db.tables import Prediction

T = TypeVar("T")
_END_SECONDS = 20.0
_STEP_SECONDS = 0.2
Flight = asyncio.Task[Prediction | None]
"""One computation; its result is the finished row, or None where it was erased meanwhile."""


class Flights:
    """The computations under way, by prediction, and the keys that are being looked up."""

    def __init__(self) -> None:
        self._flights: dict[UUID, Flight] = {}
        self._held: set[UUID] = set()
        self._turns: dict[tuple[UUID, str], asyncio.Lock] = {}
        self._outliving: set[asyncio.Task[Any]] = set()

    @contextlib.contextmanager
    def holding(self, prediction_id: UUID) -> Iterator[None]:
        """Ours, although it is not computed yet; from before its row can be seen by anybody."""
        self._held.add(prediction_id)
        try:
            yield
        finally:
            self._held.discard(prediction_id)

    def holds(self, prediction_id: UUID) -> bool:
        """Whether this process computes it or is about to."""
        return prediction_id in self._held or prediction_id in self._flights

    async def outlive(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, which goes on to its end when the one who asked is cancelled."""
        task = asyncio.create_task(work)
        self._outliving.add(task)  # the loop alone would not keep it
        task.add_done_callback(self._outliving.discard)
        return await asyncio.shield(task)

    def begin(self, prediction_id: UUID, work: Coroutine[Any, Any, Prediction | None]) -> Flight:
        """Compute in a task of its own, which goes on when the one who asked hangs up."""
        flight = asyncio.create_task(work, name=f"prediction {prediction_id}")
        self._flights[prediction_id] = flight
        flight.add_done_callback(lambda _: self._land(prediction_id, flight))
        return flight

    def find(self, prediction_id: UUID) -> Flight | None:
        """The computation of a prediction; None where this process has none."""
        return self._flights.get(prediction_id)

    @contextlib.asynccontextmanager
    async def turn(self, tenant_id: UUID, key: str | None) -> AsyncIterator[None]:
        """One at a time among those with the same idempotency key; at once where there is none.

        The database alone would keep them apart as well, but each of them would first have decoded
        the document and taken a connection.
        """
        if key is None:
            yield
            return
        lock = self._turns.setdefault((tenant_id, key), asyncio.Lock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked() and not lock._waiters:  # noqa: SLF001
                self._turns.pop((tenant_id, key), None)

    async def end(self) -> None:
        """Cancel what is under way; each computation notes that it was interrupted.

        Requests that are being stored come to their end first, and are cancelled then.
        """
        deadline = asyncio.get_running_loop().time() + _END_SECONDS
        while pending := {*self._flights.values(), *self._outliving}:
            late = asyncio.get_running_loop().time() >= deadline
            for flight in list(self._flights.values()):
                # Once: a second time would break off the note that it was interrupted.
                if late or not flight.cancelling():
                    flight.cancel()
            await asyncio.wait(pending, timeout=_STEP_SECONDS)
            if late:
                return

    def _land(self, prediction_id: UUID, flight: Flight) -> None:
        if self._flights.get(prediction_id) is flight:
            del self._flights[prediction_id]
        if not flight.cancelled():
            flight.exception()  # seen, so that nobody is told of it a second time
