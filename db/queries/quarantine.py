"""Corrections that wait for a second person before anything is learnt from them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.errors import NotFound, SamePerson
from db.queries.audit import record_event
from db.queries.corrections import in_force
from db.tables import Correction, HeldCorrection, QuarantineState, ScreenedCorrection
from db.types import clean_text


@dataclass(frozen=True, slots=True)
class Held:
    """A correction in force that was held, and what is said of it."""

    held: HeldCorrection
    correction: Correction


async def hold(
    session: AsyncSession, correction: Correction, reasons: Sequence[Mapping[str, str]]
) -> None:
    """Keep a correction back; one that is held already stays as it is, decided or not.

    Args:
        session: to write with.
        correction: it.
        reasons: each {"rule": ..., "detail": ...}; a detail names fields and counts, never values.
    """
    values = {
        "correction_id": correction.id,
        "tenant_id": correction.tenant_id,
        "state": QuarantineState.WAITING,
        "reasons": [dict(reason) for reason in reasons],
    }
    await session.execute(insert(HeldCorrection).values(values).on_conflict_do_nothing())


async def mark_screened(session: AsyncSession, correction_ids: Collection[UUID]) -> None:
    """Note that the rules have looked at these; held or not, they are not looked at again."""
    rows = [{"correction_id": correction_id} for correction_id in sorted(correction_ids)]
    if rows:
        await session.execute(insert(ScreenedCorrection).on_conflict_do_nothing(), rows)


async def list_held(
    session: AsyncSession,
    tenant_id: UUID | None,
    state: QuarantineState | None = QuarantineState.WAITING,
    before: UUID | None = None,
    limit: int = 50,
) -> Sequence[Held]:
    """Held corrections, newest first; one that was superseded meanwhile is not among them.

    Args:
        session: to ask.
        tenant_id: whose; None for all.
        state: only those in this state; None for all.
        before: the last correction's id of the page before; None for the first page.
        limit: most of a page.
    """
    query = (
        select(HeldCorrection, Correction)
        .join(Correction, Correction.id == HeldCorrection.correction_id)
        .where(in_force())
        .order_by(HeldCorrection.correction_id.desc())
        .limit(limit)
    )
    if tenant_id is not None:
        query = query.where(HeldCorrection.tenant_id == tenant_id)
    if state is not None:
        query = query.where(HeldCorrection.state == state)
    if before is not None:
        query = query.where(HeldCorrection.correction_id < before)
    return [Held(held, correction) for held, correction in await session.execute(query)]


async def decide(
    session: AsyncSession,
    tenant_id: UUID,
    correction_id: UUID,
    *,
    accept: bool,
    actor: str,
    api_key_id: UUID | None = None,
) -> HeldCorrection:
    """A second person's word on a held correction; it may be taken back later. An audit event says.

    Args:
        session: to write with.
        tenant_id: whose.
        correction_id: which.
        accept: whether it may be learnt from.
        actor: who decides: a reviewer's name, or "key:dl_x7Kq2".
        api_key_id: the key that the decision came with.

    Raises:
        NotFound: no correction of this tenant is held under this id.
        SamePerson: the correction came from this name or this key.
    """
    query = (
        select(HeldCorrection, Correction)
        .join(Correction, Correction.id == HeldCorrection.correction_id)
        .where(HeldCorrection.tenant_id == tenant_id, HeldCorrection.correction_id == correction_id)
        .with_for_update(of=HeldCorrection)
        .execution_options(populate_existing=True)
    )
    found = (await session.execute(query)).one_or_none()
    if found is None:
        raise NotFound("held correction", str(correction_id))
    held, correction = found
    same_name = correction.reviewer is not None and correction.reviewer == clean_text(actor)
    if same_name or (api_key_id is not None and correction.api_key_id == api_key_id):
        raise SamePerson(correction_id)
    held.state = QuarantineState.ACCEPTED if accept else QuarantineState.REJECTED
    held.decided_by = actor
    held.decided_at = (await session.execute(select(func.clock_timestamp()))).scalar_one()
    await record_event(
        session,
        tenant_id,
        actor=actor,
        action="quarantine.accept" if accept else "quarantine.reject",
        subject=str(correction_id),
        details={"rules": [reason.get("rule") for reason in held.reasons]},
    )
    await session.flush()
    return held


async def count_held(
    session: AsyncSession,
    tenant_id: UUID | None = None,
    state: QuarantineState = QuarantineState.WAITING,
) -> int:
    """How many corrections in force are in this state; of all tenants where none is named."""
    query = (
        select(func.count())
        .select_from(HeldCorrection)
        .join(Correction, Correction.id == HeldCorrection.correction_id)
        .where(HeldCorrection.state == state, in_force())
    )
    if tenant_id is not None:
        query = query.where(HeldCorrection.tenant_id == tenant_id)
    return (await session.execute(query)).scalar_one()
