"""Training runs: how far they are, what they learnt from, what the gate said of the result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.errors import NotFound
from db.tables import (
    ExamplePart,
    ModelVersion,
    Prediction,
    RunExample,
    RunState,
    StoredDecision,
    TrainingRun,
)

UNFINISHED = (RunState.RUNNING, RunState.INTERRUPTED)
LEARNT = (ExamplePart.TRAIN, ExamplePart.REPLAY)


@dataclass(frozen=True, slots=True)
class RunExampleRow:
    """One correction that a run uses.

    Attributes:
        correction_id: it, or the golden example's own id.
        document_id: its document.
        content_sha256: of the document, 32 bytes.
        part: an `ExamplePart`.
        fields: names of the fields that are trained on, or compared.
        prediction_id: what was corrected; None for a golden example.
    """

    correction_id: UUID
    document_id: UUID
    content_sha256: bytes
    part: str
    fields: tuple[str, ...] = ()
    prediction_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class LineageStep:
    """A version, the run that made it, and the corrections that the run trained on."""

    model_version: str
    run_id: UUID | None
    correction_ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Lineage:
    """What is behind a prediction.

    Attributes:
        model_version: that made it; None where it is not finished.
        run_id: that made the version; None for a version that was not trained here.
        correction_ids: that this run trained on, those of erased documents included.
        steps: the version, its parent, and so on to the first; empty for an unregistered version.
    """

    model_version: str | None
    run_id: UUID | None
    correction_ids: tuple[UUID, ...]
    steps: tuple[LineageStep, ...]


async def start_run(
    session: AsyncSession, config: Mapping[str, Any], *, champion_id: str | None
) -> TrainingRun:
    """Begin a training run.

    Args:
        session: to write with.
        config: the whole profile.
        champion_id: the version that it begins from.
    """
    run = TrainingRun(state=RunState.RUNNING, config=dict(config), champion_id=champion_id)
    session.add(run)
    await session.flush()
    return run


async def get_run(session: AsyncSession, run_id: UUID) -> TrainingRun:
    """A training run, as the database has it now.

    Raises:
        NotFound: no such run.
    """
    run = await session.get(TrainingRun, run_id, populate_existing=True)
    if run is None:
        raise NotFound("training run", str(run_id))
    return run


async def set_stage(
    session: AsyncSession, run_id: UUID, stage: str, progress: float
) -> TrainingRun:
    """Say how far a run is, and that it lives; one that was interrupted runs again.

    Args:
        session: to write with.
        run_id: the run.
        stage: its name, as "sft".
        progress: share of the stage that is done, 0 to 1.

    Raises:
        NotFound: no such run.
    """
    run = await get_run(session, run_id)
    run.stage, run.stage_progress = stage, progress
    run.heartbeat_at = (await session.execute(select(func.clock_timestamp()))).scalar_one()
    if run.state is RunState.INTERRUPTED:
        run.state, run.finished_at = RunState.RUNNING, None
    await session.flush()
    return run


async def finish_run(
    session: AsyncSession,
    run_id: UUID,
    state: RunState,
    *,
    manifest: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    candidate_id: str | None = None,
) -> TrainingRun:
    """Write down how a training run ended; what is None stays as it is.

    Args:
        session: to write with.
        run_id: the run.
        state: how it ended; an interrupted one can go on.
        manifest: ids and hashes of what it learnt from.
        metrics: what came out.
        candidate_id: the version that it made; it is registered.

    Raises:
        NotFound: no such run.
    """
    run = await get_run(session, run_id)
    run.state = state
    if manifest is not None:
        run.manifest = dict(manifest)
    if metrics is not None:
        run.metrics = dict(metrics)
    if candidate_id is not None:
        run.candidate_id = candidate_id
    run.finished_at = (await session.execute(select(func.clock_timestamp()))).scalar_one()
    await session.flush()
    return run


async def list_runs(session: AsyncSession, limit: int = 50) -> Sequence[TrainingRun]:
    """Training runs, newest first."""
    query = select(TrainingRun).order_by(TrainingRun.id.desc()).limit(limit)
    return (await session.execute(query)).scalars().all()


async def unfinished_run(session: AsyncSession) -> TrainingRun | None:
    """The newest run, if it runs or was interrupted: the one to go on with."""
    query = select(TrainingRun).order_by(TrainingRun.id.desc()).limit(1)
    query = query.execution_options(populate_existing=True)
    newest = (await session.execute(query)).scalar_one_or_none()
    return newest if newest is not None and newest.state in UNFINISHED else None


async def last_finished(
    session: AsyncSession, state: RunState = RunState.DONE
) -> TrainingRun | None:
    """The run that ended last in this state."""
    query = (
        select(TrainingRun)
        .where(TrainingRun.state == state, TrainingRun.finished_at.is_not(None))
        .order_by(TrainingRun.finished_at.desc())
        .limit(1)
    )
    return (await session.execute(query)).scalar_one_or_none()


async def add_run_examples(
    session: AsyncSession, run_id: UUID, rows: Sequence[RunExampleRow]
) -> None:
    """Write down what a run uses; rows that are there already stay, so that it can be repeated."""
    if not rows:
        return
    values = [
        {
            "run_id": run_id,
            "correction_id": row.correction_id,
            "prediction_id": row.prediction_id,
            "document_id": row.document_id,
            "content_sha256": row.content_sha256,
            "part": ExamplePart(row.part),
            "fields": list(row.fields),
        }
        for row in rows
    ]
    await session.execute(insert(RunExample).on_conflict_do_nothing(), values)


async def list_run_examples(session: AsyncSession, run_id: UUID) -> Sequence[RunExample]:
    """What a run used, by part and correction."""
    query = (
        select(RunExample)
        .where(RunExample.run_id == run_id)
        .order_by(RunExample.part, RunExample.correction_id)
    )
    return (await session.execute(query)).scalars().all()


async def runs_that_saw(session: AsyncSession, document_id: UUID) -> Sequence[UUID]:
    """Runs that used a document for anything, oldest first; the document may be erased by now."""
    query = (
        select(RunExample.run_id)
        .where(RunExample.document_id == document_id)
        .distinct()
        .order_by(RunExample.run_id)
    )
    return (await session.execute(query)).scalars().all()


async def lineage(session: AsyncSession, prediction_id: UUID) -> Lineage:
    """The version, the runs and the corrections behind a prediction.

    Raises:
        NotFound: no such prediction.
    """
    query = select(Prediction.model_version).where(Prediction.id == prediction_id)
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise NotFound("prediction", str(prediction_id))
    steps: list[LineageStep] = []
    version = await _find_version(session, row.model_version)
    while version is not None:
        learnt = await _learnt(session, version.training_run_id)
        steps.append(LineageStep(version.id, version.training_run_id, learnt))
        version = await _find_version(session, version.parent_id)
    first = steps[0] if steps else None
    return Lineage(
        model_version=row.model_version,
        run_id=first.run_id if first else None,
        correction_ids=first.correction_ids if first else (),
        steps=tuple(steps),
    )


async def store_decision(
    session: AsyncSession,
    *,
    run_id: UUID,
    champion_id: str,
    candidate_id: str,
    passed: bool,
    reasons: Sequence[str],
    inputs: Mapping[str, Any],
) -> StoredDecision:
    """Write down what the gate said, with what it was given."""
    decision = StoredDecision(
        run_id=run_id,
        champion_id=champion_id,
        candidate_id=candidate_id,
        passed=passed,
        reasons=list(reasons),
        inputs=dict(inputs),
    )
    session.add(decision)
    await session.flush()
    return decision


async def latest_decision(session: AsyncSession, candidate_id: str) -> StoredDecision | None:
    """The gate's last word on a candidate; None where it has not spoken."""
    query = (
        select(StoredDecision)
        .where(StoredDecision.candidate_id == candidate_id)
        .order_by(StoredDecision.id.desc())
        .limit(1)
    )
    return (await session.execute(query)).scalar_one_or_none()


async def _find_version(session: AsyncSession, version: str | None) -> ModelVersion | None:
    return None if version is None else await session.get(ModelVersion, version)


async def _learnt(session: AsyncSession, run_id: UUID | None) -> tuple[UUID, ...]:
    query = (
        select(RunExample.correction_id)
        .where(RunExample.run_id == run_id, RunExample.part.in_(LEARNT))
        .distinct()
        .order_by(RunExample.correction_id)
    )
    return tuple((await session.execute(query)).scalars())
