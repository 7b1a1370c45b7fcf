"""Model versions, and the champion that is served: a pointer that moves. They belong to no tenant.

Listeners on `CHAMPION_CHANNEL` hear the generation at the commit of whatever changes the champion,
its canary or its shadow; they read the row then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.errors import NotFound, NothingToRollBackTo, PromotionConflict
from db.tables import Champion, ModelState, ModelVersion, Promotion, PromotionReason

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


async def promote(
    session: AsyncSession,
    model_id: str,
    expected_generation: int,
    *,
    reason: str = PromotionReason.MANUAL,
    actor: str = "",
    run_id: UUID | None = None,
) -> Champion:
    """Make a version the champion, if nobody has changed the champion since it was read.

    Args:
        session: to write with.
        model_id: the version.
        expected_generation: of the champion that the decision was made on.
        reason: a `PromotionReason`; where there was no champion, "first" is written down.
        actor: who, as "key:dl_x7Kq2" or "trainer".
        run_id: the training run that made the version.

    Raises:
        NotFound: no version has this id.
        PromotionConflict: the champion is at another generation.
    """
    await get_model(session, model_id)
    previous = await _hold_champion(session, expected_generation)
    cleared: dict[str, Any] = {}
    if previous.canary_version_id == model_id:
        cleared |= {"canary_version_id": None, "canary_ratio": 0.0}
    if previous.shadow_version_id == model_id:
        cleared["shadow_version_id"] = None
    previous_id = previous.model_version_id
    champion = await _change_champion(
        session, model_version_id=model_id, generation=Champion.generation + 1, **cleared
    )
    promotion = Promotion(
        generation=champion.generation,
        model_version_id=model_id,
        previous_id=previous_id,
        reason=PromotionReason.FIRST if previous_id is None else PromotionReason(reason),
        actor=actor,
        run_id=run_id,
    )
    session.add(promotion)
    await session.flush()
    return champion


async def list_promotions(session: AsyncSession, limit: int = 100) -> Sequence[Promotion]:
    """Changes of the champion, newest first."""
    query = select(Promotion).order_by(Promotion.generation.desc()).limit(limit)
    return (await session.execute(query)).scalars().all()


async def previous_version(session: AsyncSession) -> str | None:
    """The version to go back to: the last champion before the current one; None where none is left.

    A version that was once rolled back from is skipped, so that a second rollback goes further back
    and never forward to what was bad.
    """
    champion = await get_champion(session)
    left = select(Promotion.previous_id).where(
        Promotion.reason.in_([PromotionReason.ROLLBACK, PromotionReason.AUTOMATIC_ROLLBACK]),
        Promotion.previous_id.is_not(None),
    )
    query = (
        select(Promotion.model_version_id)
        .where(
            Promotion.model_version_id != champion.model_version_id,
            Promotion.model_version_id.not_in(left),
        )
        .order_by(Promotion.generation.desc())
        .limit(1)
    )
    return (await session.execute(query)).scalar_one_or_none()


async def roll_back(
    session: AsyncSession,
    *,
    reason: str = PromotionReason.ROLLBACK,
    actor: str,
    expected_generation: int | None = None,
) -> Champion:
    """Make the version before the current one the champion again, and reject the current one.

    Args:
        session: to write with.
        reason: "rollback" or "automatic-rollback".
        actor: who, as "key:dl_x7Kq2" or "worker".
        expected_generation: as with `promote`; None takes back whatever is served now.

    Raises:
        NothingToRollBackTo: no earlier champion is left.
        PromotionConflict: the champion is at another generation.
    """
    champion = await _hold_champion(session, expected_generation)
    left, generation = champion.model_version_id, champion.generation
    target = await previous_version(session)
    if left is None or target is None:
        raise NothingToRollBackTo(left)
    champion = await promote(session, target, generation, reason=reason, actor=actor)
    await set_model_state(session, left, ModelState.REJECTED)
    return champion


async def set_canary(session: AsyncSession, version: str | None, ratio: float) -> Champion:
    """Let a version answer a share of the requests; None ends it.

    Args:
        session: to write with.
        version: the canary.
        ratio: its share, 0 to 1.

    Raises:
        NotFound: no version has this id.
        ValueError: the share is none.
    """
    if not 0.0 <= ratio <= 1.0:
        raise ValueError(f"A share is between 0 and 1, not {ratio}.")
    if version is not None:
        await get_model(session, version)
    share = 0.0 if version is None else ratio
    return await _change_champion(session, canary_version_id=version, canary_ratio=share)


async def set_shadow(session: AsyncSession, version: str | None) -> Champion:
    """Let a version answer beside the champion without being heard; None ends it.

    Raises:
        NotFound: no version has this id.
    """
    if version is not None:
        await get_model(session, version)
    return await _change_champion(session, shadow_version_id=version)


async def _hold_champion(session: AsyncSession, expected_generation: int | None) -> Champion:
    """The champion's row, locked; of two at once the second sees what the first has done."""
    query = select(Champion).with_for_update().execution_options(populate_existing=True)
    champion = (await session.execute(query)).scalar_one()
    if expected_generation is not None and champion.generation != expected_generation:
        raise PromotionConflict(expected_generation, champion.generation)
    return champion


async def _change_champion(session: AsyncSession, **values: Any) -> Champion:
    query = (
        update(Champion)
        .values(**values, updated_at=func.clock_timestamp())
        .returning(Champion)
        .execution_options(populate_existing=True, synchronize_session=False)
    )
    champion = (await session.execute(query)).scalar_one()
    notice = func.pg_notify(CHAMPION_CHANNEL, str(champion.generation))
    await session.execute(select(notice))
    return champion
