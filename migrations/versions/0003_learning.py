"""What learning keeps: quarantine, run examples, evaluations, decisions, promotions, shadow."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = (
    "shadow_answers",
    "promotions",
    "gate_decisions",
    "evaluations",
    "golden_examples",
    "run_examples",
    "quarantine",
    "corrections_screened",
)


def upgrade() -> None:
    widen_runs_and_champion()
    create_quarantine()
    create_examples()
    create_evaluations()
    create_decisions()
    op.create_index(op.f("ix_predictions_model_version_id"), "predictions", ["model_version", "id"])
    op.execute(
        "CREATE TRIGGER promotions_append_only BEFORE UPDATE OR DELETE ON promotions"
        " FOR EACH ROW EXECUTE FUNCTION docloop_refuse_change()"
    )
    op.execute(
        "CREATE TRIGGER promotions_no_truncate BEFORE TRUNCATE ON promotions"
        " FOR EACH STATEMENT EXECUTE FUNCTION docloop_refuse_change()"
    )
    # A database that is served already: its history begins with the champion that it has.
    op.execute(
        "INSERT INTO promotions (generation, model_version_id, reason, actor)"
        " SELECT generation, model_version_id, 'first', 'migration 0003' FROM champion"
        " WHERE model_version_id IS NOT NULL"
    )


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table)
    op.drop_index(op.f("ix_predictions_model_version_id"), "predictions")
    for column in ("canary_version_id", "canary_ratio", "shadow_version_id"):
        op.drop_column("champion", column)
    for column in ("stage", "stage_progress", "champion_id", "candidate_id", "heartbeat_at"):
        op.drop_column("training_runs", column)


def choice(name: str, *choices: str) -> sa.Enum:
    return sa.Enum(*choices, name=name, native_enum=False, create_constraint=True, length=20)


def created_at(name: str = "created_at") -> sa.Column[object]:
    return sa.Column(
        name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
    )


def belongs(table: str, column: str, to: str) -> sa.ForeignKeyConstraint:
    """A row that goes when its tenant's parent goes."""
    return sa.ForeignKeyConstraint(
        ["tenant_id", column],
        [f"{to}.tenant_id", f"{to}.id"],
        name=op.f(f"fk_{table}_tenant_id_{column}"),
        ondelete="CASCADE",
    )


