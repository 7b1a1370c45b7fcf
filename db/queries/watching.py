"""What the metrics ask of the database at each scrape."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import AuditEvent, Prediction, State

BACKUP_DONE = "backup.done"
"""The action of the audit event that a finished backup leaves behind."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How the service stands.

    Attributes:
        queue_age_seconds: age of the oldest prediction that is queued; 0 where none is.
        last_backup_seconds: when a backup last ended, as seconds since 1970; 0 where none did.
    """

    queue_age_seconds: float
    last_backup_seconds: float


async def read_standing(session: AsyncSession) -> Standing:
    """How the service stands now."""
    age = func.extract("epoch", func.clock_timestamp() - func.min(Prediction.created_at))
    queued = select(age).where(Prediction.finished_at.is_(None), Prediction.state == State.QUEUED)
    ended = func.extract("epoch", func.max(AuditEvent.created_at))
    backup = select(ended).where(AuditEvent.tenant_id.is_(None), AuditEvent.action == BACKUP_DONE)
    age_seconds = (await session.execute(queued)).scalar_one()
    backup_seconds = (await session.execute(backup)).scalar_one()
    return Standing(max(0.0, float(age_seconds or 0)), float(backup_seconds or 0))
