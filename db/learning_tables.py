"""The tables of learning, drawn by who refers to whom; `db.tables` has them all.

    corrections ─┬─ corrections_screened (looked at) ── quarantine (and held for a second person)
    documents ───┼─ golden_examples
    training_runs ┬─ run_examples (what it learnt from: ids and hashes that outlive an erasure)
                  ├─ evaluations (a version's answer to a document)
                  ├─ gate_decisions
                  └─ model_versions ─┬─ champion (one row)
                                     └─ promotions (append-only)
    predictions ─── shadow_answers

What holds values of a document (golden examples, evaluations, shadow answers) goes with it; so does
what was said of a correction. Only ids and hashes stay.
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
)
from sqlalchemy.orm import Mapped, mapped_column

from db.base import ORDERED, Base, choice
from db.types import CleanText, uuid7


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


class QuarantineState(StrEnum):
    """What became of a correction that was held."""

    WAITING = "waiting"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class ExamplePart(StrEnum):
    """What a run used a correction for."""

    TRAIN = "train"
    REPLAY = "replay"
    HOLDOUT = "holdout"
    GOLDEN = "golden"


class PromotionReason(StrEnum):
    """Why the champion changed."""

    FIRST = "first"
    GATE = "gate"
    MANUAL = "manual"
    ROLLBACK = "rollback"
    AUTOMATIC_ROLLBACK = "automatic-rollback"


class TrainingRun(Base):
    """One attempt to make a better model: its settings, what it learnt from, what came out.

    `champion_id` is the version that it began from, `candidate_id` what it made. `heartbeat_at` is
    when it last said how far it is; a run that is silent has died.
    """

    __tablename__ = "training_runs"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    state: Mapped[RunState] = mapped_column(choice(RunState, "state"))
    config: Mapped[dict[str, Any]]
    manifest: Mapped[dict[str, Any] | None]
    metrics: Mapped[dict[str, Any] | None]
    stage: Mapped[str | None]
    stage_progress: Mapped[float | None]
    # Added after the versions, which refer to runs: without `use_alter` that would be a circle.
    champion_id: Mapped[str | None] = mapped_column(ForeignKey("model_versions.id", use_alter=True))
    candidate_id: Mapped[str | None] = mapped_column(
        ForeignKey("model_versions.id", use_alter=True)
    )
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    heartbeat_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class ModelVersion(Base):
    """A model that can be served; its id is derived from its content and is never used again."""

    __tablename__ = "model_versions"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    base: Mapped[str]
    manifest: Mapped[dict[str, Any]]
    path: Mapped[str]
    state: Mapped[ModelState] = mapped_column(choice(ModelState, "state"))
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("model_versions.id"))
    training_run_id: Mapped[UUID | None] = mapped_column(ForeignKey("training_runs.id"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)


class Champion(Base):
    """The one row that says which version is served; migration 0001 puts it there, empty.

    `generation` grows by one with each promotion and each rollback. `canary_ratio` of the requests
    (0 to 1) is answered by the canary; the shadow answers too, and its answers are only recorded.
    """

    __tablename__ = "champion"
    __table_args__ = (
        CheckConstraint("id = 1", name="one_row"),
        CheckConstraint("canary_ratio BETWEEN 0 AND 1", name="canary_ratio"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, default=1)
    model_version_id: Mapped[str | None] = mapped_column(ForeignKey("model_versions.id"))
    generation: Mapped[int] = mapped_column(BigInteger, server_default="0")
    canary_version_id: Mapped[str | None] = mapped_column(ForeignKey("model_versions.id"))
    canary_ratio: Mapped[float] = mapped_column(server_default="0")
    shadow_version_id: Mapped[str | None] = mapped_column(ForeignKey("model_versions.id"))
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Promotion(Base):
    """One change of the champion, by its generation. Append-only, without exception."""

    __tablename__ = "promotions"

    generation: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    model_version_id: Mapped[str] = mapped_column(ForeignKey("model_versions.id"))
    previous_id: Mapped[str | None]
    reason: Mapped[PromotionReason] = mapped_column(choice(PromotionReason, "reason"))
    actor: Mapped[str] = mapped_column(CleanText)
    run_id: Mapped[UUID | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ScreenedCorrection(Base):
    """A correction that the rules of the quarantine have looked at."""

    __tablename__ = "corrections_screened"

    correction_id: Mapped[UUID] = mapped_column(
        ForeignKey("corrections.id", ondelete="CASCADE"), primary_key=True
    )
    screened_at: Mapped[datetime] = mapped_column(server_default=func.now())


class HeldCorrection(Base):
    """A correction that waits, or waited, for a second person.

    `reasons` is a list of {"rule", "detail"}; a detail names fields and counts, never values.
    """

    __tablename__ = "quarantine"
    __table_args__ = (Index(None, "tenant_id", "state"),)

    correction_id: Mapped[UUID] = mapped_column(
        ForeignKey("corrections.id", ondelete="CASCADE"), primary_key=True
    )
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    state: Mapped[QuarantineState] = mapped_column(choice(QuarantineState, "state"))
    reasons: Mapped[list[Any]]
    decided_by: Mapped[str | None] = mapped_column(CleanText)
    decided_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class RunExample(Base):
    """One correction that a run used, and for what; of the document it keeps ids and a hash.

    `fields` names the fields that were trained on. `prediction_id` is None for a golden example,
    whose own id stands in `correction_id`.
    """

    __tablename__ = "run_examples"
    __table_args__ = (Index(None, "document_id"),)

    run_id: Mapped[UUID] = mapped_column(ForeignKey("training_runs.id"), primary_key=True)
    correction_id: Mapped[UUID] = mapped_column(primary_key=True)
    part: Mapped[ExamplePart] = mapped_column(choice(ExamplePart, "part"), primary_key=True)
    prediction_id: Mapped[UUID | None]
    document_id: Mapped[UUID]
    content_sha256: Mapped[bytes]
    fields: Mapped[list[Any]]


class GoldenExample(Base):
    """A document with a reference that every candidate has to answer as well as the champion."""

    __tablename__ = "golden_examples"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "document_id"],
            ["documents.tenant_id", "documents.id"],
            ondelete="CASCADE",
        ),
        UniqueConstraint("tenant_id", "set_name", "document_id"),
        Index(None, "tenant_id", "document_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    set_name: Mapped[str]
    document_id: Mapped[UUID]
    document_type: Mapped[str]
    document_type_version: Mapped[int | None]
    asked_fields: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    reference: Mapped[dict[str, Any]] = mapped_column(ORDERED)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Evaluation(Base):
    """A question to a version: what is asked of a document; then its answer, once.

    The trainer writes what is asked, `docloop evaluate` the rest, from `record` on.
    """

    __tablename__ = "evaluations"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "document_id"],
            ["documents.tenant_id", "documents.id"],
            ondelete="CASCADE",
        ),
        ForeignKeyConstraint(
            ["tenant_id", "prediction_id"],
            ["predictions.tenant_id", "predictions.id"],
            ondelete="CASCADE",
        ),
        UniqueConstraint(
            *("run_id", "model_version", "set_name", "document_id", "document_type"),
            name="uq_evaluations_question",
        ),
        Index(None, "tenant_id", "document_id"),
        Index(None, "tenant_id", "prediction_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    run_id: Mapped[UUID] = mapped_column(ForeignKey("training_runs.id", ondelete="CASCADE"))
    model_version: Mapped[str]
    set_name: Mapped[str]
    tenant_id: Mapped[UUID]
    document_id: Mapped[UUID]
    prediction_id: Mapped[UUID | None]
    document_type: Mapped[str]
    document_type_version: Mapped[int | None]
    asked_fields: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    options: Mapped[dict[str, Any]]
    reference: Mapped[dict[str, Any]] = mapped_column(ORDERED)
    record: Mapped[dict[str, Any] | None] = mapped_column(ORDERED)
    fields: Mapped[dict[str, Any] | None] = mapped_column(ORDERED)
    schema_valid: Mapped[bool | None]
    duration_seconds: Mapped[float | None]
    error: Mapped[str | None] = mapped_column(CleanText)
    answered_at: Mapped[datetime | None]


class StoredDecision(Base):
    """What the gate said of a candidate, why, and on which scores."""

    __tablename__ = "gate_decisions"
    __table_args__ = (Index(None, "candidate_id", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    run_id: Mapped[UUID] = mapped_column(ForeignKey("training_runs.id"))
    champion_id: Mapped[str]
    candidate_id: Mapped[str]
    passed: Mapped[bool]
    reasons: Mapped[list[Any]]
    inputs: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ShadowAnswer(Base):
    """What a version that is only tried out would have answered; never returned to a caller."""

    __tablename__ = "shadow_answers"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "prediction_id"],
            ["predictions.tenant_id", "predictions.id"],
            ondelete="CASCADE",
        ),
        Index(None, "tenant_id", "prediction_id"),
    )

    prediction_id: Mapped[UUID] = mapped_column(primary_key=True)
    model_version: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID]
    record: Mapped[dict[str, Any] | None] = mapped_column(ORDERED)
    schema_valid: Mapped[bool | None]
    error: Mapped[str | None] = mapped_column(CleanText)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
