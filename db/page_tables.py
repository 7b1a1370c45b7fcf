"""The tables of the review pages: who is signed in, and who looks at which document."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base
from db.types import CleanText, uuid7


class PageSession(Base):
    """A browser that has shown an API key; it may do what the key may, until it expires.

    The cookie's token is nowhere: it has 256 random bits, so a plain SHA-256 is enough. `reviewer`
    is how the person calls themselves; it is shown to others and stored with their corrections.
    """

    __tablename__ = "page_sessions"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "api_key_id"], ["api_keys.tenant_id", "api_keys.id"]),
        Index(None, "expires_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    tenant_id: Mapped[UUID]
    api_key_id: Mapped[UUID]
    token_sha256: Mapped[bytes] = mapped_column(unique=True)
    reviewer: Mapped[str] = mapped_column(CleanText)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]


class ReviewLease(Base):
    """Who reviews a prediction now. It only tells; `add_correction_once` refuses what is stale."""

    __tablename__ = "review_leases"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "prediction_id"],
            ["predictions.tenant_id", "predictions.id"],
            ondelete="CASCADE",
        ),
        Index(None, "session_id"),
    )

    prediction_id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID]
    session_id: Mapped[UUID] = mapped_column(ForeignKey("page_sessions.id", ondelete="CASCADE"))
    reviewer: Mapped[str] = mapped_column(CleanText)
    taken_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