def widen_runs_and_champion() -> None:
    op.add_column("training_runs", sa.Column("stage", sa.Text(), nullable=True))
    op.add_column("training_runs", sa.Column("stage_progress", sa.Double(), nullable=True))
    op.add_column("training_runs", sa.Column("champion_id", sa.Text(), nullable=True))
    op.add_column("training_runs", sa.Column("candidate_id", sa.Text(), nullable=True))
    op.add_column(
        "training_runs", sa.Column("heartbeat_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.add_column("champion", sa.Column("canary_version_id", sa.Text(), nullable=True))
    op.add_column(
        "champion",
        sa.Column("canary_ratio", sa.Double(), server_default="0", nullable=False),
    )
    op.add_column("champion", sa.Column("shadow_version_id", sa.Text(), nullable=True))
    for table, column in (
        ("training_runs", "champion_id"),
        ("training_runs", "candidate_id"),
        ("champion", "canary_version_id"),
        ("champion", "shadow_version_id"),
    ):
        op.create_foreign_key(
            op.f(f"fk_{table}_{column}"), table, "model_versions", [column], ["id"]
        )
    op.create_check_constraint(
        op.f("ck_champion_canary_ratio"), "champion", "canary_ratio BETWEEN 0 AND 1"
    )


def create_quarantine() -> None:
    op.create_table(
        "corrections_screened",
        sa.Column("correction_id", sa.Uuid(), nullable=False),
        created_at("screened_at"),
        sa.ForeignKeyConstraint(
            ["correction_id"],
            ["corrections.id"],
            name=op.f("fk_corrections_screened_correction_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("correction_id", name=op.f("pk_corrections_screened")),
    )
    op.create_table(
        "quarantine",
        sa.Column("correction_id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("state", choice("state", "waiting", "accepted", "rejected"), nullable=False),
        sa.Column("reasons", JSONB(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        created_at(),
        sa.ForeignKeyConstraint(
            ["correction_id"],
            ["corrections.id"],
            name=op.f("fk_quarantine_correction_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_quarantine_tenant_id")
        ),
        sa.PrimaryKeyConstraint("correction_id", name=op.f("pk_quarantine")),
    )
    op.create_index(op.f("ix_quarantine_tenant_id_state"), "quarantine", ["tenant_id", "state"])


def create_examples() -> None:
    op.create_table(
        "run_examples",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("correction_id", sa.Uuid(), nullable=False),
        sa.Column("part", choice("part", "train", "replay", "holdout", "golden"), nullable=False),
        sa.Column("prediction_id", sa.Uuid(), nullable=True),
        sa.Column("document_id", sa.Uuid(), nullable=False),
        sa.Column("content_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("fields", JSONB(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["training_runs.id"], name=op.f("fk_run_examples_run_id")
        ),
        sa.PrimaryKeyConstraint("run_id", "correction_id", "part", name=op.f("pk_run_examples")),
    )
    op.create_index(op.f("ix_run_examples_document_id"), "run_examples", ["document_id"])
    op.create_table(
        "golden_examples",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("set_name", sa.Text(), nullable=False),
        sa.Column("document_id", sa.Uuid(), nullable=False),
        sa.Column("document_type", sa.Text(), nullable=False),
        sa.Column("document_type_version", sa.Integer(), nullable=True),
        sa.Column("asked_fields", sa.ARRAY(sa.Text()), nullable=True),
        sa.Column("reference", sa.JSON(), nullable=False),
        created_at(),
        belongs("golden_examples", "document_id", "documents"),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_golden_examples_tenant_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_golden_examples")),
        sa.UniqueConstraint(
            "tenant_id",
            "set_name",
            "document_id",
            name=op.f("uq_golden_examples_tenant_id_set_name_document_id"),
        ),
    )
    op.create_index(
        op.f("ix_golden_examples_tenant_id_document_id"),
        "golden_examples",
        ["tenant_id", "document_id"],
    )


def create_evaluations() -> None:
    op.create_table(
        "evaluations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("set_name", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("document_id", sa.Uuid(), nullable=False),
        sa.Column("prediction_id", sa.Uuid(), nullable=True),
        sa.Column("document_type", sa.Text(), nullable=False),
        sa.Column("document_type_version", sa.Integer(), nullable=True),
        sa.Column("asked_fields", sa.ARRAY(sa.Text()), nullable=True),
        sa.Column("options", JSONB(), nullable=False),
        sa.Column("reference", sa.JSON(), nullable=False),
        sa.Column("record", sa.JSON(), nullable=True),
        sa.Column("fields", sa.JSON(), nullable=True),
        sa.Column("schema_valid", sa.Boolean(), nullable=True),
        sa.Column("duration_seconds", sa.Double(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        belongs("evaluations", "document_id", "documents"),
        belongs("evaluations", "prediction_id", "predictions"),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["training_runs.id"],
            name=op.f("fk_evaluations_run_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluations")),
        sa.UniqueConstraint(
            "run_id",
            "model_version",
            "set_name",
            "document_id",
            "document_type",
            name="uq_evaluations_question",
        ),
    )
    for column in ("document_id", "prediction_id"):
        op.create_index(
            op.f(f"ix_evaluations_tenant_id_{column}"), "evaluations", ["tenant_id", column]
        )


def create_decisions() -> None:
    op.create_table(
        "gate_decisions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("champion_id", sa.Text(), nullable=False),
        sa.Column("candidate_id", sa.Text(), nullable=False),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("reasons", JSONB(), nullable=False),
        sa.Column("inputs", JSONB(), nullable=False),
        created_at(),
        sa.ForeignKeyConstraint(
            ["run_id"], ["training_runs.id"], name=op.f("fk_gate_decisions_run_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gate_decisions")),
    )
    op.create_index(
        op.f("ix_gate_decisions_candidate_id_id"), "gate_decisions", ["candidate_id", "id"]
    )
    op.create_table(
        "promotions",
        sa.Column("generation", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("model_version_id", sa.Text(), nullable=False),
        sa.Column("previous_id", sa.Text(), nullable=True),
        sa.Column(
            "reason",
            choice("reason", "first", "gate", "manual", "rollback", "automatic-rollback"),
            nullable=False,
        ),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        created_at(),
        sa.ForeignKeyConstraint(
            ["model_version_id"],
            ["model_versions.id"],
            name=op.f("fk_promotions_model_version_id"),
        ),
        sa.PrimaryKeyConstraint("generation", name=op.f("pk_promotions")),
    )
    op.create_table(
        "shadow_answers",
        sa.Column("prediction_id", sa.Uuid(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("record", sa.JSON(), nullable=True),
        sa.Column("schema_valid", sa.Boolean(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        created_at(),
        belongs("shadow_answers", "prediction_id", "predictions"),
        sa.PrimaryKeyConstraint("prediction_id", "model_version", name=op.f("pk_shadow_answers")),
    )
    op.create_index(
        op.f("ix_shadow_answers_tenant_id_prediction_id"),
        "shadow_answers",
        ["tenant_id", "prediction_id"],
    )
