"""Changes of who is served, checked before the pointer moves; one for HTTP and command line.

A folder is opened before any row changes, so that no process is ever told to load what this machine
can see to be missing, damaged or foreign. The look takes as long as reading the files does, and no
transaction is open meanwhile; the generation that was read before it decides at the end.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from api.model_source import open_version
from api.routing import AlreadyServed
from api.settings import Settings
from db.errors import NothingToRollBackTo, PromotionConflict
from db.queries.audit import record_event
from db.queries.models import (
    get_champion,
    get_model,
    previous_version,
    promote,
    roll_back,
    set_canary,
    set_model_state,
    set_shadow,
)
from db.tables import Champion, ModelState, ModelVersion


@dataclass(frozen=True, slots=True)
class Promoter:
    """Who changes what is served, and by which settings.

    Attributes:
        sessions: of the database.
        settings: where this machine has its versions.
        actor: for the audit trail, as "key:dl_x7Kq2".
    """

    sessions: async_sessionmaker[AsyncSession]
    settings: Settings
    actor: str

    async def promote(self, version: str, expected_generation: int | None = None) -> Champion:
        """Make a version the champion; the champion itself again makes every process try anew.

        Args:
            version: a registered one.
            expected_generation: of the champion that the decision was made on; None for the one
                that is found now.

        Raises:
            NotFound: no such version.
            BadModelFolder: its folder must not be served.
            PromotionConflict: the champion has changed.
        """
        async with self.sessions.begin() as session:
            model, champion = await get_model(session, version), await get_champion(session)
        expected = _expected(champion, expected_generation)
        await self._look(model)
        async with self.sessions.begin() as session:
            moved = await promote(
                session, version, expected, actor=self.actor, run_id=model.training_run_id
            )
            await set_model_state(session, version, ModelState.ACCEPTED)
            await self._note(session, "model.promote", version, champion, moved)
        return moved

    async def roll_back(self, expected_generation: int | None = None) -> Champion:
        """Make the version before the champion the champion again, and reject the one that leaves.

        Raises:
            NothingToRollBackTo: there is none before it.
            BadModelFolder: its folder must not be served any more.
            PromotionConflict: the champion has changed.
        """
        async with self.sessions.begin() as session:
            champion = await get_champion(session)
            target = await previous_version(session)
            if target is None:
                raise NothingToRollBackTo(champion.model_version_id)
            model = await get_model(session, target)
        expected = _expected(champion, expected_generation)
        await self._look(model)
        async with self.sessions.begin() as session:
            moved = await roll_back(session, actor=self.actor, expected_generation=expected)
            await self._note(
                session, "model.rollback", moved.model_version_id or "", champion, moved
            )
        return moved

    async def set_canary(self, version: str | None, ratio: float) -> Champion:
        """Let a version answer a share of the predictions, 0 to 1; None, or 0, ends it.

        Raises:
            NotFound: no such version.
            AlreadyServed: it is the champion.
            BadModelFolder: its folder must not be served.
        """
        version = version if ratio > 0 else None
        champion = await self._look_at_trial(version)
        async with self.sessions.begin() as session:
            changed = await set_canary(session, version, ratio if version else 0.0)
            await self._note(session, "model.canary", version or "", champion, changed, ratio=ratio)
        return changed

    async def set_shadow(self, version: str | None) -> Champion:
        """Let a version answer for the record only; None ends it.

        Raises:
            NotFound, AlreadyServed, BadModelFolder: as with `set_canary`.
        """
        champion = await self._look_at_trial(version)
        async with self.sessions.begin() as session:
            changed = await set_shadow(session, version)
            await self._note(session, "model.shadow", version or "", champion, changed)
        return changed

    async def _look_at_trial(self, version: str | None) -> Champion:
        async with self.sessions.begin() as session:
            champion = await get_champion(session)
            model = None if version is None else await get_model(session, version)
        if model is not None:
            if model.id == champion.model_version_id:
                raise AlreadyServed(model.id)
            await self._look(model)
        return champion

    async def _look(self, model: ModelVersion) -> None:
        """Raise where the folder must not be served; servers without adapters have their own."""
        if not self.settings.engine_urls or self.settings.engine_adapters:
            await asyncio.to_thread(open_version, self.settings, model.id, model.path)

    async def _note(
        self,
        session: AsyncSession,
        action: str,
        subject: str,
        before: Champion,
        after: Champion,
        **details: Any,
    ) -> None:
        """An audit event of the service itself, in the transaction of the change."""
        facts = {
            "generation": after.generation,
            "before": before.model_version_id,
            "champion": after.model_version_id,
            **details,
        }
        await record_event(
            session, None, actor=self.actor, action=action, subject=subject, details=facts
        )


def _expected(champion: Champion, given: int | None) -> int:
    """The generation to change from.

    Raises:
        PromotionConflict: the caller has read another one.
    """
    if given is not None and given != champion.generation:
        raise PromotionConflict(given, champion.generation)
    return champion.generation
