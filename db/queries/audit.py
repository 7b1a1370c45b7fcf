"""The audit trail: who did what to which thing."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import AuditEvent


async def record_event(
    session: AsyncSession,
    tenant_id: UUID | None,
    *,
    actor: str,
    action: str,
    subject: str,
    details: Mapping[str, Any] | None = None,
) -> AuditEvent:
    """Write down an event, in the transaction of what it tells. `details` holds no field values.

    Args:
        session: of the act itself.
        tenant_id: None for an act on the service, as a promotion.
        actor: who, as "key:dl_x7Kq2" or "trainer".
        action: what, as "prediction.erase".
        subject: to which thing, by its id.
        details: more facts.
    """
    event = AuditEvent(
        tenant_id=tenant_id,
        actor=actor,
        action=action,
        subject=subject,
        details=dict(details or {}),
    )
    session.add(event)
    await session.flush()
    return event


async def list_events(
    session: AsyncSession,
    tenant_id: UUID | None,
    *,
    subject: str | None = None,
    before: UUID | None = None,
    limit: int = 50,
) -> Sequence[AuditEvent]:
    """A tenant's events, newest first; with None those of the service itself.

    Args:
        session: to ask.
        tenant_id: whose.
        subject: only those on this thing.
        before: the last id of the page before.
        limit: most events of a page.
    """
    query = select(AuditEvent).where(AuditEvent.tenant_id.is_not_distinct_from(tenant_id))
    if subject is not None:
        query = query.where(AuditEvent.subject == subject)
    if before is not None:
        query = query.where(AuditEvent.id < before)
    query = query.order_by(AuditEvent.id.desc()).limit(limit)
    return (await session.execute(query)).scalars().all()
