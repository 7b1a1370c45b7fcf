"""Every table, drawn by who refers to whom.

    tenants ─┬─ api_keys
             ├─ document_types
             ├─ documents ── pages
             ├─ predictions (of a document) ── corrections (append-only)
             ├─ page_sessions, review_leases (`db/page_tables.py`)
             └─ audit_events (append-only)
    doomed_blobs: content that nothing refers to any more and that is still to be deleted

Models, runs, the champion and all else that learning keeps: `db/learning_tables.py`, whose tables
are named here too.

A row that belongs to a tenant refers to its parents by (tenant_id, id), so that the database itself
refuses a correction of another tenant's prediction. Triggers of migrations 0001 and 0003 refuse
changes of the append-only tables; `db.queries.predictions.erase_prediction` is the one way around,
and only for corrections. Values of documents stand in JSON and text columns and are never logged.

`predictions.model_version` is text without a foreign key: a remote engine may serve a model that
was never registered here, and its answers must be kept all the same.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from db.base import ORDERED, Base, choice
from db.learning_tables import (
    Champion,
    Evaluation,
    ExamplePart,
    GoldenExample,
    HeldCorrection,
    ModelState,
    ModelVersion,
    Promotion,
    PromotionReason,
    QuarantineState,
    RunExample,
    RunState,
    ScreenedCorrection,
    ShadowAnswer,
    StoredDecision,
    TrainingRun,
)
from db.page_tables import PageSession, ReviewLease
from db.types import CleanText, uuid7

__all__ = [
    "ApiKey",
    "AuditEvent",
    "Base",
    "Champion",
    "Correction",
    "Document",
    "DoomedBlob",
    "Evaluation",
    "ExamplePart",
    "GoldenExample",
    "HeldCorrection",
    "ModelState",
    "ModelVersion",
    "Page",
    "PageSession",
    "Prediction",
    "Promotion",
    "PromotionReason",
    "QuarantineState",
    "ReviewLease",
    "RunExample",
    "RunState",
    "Scope",
    "ScreenedCorrection",
    "ShadowAnswer",
    "State",
    "StoredDecision",
    "StoredType",
    "Tenant",
    "TrainingRun",
    "Verdict",
]


class Scope(StrEnum):
    """What an API key allows."""

    EXTRACT = "extract"
    FEEDBACK = "feedback"
    REVIEW = "review"
    ADMIN = "admin"


class State(StrEnum):
    """How far a prediction has come."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Verdict(StrEnum):
    """A human's word on a prediction."""

    CORRECT = "correct"
    CORRECTED = "corrected"
    UNREADABLE = "unreadable"


