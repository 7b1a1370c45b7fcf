"""Keeps what is served in step with the champion pointer, without a lost request.

    notice, or poll -> pointer -> folder opened -> swap -> prompts, hint, audit event

Every process does this for itself; they meet in the database alone. A version that is refused, or
whose swap fails, changes nothing: the old one keeps serving, and the problem is named wherever
somebody may look. What was refused is tried again when the pointer moves; what failed for a passing
reason also after `champion_retry_seconds`, each time twice as late.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
import structlog

from api.cancelling import check_cancelled
from api.champion_hint import Hint, write_hint
from api.dependencies import Services
from api.engine.server import SmokeFailed
from api.engine.swapping import SwappingEngine
from api.model_source import configured_traits, open_version
from api.readiness import Part, Progress
from api.routing import Canary
from db.queries.audit import record_event
from db.queries.models import CHAMPION_CHANNEL, get_champion, get_model
from db.sessions import driver_url
from extraction.confidence import Calibration
from extraction.engine import EngineRefused, EngineStatus
from extraction.errors import DocloopError
from extraction.model_folder import BadModelFolder, ModelFolder

ACTOR = "service"
_SOON_SECONDS = 0.25
_CONNECT_SECONDS = 5
_LONGEST_RETRY_SECONDS = 3600.0
_NO_WAY = "none"

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The pointer as the database has it.

    Attributes:
        champion: the version to serve; None where there is none yet.
        generation: of the pointer.
        changed_at: when the row was changed last, canary and shadow included.
        canary: with its share.
        shadow: the version on trial.
        paths: where each named version was registered.
    """

    champion: str | None
    generation: int
    changed_at: datetime
    canary: Canary | None
    shadow: str | None
    paths: dict[str, str]

    @property
    def beside(self) -> set[str]:
        """The versions to have loaded beside the champion."""
        named = {self.shadow, None if self.canary is None else self.canary.version}
        return {version for version in named if version is not None} - {self.champion or ""}


@dataclass(slots=True)
class _Fault:
    """Why a version is not served, and when it may be tried again.

    `retry_at` is monotonic; None waits for another pointer.
    """

    changed_at: datetime
    why: str
    pause_seconds: float
    retry_at: float | None


