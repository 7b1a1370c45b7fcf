"""Model versions, training runs, and the champion that is served. They belong to no tenant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.errors import NotFound, PromotionConflict
from db.tables import Champion, ModelState, ModelVersion, RunState, TrainingRun

CHAMPION_CHANNEL = "docloop_champion"


@dataclass(frozen=True, slots=True)
class NewModel:
    """A model version to register; `id` is derived from its content."""

    id: str
    name: str
    base: str
    path: str
    manifest: Mapping[str, Any] = field(default_factory=dict)
    state: ModelState = ModelState.CANDIDATE
    parent_id: str | None = None
    training_run_id: UUID | None = None


async def register_model(session: AsyncSession, new: NewModel) -> ModelVersion:
    """The version of this id, added where it is not there; an id never changes its meaning."""
    values = {
        "id": new.id,
        "name": new.name,
        "base": new.base,
        "path": new.path,
        "manifest": dict(new.manifest),
        "state": new.state,
        "parent_id": new.parent_id,
        "training_run_id": new.training_run_id,
    }
    await session.execute(insert(ModelVersion).values(values).on_conflict_do_nothing())
    return await get_model(session, new.id)


async def get_model(session: AsyncSession, model_id: str) -> ModelVersion:
    """A model version.

    Raises:
        NotFound: none has this id.
    """
    found = await session.get(ModelVersion, model_id)
    if found is None:
        raise NotFound("model version", model_id)
    return found


async def list_models(session: AsyncSession, limit: int = 100) -> Sequence[ModelVersion]:
    """Model versions, newest first."""
    query = select(ModelVersion).order_by(ModelVersion.created_at.desc()).limit(limit)
    return (await session.execute(query)).scalars().all()


async def set_model_state(session: AsyncSession, model_id: str, state: ModelState) -> ModelVersion:
    """Say where a model version stands.

    Raises:
        NotFound: none has this id.
    """
    model = await get_model(session, model_id)
    model.state = state
    await session.flush()
    return model


async def get_champion(session: AsyncSession) -> Champion:
    """Which version is served, and the generation to promote from."""
    query = select(Champion).execution_options(populate_existing=True)
    return (await session.execute(query)).scalar_one()


async def promote(session: AsyncSession, model_id: str, expected_generation: int) -> Champion:
    """Make a version the champion, if nobody has changed the champion since it was read.

    Listeners on the channel `docloop_champion` hear the new generation at the commit.

    Raises:
        NotFound: no version has this id.
        PromotionConflict: the champion is at another generation.
    """
    await get_model(session, model_id)
    query = (
        update(Champion)
        .where(Champion.generation == expected_generation)
        .values(
            model_version_id=model_id,
            generation=Champion.generation + 1,
            updated_at=func.now(),
        )
        .returning(Champion)
        .execution_options(populate_existing=True)
    )
    champion = (await session.execute(query)).scalar_one_or_none()
    if champion is None:
        raise PromotionConflict(expected_generation, (await get_champion(session)).generation)
    notice = func.pg_notify(CHAMPION_CHANNEL, str(champion.generation))
    await session.execute(select(notice))
    return champion


async def start_run(session: AsyncSession, config: Mapping[str, Any]) -> TrainingRun:
    """Begin a training run."""
    run = TrainingRun(state=RunState.RUNNING, config=dict(config))
    session.add(run)
    await session.flush()
    return run


async def finish_run(
    session: AsyncSession,
    run_id: UUID,
    state: RunState,
    *,
    manifest: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
) -> TrainingRun:
    """Write down how a training run ended.

    Raises:
        NotFound: no such run.
    """
    run = await session.get(TrainingRun, run_id)
    if run is None:
        raise NotFound("training run", str(run_id))
    run.state = state
    run.manifest = None if manifest is None else dict(manifest)
    run.metrics = None if metrics is None else dict(metrics)
    run.finished_at = (await session.execute(select(func.clock_timestamp()))).scalar_one()
    await session.flush()
    return run


async def list_runs(session: AsyncSession, limit: int = 50) -> Sequence[TrainingRun]:
    """Training runs, newest first."""
    query = select(TrainingRun).order_by(TrainingRun.id.desc()).limit(limit)
    return (await session.execute(query)).scalars().all()
