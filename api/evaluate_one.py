"""One question of an evaluation: a stored document, asked as it would be asked in service."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import structlog
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from api.presentation import stored_fields
from api.settings import Settings
from api.type_lookup import find_type
from db.blobs import BlobStore
from db.page_lines import lines_of, stored_lines
from db.queries.documents import get_document, list_pages, set_lines
from db.queries.evaluations import EvaluationAnswer
from db.tables import Evaluation
from extraction.document_types.catalogue import as_asked
from extraction.errors import DocloopError, EngineUnavailable, UnparseableRecord
from extraction.extract import Extraction, Extractor, ExtractRequest
from extraction.lines import Line, LineReader
from extraction.media import TEXT
from extraction.pages import Page
from extraction.prompt import AnswerFormat

# What a version is responsible for; decoding and OCR are not among them.
_STAGES = ("prompt", "queue", "engine", "checks")

logger = structlog.get_logger(__name__)


class Reader(Protocol):
    """What reads documents that nobody has read."""

    async def read(self, pages: Sequence[Page]) -> tuple[Line, ...] | None:
        """The lines of pages; None where nothing may be read."""
        ...


class OcrReader:
    """The OCR, loaded when the first document needs it: most were read when they came.

    Args:
        settings: whether it may be used, and its threads.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loading = asyncio.Lock()
        self._lines: LineReader | None = None

    async def read(self, pages: Sequence[Page]) -> tuple[Line, ...] | None:
        """See `Reader`; None where the OCR is switched off."""
        if not self._settings.ocr_enabled:
            return None
        async with self._loading:
            if self._lines is None:
                self._lines = await asyncio.to_thread(LineReader, self._settings.ocr_threads)
        reader = self._lines
        return tuple(
            [line for page in pages for line in await asyncio.to_thread(reader.read, page)]
        )


@dataclass(frozen=True, slots=True)
class Asking:
    """What a question is asked with.

    Attributes:
        sessions: on the database.
        blobs: the documents.
        reader: for documents that nobody has read.
        extractor: the serving sentence, with the facts of the asked version.
    """

    sessions: async_sessionmaker[AsyncSession]
    blobs: BlobStore
    reader: Reader
    extractor: Extractor

    async def ask(self, row: Evaluation) -> EvaluationAnswer:
        """The version's answer, or what was wrong with the document or the answer.

        Raises:
            EngineUnavailable: the engine is gone; this says nothing about the version.
        """
        try:
            extraction = await self._extract(row)
        except EngineUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the row says it
            return failure(error)
        if extraction.model_version != row.model_version:
            raise EngineUnavailable(f"{extraction.model_version} answers", 1)
        return EvaluationAnswer(
            record=extraction.record,
            fields=stored_fields(extraction),
            schema_valid=extraction.schema_valid,
            duration_seconds=sum(extraction.timings_seconds.get(name, 0.0) for name in _STAGES),
        )

    async def _extract(self, row: Evaluation) -> Extraction:
        async with self.sessions() as session:
            document = await get_document(session, row.tenant_id, row.document_id)
            stored = await list_pages(session, row.tenant_id, row.document_id)
            document_type = await find_type(
                session, row.tenant_id, row.document_type, row.document_type_version
            )
        options = row.options
        document_type = as_asked(document_type, options)
        request = ExtractRequest(
            content=b"",
            document_type=document_type,
            fields=tuple(row.asked_fields or ()),
            reasoning=bool(options.get("reasoning", False)),
            answer_format=AnswerFormat(options.get("format", AnswerFormat.JSON)),
            use_lines=bool(options.get("ocr", True)),
        )
        if document.media_type == TEXT:
            content = await self.blobs.get(document.blob_key)
            return await self.extractor.extract(replace(request, content=content, is_text=True))
        lines = lines_of(stored) if request.use_lines else None
        unread = request.use_lines and lines is None
        pages: Sequence[Page] = ()
        if unread or self.extractor.readers.traits.sees_images:
            pages = await self.extractor.decode(await self.blobs.get(document.blob_key))
        if unread:
            lines = await self._read(row, pages)
        return await self.extractor.extract(request, pages, lines=lines)

    async def _read(self, row: Evaluation, pages: Sequence[Page]) -> tuple[Line, ...] | None:
        """The lines of a document that nobody has read; kept for the next version."""
        lines = await self.reader.read(pages)
        if lines is not None:
            by_page = stored_lines(lines)
            async with self.sessions.begin() as session:
                for page in pages:
                    found = by_page.get(page.index, [])
                    await set_lines(session, row.tenant_id, row.document_id, page.index, found)
        return lines


def failure(error: Exception) -> EvaluationAnswer:
    """The answer where there is none: a slug and a sentence, without any value of a document."""
    if isinstance(error, UnparseableRecord):
        return EvaluationAnswer(error=f"{error.slug}: {error}", schema_valid=False)
    if isinstance(error, DocloopError):
        return EvaluationAnswer(error=f"{error.slug}: {error}")
    logger.error("evaluation failed", exc_info=error)
    return EvaluationAnswer(error=f"internal-error: {type(error).__name__}")
