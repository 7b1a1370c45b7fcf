"""Every table, drawn by who refers to whom.

    tenants ─┬─ api_keys
             ├─ document_types
             ├─ documents ── pages
             ├─ predictions (of a document) ── corrections (append-only)
             └─ audit_events (append-only)
    model_versions ─┬─ champion (one row)
                    └─ training_runs
    doomed_blobs: content that nothing refers to any more and that is still to be deleted

A row that belongs to a tenant refers to its parents by (tenant_id, id), so that the database itself
refuses a correction of another tenant's prediction. Triggers of migration 0001 refuse changes of
the append-only tables; `db.queries.predictions.erase_prediction` is the one way around, and only
for corrections. Values of documents stand in JSON and text columns and are never logged.

`predictions.model_version` is text without a foreign key: a remote engine may serve a model that
was never registered here, and its answers must be kept all the same.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    Enum,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from db.types import CleanText, uuid7

# JSONB sorts its keys; what a caller reads keeps the order of its type.
_ORDERED = JSON(none_as_null=True)

type_annotation_map = {
    str: Text(),
    datetime: DateTime(timezone=True),
    dict[str, Any]: JSONB(none_as_null=True),
    list[Any]: JSONB(none_as_null=True),
    bytes: LargeBinary(),
}


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


class ModelState(StrEnum):
    """Where a model version stands."""

    CANDIDATE = "candidate"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    RETIRED = "retired"


class RunState(StrEnum):
    """How far a training run has come."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


def _choice(kind: type[StrEnum], name: str) -> Enum:
    """Text that the database checks; a new choice is then a new check, not a new type."""
    return Enum(
        kind,
        name=name,
        native_enum=False,
        create_constraint=True,
        values_callable=lambda members: [str(member) for member in members],
        length=20,
    )


class Base(DeclarativeBase):
    """Base of all tables."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = type_annotation_map


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
    """One upright page of a document. `lines` is what the line reader found; None if never read."""

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
        Index("ix_predictions_unfinished", "id", postgresql_where=text("finished_at IS NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    document_id: Mapped[UUID]
    document_type: Mapped[str]
    document_type_version: Mapped[int | None]
    asked_fields: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    options: Mapped[dict[str, Any]]
    state: Mapped[State] = mapped_column(_choice(State, "state"))
    record: Mapped[dict[str, Any] | None] = mapped_column(_ORDERED)
    fields: Mapped[dict[str, Any] | None] = mapped_column(_ORDERED)
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

    `record` holds the corrected fields only. Each row supersedes at most one and is superseded by
    at most one, and a prediction has one first row: its corrections are a line, never a tree.
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
    verdict: Mapped[Verdict] = mapped_column(_choice(Verdict, "verdict"))
    record: Mapped[dict[str, Any] | None]
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
    json_schema: Mapped[dict[str, Any]] = mapped_column(_ORDERED)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    retired_at: Mapped[datetime | None]


class TrainingRun(Base):
    """One attempt to make a better model: its settings, what it learnt from, what came out."""

    __tablename__ = "training_runs"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    state: Mapped[RunState] = mapped_column(_choice(RunState, "state"))
    config: Mapped[dict[str, Any]]
    manifest: Mapped[dict[str, Any] | None]
    metrics: Mapped[dict[str, Any] | None]
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]


class ModelVersion(Base):
    """A model that can be served; its id is derived from its content and is never used again."""

    __tablename__ = "model_versions"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    base: Mapped[str]
    manifest: Mapped[dict[str, Any]]
    path: Mapped[str]
    state: Mapped[ModelState] = mapped_column(_choice(ModelState, "state"))
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("model_versions.id"))
    training_run_id: Mapped[UUID | None] = mapped_column(ForeignKey("training_runs.id"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)


class Champion(Base):
    """The one row that says which version is served; migration 0001 puts it there, empty.

    `generation` grows by one with each promotion and each rollback.
    """

    __tablename__ = "champion"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, default=1)
    model_version_id: Mapped[str | None] = mapped_column(ForeignKey("model_versions.id"))
    generation: Mapped[int] = mapped_column(BigInteger, server_default="0")
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


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
