"""The shadow: a version on trial answers what was answered already, and nobody waits for it.

    answered prediction -> bounded queue -> a moment without requests -> shadow version -> row

What finds no room is dropped and counted. One document is asked at a time, and only when no request
runs or waits; a request that comes meanwhile shares the machine with that one.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from db.errors import NotFound
from db.queries.shadow import NewShadowAnswer, add_shadow_answer
from extraction.errors import DocloopError, EngineUnavailable
from extraction.extract import NOT_ASKED, Extraction, ExtractRequest
from extraction.lines import Line
from extraction.pages import Page

if TYPE_CHECKING:
    from api.dependencies import Services

STORED, FAILED, DROPPED = "stored", "failed", "dropped"
_QUIET_SECONDS = 0.1
_PAGES_SHARE = 10  # of the memory for documents, the part that waiting pages may take at most

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Question:
    """An answered document, to be asked of the shadow.

    Attributes:
        tenant_id: whose.
        prediction_id: of the answer that was given.
        request: what was wanted, without the file's bytes.
        pages: its pages where the shadow looks at them; else none, for they are large.
        lines: what was read on them.
    """

    tenant_id: UUID
    prediction_id: UUID
    request: ExtractRequest
    pages: Sequence[Page]
    lines: Sequence[Line]

    @property
    def size_bytes(self) -> int:
        """What its pages take."""
        return sum(page.size_bytes for page in self.pages)


class ShadowQueue:
    """The documents that wait for the shadow; for one event loop."""

    def __init__(self) -> None:
        self._waiting: deque[Question] = deque()
        self._arrived = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def offer(self, services: "Services", question: Question, answer: Extraction) -> None:
        """Take an answered document where there is a shadow and room for it; returns at once.

        Args:
            services: of the app.
            question: the document, with its pages.
            answer: what was answered; where no model was asked there is nothing to compare.
        """
        version = services.routing.shadow
        if version in {None, answer.model_version} or answer.finish_reason == NOT_ASKED:
            return
        known = services.extractor.versions.find(version or "")
        if known is None or not known.traits.sees_images:
            question = Question(
                question.tenant_id, question.prediction_id, question.request, (), question.lines
            )
        settings = services.settings
        held = question.size_bytes + sum(waiting.size_bytes for waiting in self._waiting)
        full = len(self._waiting) >= settings.shadow_queue_size
        if full or held > settings.max_held_bytes // _PAGES_SHARE:
            services.metrics.count_shadow(DROPPED)
            return
        self._waiting.append(question)
        self._arrived.set()

    async def run(self, services: "Services") -> None:
        """Asks one waiting document after the other until cancelled."""
        while True:
            await self._arrived.wait()
            while services.admission.running or services.admission.waiting:  # noqa: ASYNC110 - rare
                await asyncio.sleep(_QUIET_SECONDS)
            question = self._waiting.popleft()
            if not self._waiting:
                self._arrived.clear()
            version = services.routing.shadow
            result = DROPPED if version is None else await _ask(services, question, version)
            services.metrics.count_shadow(result)


async def _ask(services: "Services", question: Question, version: str) -> str:
    """The result of one question; whatever goes wrong is noted here and harms nobody."""
    try:
        new = await _answer(services, question, version)
        async with services.sessions.begin() as session:
            await add_shadow_answer(session, question.tenant_id, new)
    except NotFound:
        return DROPPED  # erased meanwhile
    except Exception as error:
        logger.warning(
            "shadow gave no answer",
            model_version=version,
            prediction_id=str(question.prediction_id),
            exc_info=error,
        )
        return FAILED
    return STORED


async def _answer(services: "Services", question: Question, version: str) -> NewShadowAnswer:
    """What the shadow says; its own fault is an answer too, its absence is none.

    Raises:
        EngineUnavailable: it is not there.
    """
    try:
        read = await services.extractor.extract(
            question.request, question.pages, lines=question.lines or None, version=version
        )
    except EngineUnavailable:
        raise
    except DocloopError as error:
        return NewShadowAnswer(question.prediction_id, version, error=error.slug)
    return NewShadowAnswer(
        question.prediction_id,
        read.model_version,
        record=read.record,
        schema_valid=read.schema_valid,
    )