class Tenant(Base):
    """Who owns documents; sees nothing of another."""

    __tablename__ = "tenants"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    name: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ApiKey(Base):
    """A bearer key; the key itself is nowhere.

    A plain SHA-256 is enough: a generated key has 256 random bits, so there is nothing to guess.
    """

    __tablename__ = "api_keys"
    __table_args__ = (
        CheckConstraint(
            "scopes <@ ARRAY['extract', 'feedback', 'review', 'admin']", name="scopes_known"
        ),
        UniqueConstraint("tenant_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    name: Mapped[str] = mapped_column(server_default="")
    key_sha256: Mapped[bytes] = mapped_column(unique=True)
    prefix: Mapped[str] = mapped_column(index=True)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    requests_per_minute: Mapped[int | None]
    max_bytes: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]


class Document(Base):
    """One file of a tenant; the same bytes sent again are the same document.

    `perceptual_hash` holds 64 bits as a signed number (`db.types.signed64`). `holdout` is decided
    by the content alone (`db.queries.documents.is_holdout`), so that it never changes sides.
    """

    __tablename__ = "documents"
    __table_args__ = (
        UniqueConstraint("tenant_id", "content_sha256"),
        UniqueConstraint("tenant_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    content_sha256: Mapped[bytes]
    perceptual_hash: Mapped[int | None] = mapped_column(BigInteger, index=True)
    media_type: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    blob_key: Mapped[str] = mapped_column(index=True)
    page_count: Mapped[int]
    holdout: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Page(Base):
    """One upright page of a document. `lines` is what the line reader found; None if never read.

    A plain text is one page without an image: 0 pixels wide and high, its blob the text itself.
    """

    __tablename__ = "pages"

    document_id: Mapped[UUID] = mapped_column(
        ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True
    )
    index: Mapped[int] = mapped_column(primary_key=True)
    width_pixels: Mapped[int]
    height_pixels: Mapped[int]
    blob_key: Mapped[str] = mapped_column(index=True)
    perceptual_hash: Mapped[int | None] = mapped_column(BigInteger)
    lines: Mapped[list[Any] | None]

    @property
    def has_image(self) -> bool:
        """Whether there is something to look at."""
        return self.width_pixels > 0


class Prediction(Base):
    """One request and its answer.

    `fields` maps a field's path to its value, raw, confidence, evidence and source;
    `lowest_confidence` is the least of those confidences, kept apart so that it can be queried.
    `idempotency_key` is the caller's, `body_sha256` tells whether it came with the same body.
    """

    __tablename__ = "predictions"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "document_id"], ["documents.tenant_id", "documents.id"]),
        UniqueConstraint("tenant_id", "id"),
        UniqueConstraint("tenant_id", "idempotency_key"),
        Index(None, "tenant_id", "document_type", "id"),
        Index(None, "tenant_id", "model_version", "id"),
        Index(None, "document_id"),
        Index(None, "model_version", "id"),
        Index("ix_predictions_unfinished", "id", postgresql_where=text("finished_at IS NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    document_id: Mapped[UUID]
    document_type: Mapped[str]
    document_type_version: Mapped[int | None]
    asked_fields: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    options: Mapped[dict[str, Any]]
    state: Mapped[State] = mapped_column(choice(State, "state"))
    record: Mapped[dict[str, Any] | None] = mapped_column(ORDERED)
    fields: Mapped[dict[str, Any] | None] = mapped_column(ORDERED)
    checks: Mapped[list[Any] | None]
    warnings: Mapped[list[Any] | None]
    reasoning: Mapped[str | None] = mapped_column(CleanText)
    entity_tokens: Mapped[str | None] = mapped_column(CleanText)
    type_confidence: Mapped[float | None]
    lowest_confidence: Mapped[float | None]
    model_version: Mapped[str | None]
    prompt_hash: Mapped[str | None]
    timings: Mapped[dict[str, Any] | None]
    prompt_tokens: Mapped[int | None]
    completion_tokens: Mapped[int | None]
    finish_reason: Mapped[str | None]
    schema_valid: Mapped[bool | None]
    error: Mapped[dict[str, Any] | None]
    idempotency_key: Mapped[str | None]
    body_sha256: Mapped[bytes | None]
    request_id: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]


class Correction(Base):
    """A human's verdict on a prediction; the last of the chain of `supersedes` is in force.

    `record` holds the corrected fields only; with `confirms_rest` the others are confirmed as they
    were predicted, else nothing is said of them. Each row supersedes at most one and is superseded
    by at most one, and a prediction has one first row: its corrections are a line, never a tree.
    """

    __tablename__ = "corrections"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "prediction_id"],
            ["predictions.tenant_id", "predictions.id"],
            ondelete="CASCADE",
        ),
        ForeignKeyConstraint(["tenant_id", "api_key_id"], ["api_keys.tenant_id", "api_keys.id"]),
        Index(None, "prediction_id"),
        Index(None, "tenant_id", "id"),
        Index(
            "uq_corrections_first",
            "prediction_id",
            unique=True,
            postgresql_where=text("supersedes IS NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    prediction_id: Mapped[UUID]
    verdict: Mapped[Verdict] = mapped_column(choice(Verdict, "verdict"))
    record: Mapped[dict[str, Any] | None]
    confirms_rest: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    reviewer: Mapped[str | None] = mapped_column(CleanText)
    comment: Mapped[str | None] = mapped_column(CleanText)
    api_key_id: Mapped[UUID | None]
    supersedes: Mapped[UUID | None] = mapped_column(ForeignKey("corrections.id"), unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class StoredType(Base):
    """One version of a caller's document type. Versions count from 1 and never change.

    A retired version takes no new documents; what was read with it still refers to it.
    """

    __tablename__ = "document_types"
    __table_args__ = (UniqueConstraint("tenant_id", "name", "version"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    name: Mapped[str]
    version: Mapped[int]
    json_schema: Mapped[dict[str, Any]] = mapped_column(ORDERED)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    retired_at: Mapped[datetime | None]


class AuditEvent(Base):
    """Who did what to which thing; holds no values of documents. Append-only, without exception."""

    __tablename__ = "audit_events"
    __table_args__ = (Index(None, "tenant_id", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    tenant_id: Mapped[UUID | None] = mapped_column(ForeignKey("tenants.id"))
    actor: Mapped[str] = mapped_column(CleanText)
    action: Mapped[str]
    subject: Mapped[str]
    details: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class DoomedBlob(Base):
    """A blob that lost its last row; `db.queries.blobs.sweep_blobs` deletes it."""

    __tablename__ = "doomed_blobs"

    blob_key: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
