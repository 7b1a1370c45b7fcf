"""Rows for tests, made through the queries that the service uses."""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from db.queries.corrections import NewCorrection, add_correction
from db.queries.documents import NewDocument, NewPage, add_document
from db.queries.models import NewModel, register_model
from db.queries.predictions import Answer, NewPrediction, begin_prediction, finish_prediction
from db.queries.quarantine import mark_screened
from db.queries.runs import start_run
from db.tables import Correction, Document, ModelVersion, Prediction, TrainingRun, Verdict

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


async def make_answered(
    session: AsyncSession,
    tenant_id: UUID,
    *,
    model_version: str = "v-1",
    document: Document | None = None,
    document_type: str = "receipt",
    schema_valid: bool = True,
    record: Mapping[str, Any] | None = None,
) -> Prediction:
    """A finished prediction."""
    begun = await make_prediction(
        session, tenant_id, document=document, document_type=document_type
    )
    answer = Answer(
        record=record or {"total": "8.00"}, model_version=model_version, schema_valid=schema_valid
    )
    return await finish_prediction(session, tenant_id, begun.id, answer)


async def make_screened(
    session: AsyncSession,
    tenant_id: UUID,
    prediction: Prediction,
    *,
    verdict: Verdict = Verdict.CORRECTED,
    reviewer: str | None = "ana",
) -> Correction:
    """A correction that the rules of the quarantine let through."""
    record = {"total": "9.00"} if verdict is Verdict.CORRECTED else None
    new = NewCorrection(prediction.id, verdict, record, reviewer=reviewer)
    correction = await add_correction(session, tenant_id, new)
    await mark_screened(session, [correction.id])
    return correction


async def make_version(
    session: AsyncSession,
    version: str,
    *,
    path: str = "",
    parent: str | None = None,
    run: TrainingRun | None = None,
) -> ModelVersion:
    new = NewModel(
        *(version, "docloop", "SmolLM2-135M-Instruct", path or f"versions/{version}"),
        parent_id=parent,
        training_run_id=None if run is None else run.id,
    )
    return await register_model(session, new)


async def make_versions(session: AsyncSession, versions: Sequence[str]) -> None:
    for version in versions:
        await make_version(session, version)


async def make_run(session: AsyncSession, champion: str | None = None) -> TrainingRun:
    return await start_run(session, {"seed": 7}, champion_id=champion)
