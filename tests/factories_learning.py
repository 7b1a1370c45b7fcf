"""Predictions with a human's word on them: as objects, and in a database."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from db.queries.corrections import NewCorrection, add_correction
from db.queries.documents import set_lines
from db.queries.learning import Learnable
from db.queries.predictions import Answer, NewPrediction, begin_prediction, finish_prediction
from db.tables import Correction, Page, Prediction, State, Verdict
from db.types import uuid7
from extraction.lines import Line
from tests.factories_db import make_document
from tests.factories_lines import page_of

TENANT = uuid4()
KEY = uuid4()
NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)
OPTIONS = {"reasoning": False, "format": "json", "ocr": True}


def stored_lines(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """As `pages.lines` keeps them."""
    return [
        {
            "text": line.text,
            "box": [line.box.left, line.box.top, line.box.right, line.box.bottom],
            "score": line.score,
            "quarter_turns": line.quarter_turns,
        }
        for line in lines
    ]


def make_learnable(
    lines: Sequence[Line] | None,
    record: Mapping[str, Any],
    said: Mapping[str, Any] | None = None,
    *,
    fields: Mapping[str, Any] | None = None,
    document_type: str = "receipt",
    version: int | None = 1,
    asked_fields: Sequence[str] | None = None,
    options: Mapping[str, Any] = OPTIONS,
    content: str | None = None,
    perceptual_hash: int | None = None,
    holdout: bool = False,
    key: UUID = KEY,
    reviewer: str | None = "ann",
    seconds: float = 0.0,
    tenant_id: UUID = TENANT,
    document_id: UUID | None = None,
) -> Learnable:
    """A prediction, and a correction with what was `said`; a confirmation where that is None."""
    document_id = document_id or uuid7()
    at = NOON + timedelta(seconds=seconds)
    prediction = Prediction(
        id=uuid7(),
        tenant_id=tenant_id,
        document_id=document_id,
        document_type=document_type,
        document_type_version=version,
        asked_fields=None if asked_fields is None else list(asked_fields),
        options=dict(options),
        state=State.DONE,
        record=dict(record),
        fields=dict(fields if fields is not None else as_fields(record)),
        created_at=at,
    )
    correction = Correction(
        id=uuid7(),
        tenant_id=tenant_id,
        prediction_id=prediction.id,
        verdict=Verdict.CORRECT if said is None else Verdict.CORRECTED,
        record=None if said is None else dict(said),
        reviewer=reviewer,
        api_key_id=key,
        created_at=at,
    )
    page = Page(
        document_id=document_id,
        index=0,
        width_pixels=600,
        height_pixels=800,
        blob_key=f"page-of-{document_id}",
        lines=None if lines is None else stored_lines(lines),
    )
    return Learnable(
        tenant_id=tenant_id,
        document_id=document_id,
        content_sha256=hashlib.sha256((content or str(document_id)).encode()).digest(),
        perceptual_hash=perceptual_hash,
        holdout=holdout,
        prediction=prediction,
        correction=correction,
        pages=[page],
    )


def as_fields(record: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The column `fields` of a prediction that copied each value as it is in the record."""
    fields: dict[str, Any] = {}
    for name, value in record.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping):
            fields |= as_fields(value, f"{path}.")
        elif isinstance(value, list):
            fields |= as_fields({str(i): element for i, element in enumerate(value)}, f"{path}.")
        elif value is not None:
            fields[path] = {"value": value, "raw": str(value), "source": "model", "evidence": None}
    return fields


def receipt_lines(total: str = "9.00", *, score: float = 0.98) -> list[Line]:
    """A small receipt that was read well."""
    return page_of(
        "CORNER STORE SDN BHD",
        "12, JALAN SATU, 81100 JOHOR BAHRU",
        ("Date", "25/12/2018 20:13:39"),
        ("Milk 2 x 4.20", "8.40"),
        ("SUBTOTAL", "8.40"),
        ("GST 6%", "0.60"),
        ("TOTAL", f"RM {total}"),
        ("CASH", "20.00"),
        score=score,
    )


async def store(
    session: AsyncSession, tenant_id: UUID, given: Learnable, *, key: UUID | None = None
) -> Correction:
    """Puts a learnable made above into the database, through the queries that the service uses."""
    document = await make_document(session, tenant_id)
    document.holdout = given.holdout
    document.perceptual_hash = given.perceptual_hash
    for page in given.pages:
        if page.lines is not None:
            await set_lines(session, tenant_id, document.id, page.index, page.lines)
    prediction = given.prediction
    asked = prediction.asked_fields
    new = NewPrediction(
        document.id,
        prediction.document_type,
        document_type_version=prediction.document_type_version,
        asked_fields=None if asked is None else tuple(asked),
        options=prediction.options,
    )
    begun = (await begin_prediction(session, tenant_id, new)).prediction
    answer = Answer(record=prediction.record, fields=prediction.fields, model_version="one")
    await finish_prediction(session, tenant_id, begun.id, answer)
    said = given.correction
    word = NewCorrection(begun.id, said.verdict, said.record, said.reviewer, api_key_id=key)
    return await add_correction(session, tenant_id, word)
