"""The demo's two clients: one sends tickets and corrects them, one never stops asking."""

import asyncio
import hashlib
import io
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import httpx
from rich.progress import Progress

from db.queries.documents import is_holdout
from extraction.document_types.receipt import RECEIPT
from extraction.scoring import RecordScore, score_record
from trainer.synth.tickets import TICKET_FIELDS, make_ticket

ASKED = RECEIPT.select(TICKET_FIELDS)
FORM = {"document_type": RECEIPT.name, "fields": ",".join(TICKET_FIELDS)}
_RETRIES = 20


@dataclass(frozen=True)
class Ticket:
    """A ticket as it is sent, with the truth.

    Attributes:
        content: the JPEG file.
        truth: values as printed.
    """

    name: str
    content: bytes
    truth: dict[str, Any]

    @property
    def holdout(self) -> bool:
        """Whether the service keeps it away from training."""
        return is_holdout(hashlib.sha256(self.content).digest())

    def score(self, answer: dict[str, Any]) -> RecordScore:
        """How right an answer of the service is."""
        return score_record(ASKED, self.truth, answer["record"])


def make_tickets(series: str, count: int) -> list[Ticket]:
    """The first `count` tickets of a series; other series have other tickets."""
    tickets = []
    for number in range(count):
        document = make_ticket(random.Random(f"{series}/{number}"))
        buffer = io.BytesIO()
        document.image.save(buffer, "JPEG", quality=92)
        tickets.append(Ticket(f"{series}-{number}.jpg", buffer.getvalue(), document.record))
    return tickets


async def ask(client: httpx.AsyncClient, ticket: Ticket) -> dict[str, Any]:
    """The prediction for a ticket; a busy service is asked again.

    Raises:
        httpx.HTTPStatusError: it answered with an error.
    """
    for _ in range(_RETRIES):
        response = await _post(client, ticket)
        if response.status_code not in {429, 503}:
            break
        await asyncio.sleep(float(response.headers.get("retry-after", "2")))
    response.raise_for_status()
    answer: dict[str, Any] = response.json()
    return answer


async def ask_all(
    client: httpx.AsyncClient, tickets: Sequence[Ticket], words: str, *, at_once: int
) -> list[dict[str, Any]]:
    """The predictions for all tickets in their order, with a progress bar."""
    slots = asyncio.Semaphore(at_once)
    with Progress() as progress:
        task = progress.add_task(words, total=len(tickets))

        async def one(ticket: Ticket) -> dict[str, Any]:
            async with slots:
                answer = await ask(client, ticket)
            progress.advance(task)
            return answer

        return await asyncio.gather(*(one(ticket) for ticket in tickets))


async def correct(client: httpx.AsyncClient, prediction_id: str, ticket: Ticket) -> None:
    """Tell the service every value of the ticket, as a person reads it.

    Raises:
        httpx.HTTPStatusError: it was not accepted.
    """
    body = {
        "prediction_id": prediction_id,
        "verdict": "corrected",
        "record": ticket.truth,
        "reviewer": "demo",
    }
    (await client.post("/feedback", json=body)).raise_for_status()


async def _post(client: httpx.AsyncClient, ticket: Ticket) -> httpx.Response:
    files = {"file": (ticket.name, ticket.content)}
    return await client.post("/extract", data=FORM, files=files)


@dataclass
class Traffic:
    """Requests that flow while the service trains, gates and swaps; a context manager.

    One request after the other, without trying again: whatever is not answered with 200 and a
    record is counted as failed.

    Attributes:
        client: of the service.
        tickets: sent in turn.
        pause_seconds: between an answer and the next request.
        sent: requests that came to an end.
        failures: what went wrong, in words.
        versions: answers by the model version that made them.
        requests: for each, when it began (seconds since the first), how long it took, and the
            version that answered, None where it failed.
    """

    client: httpx.AsyncClient
    tickets: Sequence[Ticket]
    pause_seconds: float
    sent: int = 0
    failures: list[str] = field(default_factory=list)
    versions: Counter[str] = field(default_factory=Counter)
    requests: list[dict[str, Any]] = field(default_factory=list)
    _first: float = 0.0
    _task: asyncio.Task[None] | None = None
    _ending: bool = False

    async def __aenter__(self) -> Self:
        self._first = time.monotonic()
        self._task = asyncio.create_task(self._flow())
        return self

    async def __aexit__(self, *error: object) -> None:
        """Waits for the request under way, so that none is cut off by us."""
        self._ending = True
        if self._task is not None:
            await self._task

    async def _flow(self) -> None:
        while not self._ending:
            await self._one(self.tickets[self.sent % len(self.tickets)])
            await asyncio.sleep(self.pause_seconds)

    def as_json(self) -> dict[str, Any]:
        """Everything that was seen; `swap_at` is when the second version first answered."""
        first = next((row["version"] for row in self.requests if row["version"]), None)
        changed = (row for row in self.requests if row["version"] not in {None, first})
        return {
            "sent": self.sent,
            "failed": len(self.failures),
            "failures": self.failures,
            "versions": dict(self.versions),
            "requests": self.requests,
            "swap_at": next((row["began"] for row in changed), None),
        }

    async def _one(self, ticket: Ticket) -> None:
        began, version = time.monotonic(), None
        try:
            response = await _post(self.client, ticket)
            answer = response.json()
            if response.status_code != httpx.codes.OK or not answer.get("record"):
                self.failures.append(f"{response.status_code} {response.text[:200]}")
            else:
                version = answer["model_version"]
                self.versions[version] += 1
        except (httpx.HTTPError, ValueError) as error:
            self.failures.append(repr(error))
        took = time.monotonic() - began
        row = {"began": began - self._first, "seconds": took, "version": version}
        self.requests.append(row)
        self.sent += 1
