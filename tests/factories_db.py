"""Rows for tests, made through the queries that the service uses."""

import hashlib
from itertools import count
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from db.queries.corrections import NewCorrection, add_correction
from db.queries.documents import NewDocument, NewPage, add_document
from db.queries.predictions import NewPrediction, begin_prediction
from db.tables import Correction, Document, Prediction, Verdict

numbers = count()


def blob_key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def new_document(content: str | None = None, page_count: int = 1) -> NewDocument:
    content = content if content is not None else f"document {next(numbers)}"
    pages = tuple(
        NewPage(index, 600, 800, blob_key(f"{content}, page {index}"))
        for index in range(page_count)
    )
    return NewDocument(
        content_sha256=hashlib.sha256(content.encode()).digest(),
        media_type="image/png",
        size_bytes=len(content),
        blob_key=blob_key(content),
        pages=pages,
    )


async def make_document(
    session: AsyncSession, tenant_id: UUID, content: str | None = None
) -> Document:
    return await add_document(session, tenant_id, new_document(content))


async def make_prediction(
    session: AsyncSession,
    tenant_id: UUID,
    *,
    document: Document | None = None,
    document_type: str = "receipt",
) -> Prediction:
    document = document or await make_document(session, tenant_id)
    begun = await begin_prediction(session, tenant_id, NewPrediction(document.id, document_type))
    return begun.prediction


async def make_correction(
    session: AsyncSession, tenant_id: UUID, prediction_id: UUID, total: str = "9.00"
) -> Correction:
    new = NewCorrection(prediction_id, Verdict.CORRECTED, {"total": total})
    return await add_correction(session, tenant_id, new)
