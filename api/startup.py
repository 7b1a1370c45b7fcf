"""The service's start and end: everything comes up in the background while the API answers.

    database -> migrations -> first key -> model version -> watch over the champion, job queue
    line reader and its companions
    engine

Each of the three lines goes on by itself, and each step is tried again until it works, so that a
database that comes late, or goes and comes back, needs no restart of the API.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from api.cancelling import check_cancelled
from api.champion_watch import ACTOR, ChampionWatch
from api.dependencies import Services
from api.jobs import run_jobs
from api.model_source import (
    configured_traits,
    load_extractor,
    open_version,
    starting_folder,
)
from api.readiness import Part, Progress
from api.retention import keep_retention
from api.settings import Settings
from db.embedded import EmbeddedPostgres, start_postgres
from db.queries.audit import record_event
from db.queries.blobs import sweep_blobs
from db.queries.keys import create_key, ensure_tenant, find_key, list_keys
from db.queries.models import NewModel, get_champion, get_model, promote, register_model
from db.tables import Champion, ModelState, Scope
from extraction.engine import EngineStatus
from extraction.errors import DocloopError
from extraction.model_folder import BadModelFolder
from extraction.traits import ModelTraits

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 15.0
_WATCH_SECONDS = 0.25
_END_SECONDS = 20.0
_ENGINE_PROGRESS = {
    EngineStatus.READY: Progress.READY,
    EngineStatus.FAILED: Progress.FAILED,
    EngineStatus.STARTING: Progress.STARTING,
    EngineStatus.STOPPED: Progress.WAITING,
}

logger = structlog.get_logger(__name__)


class Startup:
    """Starts what `Services` needs, keeps it up, and ends it in order.

    Args:
        services: is filled while the parts come up.
        traits: of the served model; None where there is none yet.
        on_first_key: is given the text of a generated key, once; it is stored nowhere.
    """

    def __init__(
        self,
        services: Services,
        traits: ModelTraits | None,
        on_first_key: Callable[[str], None] | None = None,
    ) -> None:
        self._services = services
        self._settings = services.settings
        self._ready = services.readiness
        self._traits = traits
        self._on_first_key = on_first_key
        self._postgres: EmbeddedPostgres | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def begin(self) -> None:
        """Starts everything and returns at once."""
        await self._services.engine.start()
        for work in (self._bring_up_storage, self._load_lines, self._watch_engine):
            self._tasks.append(asyncio.create_task(work(), name=work.__name__.strip("_")))

    async def end(self) -> None:
        """Ends everything, last started first; nothing is left running."""
        for task in self._tasks:
            task.cancel()
        # Jobs under way may take `shutdown_seconds`. What holds on longer is not waited for: the
        # engine and the database have to be stopped whatever happens.
        patience = self._settings.shutdown_seconds + _END_SECONDS
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=patience)
            if late:
                logger.error("background work did not end in time", task_count=len(late))
        await self._services.engine.stop()
        await self._services.close()
        if self._postgres is not None:
            await asyncio.to_thread(self._postgres.stop)
        logger.info("stopped")

    async def _bring_up_storage(self) -> None:
        """The database line; goes on as the watch over the queue."""
        await self._insist(Part.DATABASE, self._open_database)
        if self._postgres is not None:
            self._tasks.append(asyncio.create_task(self._watch_postgres(), name="watch_postgres"))
        await self._insist(Part.MIGRATIONS, self._migrate)
        await self._insist(Part.KEY, self._ensure_key)
        # Ready when the watch has seen that it is the one to serve, or has brought that one.
        await self._insist(Part.MODEL, self._register_models, done=Progress.STARTING)
        watch = ChampionWatch(self._services)
        self._tasks.append(asyncio.create_task(watch.run(), name="champion_watch"))
        shadow = self._services.shadow.run(self._services)
        self._tasks.append(asyncio.create_task(shadow, name="shadow"))
        await self._sweep()
        retention = keep_retention(self._services)
        self._tasks.append(asyncio.create_task(retention, name="retention"))
        await self._keep_jobs_running()

    async def _insist(
        self,
        part: Part,
        step: Callable[[], Awaitable[str]],
        *,
        done: Progress = Progress.READY,
    ) -> None:
        """Tries a step until it works; the state says why it did not.

        Args:
            part: what is brought up.
            step: answers a word on it.
            done: how far the part is with that.
        """
        pause = _FIRST_PAUSE_SECONDS
        while True:
            check_cancelled()
            began = time.monotonic()
            self._ready.mark(part, Progress.STARTING)
            try:
                result = await step()
                check_cancelled()
            except Exception as error:
                self._ready.mark(part, Progress.FAILED, _why(error))
                logger.warning("start step failed", part=part, exc_info=error)
                await asyncio.sleep(pause)
                pause = min(_LONGEST_PAUSE_SECONDS, pause * 2)
            else:
                seconds = round(time.monotonic() - began, 3)
                logger.info("start step done", part=part, duration_seconds=seconds)
                self._ready.mark(part, done, result)
                return

    async def _open_database(self) -> str:
        if self._settings.database_url is not None:
            if not self._services.has_database:
                self._services.use_database(self._settings.database_url.get_secret_value())
            async with self._services.sessions() as session:
                await session.execute(text("SELECT 1"))
            return "at DATABASE_URL"
        folder = self._settings.data_dir / "postgres"
        # Shielded: a start that is given up half-way would leave a server behind that nobody stops.
        starting = asyncio.create_task(asyncio.to_thread(start_postgres, folder))
        try:
            self._postgres = await asyncio.shield(starting)
        except asyncio.CancelledError:
            with contextlib.suppress(Exception):
                self._postgres = await starting
            raise
        self._services.use_database(self._postgres.url)
        return f"embedded, in {folder}"

    async def _watch_postgres(self) -> None:
        """An embedded server that died is started again; what was committed is there."""
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            if self._postgres is None or self._postgres.is_running():
                continue
            logger.error("embedded postgres is gone; starting it again")
            self._ready.mark(Part.DATABASE, Progress.STARTING, "it died and is started again")
            url = self._postgres.url
            await self._insist(Part.DATABASE, self._reopen_database)
            if self._postgres.url != url:
                await self._services.close()
                self._services.use_database(self._postgres.url)

    async def _reopen_database(self) -> str:
        folder = self._settings.data_dir / "postgres"
        self._postgres = await asyncio.to_thread(start_postgres, folder)
        return f"embedded, in {folder}"

    async def _migrate(self) -> str:
        from db.migrate import current, head, upgrade

        url = self._services.database_url
        await asyncio.to_thread(upgrade, url)
        found = await asyncio.to_thread(current, url)
        if found != head():
            raise RuntimeError("the database is at a revision that this version does not know")
        return f"at {found}"

    async def _ensure_key(self) -> str:
        """The operator's key, or a generated one where the tenant has none."""
        given = self._settings.api_key
        async with self._services.sessions() as session, session.begin():
            tenant = await ensure_tenant(session, self._settings.tenant)
            secret = None if given is None else given.get_secret_value()
            if secret is not None and (found := await find_key(session, secret)) is not None:
                return "the one given is revoked" if found.revoked_at else "the one given"
            if secret is None and await list_keys(session, tenant.id):
                return "made at an earlier start"
            new = await create_key(session, tenant.id, tuple(Scope), name="first", secret=secret)
        # Only after the commit: a key that is shown works.
        if secret is None and self._on_first_key is not None:
            self._on_first_key(new.secret)
        return "the one given" if secret is not None else "generated"

    async def _register_models(self) -> str:
        """The version to begin with, and the configured one, are known to the database.

        Where there is no champion, the configured version is it. What else is to be served, the
        watch over the champion decides.
        """
        traits = self._traits
        if traits is None:
            raise NoModel(str(self._settings.model_dir))
        configured = await asyncio.to_thread(configured_traits, self._settings)
        begun = starting_folder(self._settings, traits)
        own = self._settings.model_dir.expanduser().resolve()
        first = configured if begun != own and configured is not None else traits
        folders = {traits.version: (traits, begun), first.version: (first, own)}
        async with self._services.sessions() as session, session.begin():
            for known, folder in folders.values():
                await register_model(session, _new_model(known, folder, self._settings))
            champion = await get_champion(session)
            if champion.model_version_id is None:
                await promote(session, first.version, champion.generation, actor=ACTOR)
            elif await self._is_replaced(session, champion, first):
                await self._replace(session, champion, first)
        return traits.version

    async def _is_replaced(
        self, session: AsyncSession, champion: Champion, first: ModelTraits
    ) -> bool:
        """Whether the operator has put another model into the folder that the champion had."""
        if self._settings.engine_urls or champion.model_version_id in {None, first.version}:
            return False
        model = await get_model(session, str(champion.model_version_id))
        if not model.path or not _is_same(Path(model.path), self._settings.model_dir):
            return False
        try:
            await asyncio.to_thread(open_version, self._settings, model.id, model.path)
        except BadModelFolder:
            return True
        return False

    async def _replace(self, session: AsyncSession, champion: Champion, first: ModelTraits) -> None:
        """The version that took the champion's folder takes its place too: it is nowhere else."""
        left = champion.model_version_id
        logger.warning("another model is in the champion's folder", left=left, new=first.version)
        moved = await promote(session, first.version, champion.generation, actor=ACTOR)
        facts = {"generation": moved.generation, "before": left, "champion": first.version}
        await record_event(
            session, None, actor=ACTOR, action="model.replace", subject=first.version, details=facts
        )

    async def _sweep(self) -> None:
        """What an erasure could not delete before a crash is deleted now."""
        try:
            async with self._services.sessions() as session, session.begin():
                swept = await sweep_blobs(session, self._services.blobs)
        except Exception as error:
            logger.warning("blobs not swept", exc_info=error)
        else:
            if swept:
                logger.info("blobs swept", blob_count=swept)

    async def _keep_jobs_running(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            check_cancelled()
            began = time.monotonic()
            self._ready.mark(Part.QUEUE, Progress.READY)
            try:
                await run_jobs(self._services)
            except Exception as error:
                self._ready.mark(Part.QUEUE, Progress.FAILED, _why(error))
                logger.warning("job queue stopped", exc_info=error)
            if time.monotonic() - began > _LONGEST_PAUSE_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE_SECONDS, pause * 2)

    async def _load_lines(self) -> None:
        if self._services.has_extractor:
            self._ready.mark(Part.LINES, Progress.READY)
            return
        await self._insist(Part.LINES, self._make_extractor)

    async def _make_extractor(self) -> str:
        if self._traits is None:
            raise NoModel(str(self._settings.model_dir))
        extractor = await asyncio.to_thread(
            load_extractor, self._settings, self._traits, self._services.engine
        )
        self._services.use_extractor(extractor)
        return "" if self._settings.ocr_enabled else "off"

    async def _watch_engine(self) -> None:
        """Tells of the engine's progress; the engine keeps itself up."""
        while True:
            state = self._services.engine.state()
            reason = state.model or "" if state.ready else state.reason
            self._ready.mark(Part.ENGINE, _ENGINE_PROGRESS[state.status], reason)
            await asyncio.sleep(_WATCH_SECONDS)


class NoModel(DocloopError):
    """There is no model to serve.

    Args:
        folder: where it was looked for.
    """

    slug = "no-model"

    def __init__(self, folder: str) -> None:
        self.folder = folder
        super().__init__(
            f"There is no model in {folder}; run `make assemble`, or set DOCLOOP_MODEL_DIR "
            "(and DOCLOOP_MODEL_VERSION for a model without docloop.json)."
        )


def _new_model(traits: ModelTraits, folder: Path, settings: Settings) -> NewModel:
    """A version that this process begins with, as it is registered."""
    return NewModel(
        id=traits.version,
        name=traits.version,
        base=traits.base,
        path="" if settings.engine_urls else str(folder),
        manifest=json.loads(json.dumps(asdict(traits), default=sorted)),
        state=ModelState.ACCEPTED,
    )


def _is_same(one: Path, other: Path) -> bool:
    return one.expanduser().resolve() == other.expanduser().resolve()


def _why(error: Exception) -> str:
    """What may be shown to anyone: our own sentence, or the type alone."""
    return str(error) if isinstance(error, DocloopError) else type(error).__name__
