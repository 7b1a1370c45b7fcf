"""What can be learnt from: corrections in force, of all tenants, that nobody doubts."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.queries.corrections import in_force
from db.tables import (
    Correction,
    Document,
    HeldCorrection,
    Page,
    Prediction,
    QuarantineState,
    ScreenedCorrection,
    State,
    Verdict,
)

Rows = Select[*tuple[Any, ...]]

_PAGES_AT_ONCE = 5000


@dataclass(frozen=True, slots=True)
class Learnable:
    """A prediction with the human's word on it, and the pages that both are about.

    Attributes:
        tenant_id: whose.
        document_id: the document.
        content_sha256: of the document, 32 bytes.
        perceptual_hash: of the document, 64 bits signed (`db.types.signed64`).
        holdout: whether the document is never trained on.
        prediction: what was answered.
        correction: in force.
        pages: in order, with their lines.
    """

    tenant_id: UUID
    document_id: UUID
    content_sha256: bytes
    perceptual_hash: int | None
    holdout: bool
    prediction: Prediction
    correction: Correction
    pages: list[Page]


async def list_learnable(
    session: AsyncSession, *, after: datetime | None = None
) -> list[Learnable]:
    """Corrections that were screened and are not held, or were accepted by a second person.

    Args:
        session: to ask.
        after: only those that could be learnt from later than this: the time of the screening, or
            of the second person's word where there was one.

    Returns:
        By the correction's id: as they were given.
    """
    query = _accepted(select(Prediction, Correction, Document))
    if after is not None:
        query = query.where(_accepted_at() > after)
    return await _with_pages(session, query.order_by(Correction.id))


async def count_new(session: AsyncSession, since: datetime | None = None) -> int:
    """How many `list_learnable` would find."""
    query = _accepted(select(func.count()).select_from(Correction))
    if since is not None:
        query = query.where(_accepted_at() > since)
    return int((await session.execute(query)).scalar_one())


async def list_given(session: AsyncSession) -> list[Learnable]:
    """Every correction in force that says what is right, whatever the quarantine thinks of it."""
    return await _with_pages(
        session, _given(select(Prediction, Correction, Document)).order_by(Correction.id)
    )


async def list_unscreened(session: AsyncSession, limit: int = 500) -> list[Learnable]:
    """Corrections in force that the rules of the quarantine have not looked at, oldest first."""
    query = (
        _given(select(Prediction, Correction, Document))
        .outerjoin(ScreenedCorrection, ScreenedCorrection.correction_id == Correction.id)
        .where(ScreenedCorrection.correction_id.is_(None))
        .order_by(Correction.id)
        .limit(limit)
    )
    return await _with_pages(session, query)


def _given(query: Rows) -> Rows:
    """Of predictions that are done, the corrections in force that say what is right."""
    spoken = [Verdict.CORRECT, Verdict.CORRECTED]
    return (
        query.join(Prediction, Prediction.id == Correction.prediction_id)
        .join(Document, Document.id == Prediction.document_id)
        .where(Prediction.state == State.DONE, Correction.verdict.in_(spoken), in_force())
    )


def _accepted(query: Rows) -> Rows:
    free = or_(
        HeldCorrection.correction_id.is_(None), HeldCorrection.state == QuarantineState.ACCEPTED
    )
    return (
        _given(query)
        .join(ScreenedCorrection, ScreenedCorrection.correction_id == Correction.id)
        .outerjoin(HeldCorrection, HeldCorrection.correction_id == Correction.id)
        .where(free)
    )


def _accepted_at() -> ColumnElement[datetime]:
    return func.greatest(ScreenedCorrection.screened_at, HeldCorrection.decided_at)


async def _with_pages(session: AsyncSession, query: Rows) -> list[Learnable]:
    rows = (await session.execute(query)).all()
    pages = await _pages_of(session, list({document.id for _, _, document in rows}))
    return [
        Learnable(
            tenant_id=document.tenant_id,
            document_id=document.id,
            content_sha256=document.content_sha256,
            perceptual_hash=document.perceptual_hash,
            holdout=document.holdout,
            prediction=prediction,
            correction=correction,
            pages=pages[document.id],
        )
        for prediction, correction, document in rows
    ]


async def _pages_of(
    session: AsyncSession, document_ids: Collection[UUID]
) -> defaultdict[UUID, list[Page]]:
    found: defaultdict[UUID, list[Page]] = defaultdict(list)
    wanted = sorted(document_ids)
    for start in range(0, len(wanted), _PAGES_AT_ONCE):
        some = wanted[start : start + _PAGES_AT_ONCE]
        query = select(Page).where(Page.document_id.in_(some)).order_by(Page.index)
        for page in (await session.execute(query)).scalars():
            found[page.document_id].append(page)
    return found