class ChampionWatch:
    """Follows the pointer for one process.

    Args:
        services: of the app; its database is there and migrated.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._settings = services.settings
        self._faults: dict[str, _Fault] = {}
        self._settled = False  # whether the champion was served, or refused, once
        self._waits = False  # for something that comes within moments

    async def run(self) -> None:
        """Follows until cancelled, through any absence of the database."""
        while True:
            check_cancelled()
            try:
                async with self._listening() as connection:
                    while True:
                        await self._follow()
                        await self._hear(connection)
            except (psycopg.Error, DocloopError, OSError, TimeoutError) as error:
                logger.warning("cannot listen for promotions; polling", exc_info=error)
            await self._follow()
            await asyncio.sleep(self._pause_seconds())

    async def follow(self) -> None:
        """Once: read the pointer, and serve what it says as far as that can be done now.

        Raises:
            Exception: the database was lost; nothing has changed.
        """
        self._waits = False
        wanted = await self._read()
        routing = self._services.routing
        routing.champion, routing.generation = wanted.champion, wanted.generation
        self._withdraw(wanted)
        problems = []
        if wanted.champion is not None:
            problems.append(await self._serve(wanted.champion, wanted))
        problems += await self._try_beside(wanted)
        routing.problem = "; ".join(filter(None, problems))
        served = self._services.engine.state().model
        self._services.metrics.set_champion(wanted.generation, served=served == wanted.champion)
        self._settled = self._settled or not self._waits
        progress = Progress.READY if self._settled else Progress.STARTING
        words = filter(None, (served, routing.problem))
        self._services.readiness.mark(Part.MODEL, progress, "; ".join(words))

    async def _follow(self) -> None:
        try:
            await self.follow()
            check_cancelled()
        except Exception as error:
            logger.warning("cannot follow the champion now", exc_info=error)

    @contextlib.asynccontextmanager
    async def _listening(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        """A connection of our own that hears of changes; notices wait in it while we are busy."""
        url = driver_url(self._services.database_url).set(drivername="postgresql")
        connection = await psycopg.AsyncConnection.connect(
            url.render_as_string(hide_password=False),
            autocommit=True,
            connect_timeout=_CONNECT_SECONDS,
            application_name="docloop champion",
        )
        try:
            await connection.execute(f"LISTEN {CHAMPION_CHANNEL}".encode())
            yield connection
        finally:
            with contextlib.suppress(psycopg.Error):
                await connection.close()

    async def _hear(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Returns at a notice, or when it is time to look without one."""
        async for _ in connection.notifies(timeout=self._pause_seconds(), stop_after=1):
            pass

    def _pause_seconds(self) -> float:
        return _SOON_SECONDS if self._waits else self._settings.champion_poll_seconds

    async def _read(self) -> Wanted:
        async with self._services.sessions.begin() as session:
            row = await get_champion(session)
            named = {row.model_version_id, row.canary_version_id, row.shadow_version_id} - {None}
            models = [await get_model(session, str(version)) for version in sorted(map(str, named))]
            canary = row.canary_version_id if row.canary_ratio > 0 else None
            return Wanted(
                champion=row.model_version_id,
                generation=row.generation,
                changed_at=row.updated_at,
                canary=None if canary is None else Canary(canary, row.canary_ratio),
                shadow=row.shadow_version_id,
                paths={model.id: model.path for model in models},
            )

    def _withdraw(self, wanted: Wanted) -> None:
        """Ask no version any more that is not wanted beside the champion."""
        routing = self._services.routing
        if routing.canary != wanted.canary:
            routing.canary = None
        if routing.shadow != wanted.shadow:
            routing.shadow = None

    async def _serve(self, version: str, wanted: Wanted) -> str:
        """Swap where another version is served; answers the problem, "" where there is none."""
        engine = self._services.engine
        state = engine.state()
        if state.model == version:
            self._faults.pop(version, None)
            return ""
        if not isinstance(engine, SwappingEngine):
            return f"the champion is {version}, and the servers in DOCLOOP_ENGINE_URLS decide"
        fault = self._fault(version, wanted)
        if fault is not None:
            return fault.why
        if not self._services.has_extractor or state.status not in {
            EngineStatus.READY,
            EngineStatus.FAILED,
        }:
            self._waits = True
            return f"{version} waits for the engine"
        began = time.monotonic()
        try:
            folder = await self._open(version, wanted)
            outcome = await engine.swap(folder, on_switch=self._switched)
        except Exception as error:  # noqa: BLE001 - whatever it is, the old version serves on
            return await self._failed(version, wanted, error)
        self._faults.pop(version, None)
        self._services.metrics.count_swap(outcome.way, "done", outcome.pause_seconds)
        facts = {
            "before": state.model,
            "generation": wanted.generation,
            "way": str(outcome.way),
            "pause_seconds": round(outcome.pause_seconds, 3),
        }
        seconds = round(time.monotonic() - began, 3)
        logger.info("version swapped", model_version=version, duration_seconds=seconds, **facts)
        await asyncio.to_thread(self._remember, folder)
        await self._note("model.swap", version, facts)
        return ""

    def _switched(self, folder: ModelFolder) -> None:
        """New requests go to another version: from this moment on prompts are made for it."""
        self._services.extractor.use_version(folder.version)

    async def _try_beside(self, wanted: Wanted) -> list[str]:
        """Load canary and shadow, unload what is neither any more; answers the problems."""
        engine, routing = self._services.engine, self._services.routing
        if not isinstance(engine, SwappingEngine):
            none = "no canary and no shadow on DOCLOOP_ENGINE_URLS without DOCLOOP_ENGINE_ADAPTERS"
            return [none] if wanted.beside else []
        champion, *loaded = engine.versions()
        for version in set(loaded) - wanted.beside:
            await engine.unload(version)
        missing = sorted(wanted.beside - set(loaded))
        problems = [await self._load(engine, version, wanted) for version in missing]
        self._forget({champion, *engine.versions(), *wanted.beside})
        beside = set(engine.versions()) & wanted.beside
        if wanted.canary is not None and wanted.canary.version in beside:
            routing.canary = wanted.canary
        routing.shadow = wanted.shadow if wanted.shadow in beside else None
        return problems

    async def _load(self, engine: SwappingEngine, version: str, wanted: Wanted) -> str:
        """Load a version beside the champion; answers the problem."""
        fault = self._fault(version, wanted)
        if fault is not None:
            return fault.why
        if not self._services.has_extractor or not engine.state().ready:
            self._waits = self._waits or not self._settled
            return f"{version} waits for the engine"
        try:
            await engine.load(await self._open(version, wanted))
        except Exception as error:  # noqa: BLE001 - whatever it is, the champion serves on
            return await self._failed(version, wanted, error)
        self._faults.pop(version, None)
        facts = {"generation": wanted.generation}
        logger.info("version loaded beside the champion", model_version=version, **facts)
        await self._note("model.load", version, facts)
        return ""

    async def _open(self, version: str, wanted: Wanted) -> ModelFolder:
        """The version's folder, looked at in full; its prompts can be made from now on.

        Raises:
            BadModelFolder: it must not be served.
        """
        path = wanted.paths[version]
        folder = await asyncio.to_thread(open_version, self._settings, version, path)
        calibration = await asyncio.to_thread(Calibration.load, folder.folder)
        self._services.extractor.add_version(folder.traits, calibration)
        return folder

    def _forget(self, kept: set[str]) -> None:
        """Drop what the extractor knows of versions that cannot answer any more."""
        if self._services.has_extractor:
            versions = self._services.extractor.versions
            for version in versions.names - kept - {versions.used.name}:
                versions.drop(version)

    def _fault(self, version: str, wanted: Wanted) -> _Fault | None:
        """Why the version must not be tried now; None where it may."""
        fault = self._faults.get(version)
        if fault is None or fault.changed_at != wanted.changed_at:
            return None
        if fault.retry_at is not None and time.monotonic() >= fault.retry_at:
            return None
        return fault

    async def _failed(self, version: str, wanted: Wanted, error: Exception) -> str:
        """Note that a version did not come; the sentence to show."""
        is_final = isinstance(error, BadModelFolder | ValueError) or isinstance(
            error.__cause__, SmokeFailed | EngineRefused
        )
        why = str(error) if isinstance(error, DocloopError) else type(error).__name__
        before = self._faults.get(version)
        known = before is not None and before.changed_at == wanted.changed_at
        pause = self._settings.champion_retry_seconds
        if before is not None and known:
            pause = min(_LONGEST_RETRY_SECONDS, before.pause_seconds * 2)
        retry_at = None if is_final else time.monotonic() + pause
        sentence = f"{version} is not served: {why}"
        self._faults = {v: f for v, f in self._faults.items() if f.changed_at == wanted.changed_at}
        self._faults[version] = _Fault(wanted.changed_at, sentence, pause, retry_at)
        result = "refused" if is_final else "failed"
        self._services.metrics.count_swap(_NO_WAY, result)
        logger.error("version not served", result=result, model_version=version, exc_info=error)
        if not known:  # once, and not with every retry
            slug = error.slug if isinstance(error, DocloopError) else type(error).__name__
            facts = {"generation": wanted.generation, "problem": slug}
            await self._note(f"model.{result}", version, facts)
        return sentence

    async def _note(self, action: str, version: str, facts: dict[str, Any]) -> None:
        """An audit event of the service itself; what happened has happened, with it or without."""
        try:
            async with self._services.sessions.begin() as session:
                await record_event(
                    session, None, actor=ACTOR, action=action, subject=version, details=facts
                )
        except Exception as error:
            logger.warning("audit event lost", action=action, exc_info=error)

    def _remember(self, folder: ModelFolder) -> None:
        """A restart begins with this version; the configured one, and an adapter, need no hint."""
        configured = configured_traits(self._settings)
        is_configured = configured is not None and configured.version == folder.version
        hint = None
        if folder.form == "merged" and not is_configured:
            hint = Hint(folder.version, folder.folder)
        try:
            write_hint(self._settings.data_dir.expanduser().resolve(), hint)
        except OSError as error:
            logger.warning("no hint for the next start", exc_info=error)
