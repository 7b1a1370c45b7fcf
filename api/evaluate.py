"""Evaluation: what model versions answer to documents whose right answer is known.

    pending rows -> per version: folder -> engine -> per row: lines -> record -> answer, committed

The trainer asks (`evaluations`, pending) and scores; here the same code answers that answers
callers, with a model server of its own. A row is answered once, whatever dies in between: what is
pending after a kill is answered by the next call.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Protocol, TypeAlias
from uuid import UUID

import structlog
from sqlalchemy.exc import DataError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from api.engine.server import SwapFailed
from api.evaluate_one import Asking, OcrReader, Reader, failure
from api.model_source import open_version, page_limits
from api.settings import Settings
from db.blobs import BlobStore
from db.errors import NotFound
from db.queries.evaluations import EvaluationAnswer, answer, pending
from db.queries.models import get_model
from db.queries.runs import get_run
from db.tables import Evaluation
from extraction.classify import TypeClassifier
from extraction.confidence import Calibration
from extraction.engine import Engine
from extraction.errors import DocloopError, EngineUnavailable
from extraction.extract import Extractor, Readers
from extraction.model_folder import BadModelFolder, ModelFolder

PATIENCE_SECONDS = 600.0
"""How long a question waits for an engine that is gone; longer than one takes to start again."""

_LONGEST_PAUSE_SECONDS = 10.0

logger = structlog.get_logger(__name__)

OnProgress: TypeAlias = Callable[[str, int], None]
"""Is told a version and how many more of its rows are answered."""


class SwapsVersions(Engine, Protocol):
    """An engine that goes from version to version."""

    async def swap(self, new: ModelFolder) -> object:
        """Makes a version the one that answers.

        Raises:
            BadModelFolder: it must not be served, or cannot be by this engine.
            SwapFailed: it did not come up; another one answers on.
        """
        ...


OpenEngine: TypeAlias = Callable[[ModelFolder], Awaitable[SwapsVersions]]
"""An engine that answers with this version; `SwapFailed` where it does not come up."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What an evaluation works with.

    Attributes:
        settings: those of the service, so that it is asked as in service.
        sessions: on the database.
        blobs: the documents.
        open_engine: makes the engine, once.
        reader: reads documents that nobody has read; None for the OCR of the settings.
        concurrency: questions under way at a time.
        patience_seconds: how long a question waits for an engine that is gone.
    """

    settings: Settings
    sessions: async_sessionmaker[AsyncSession]
    blobs: BlobStore
    open_engine: OpenEngine
    reader: Reader | None = None
    concurrency: int = 8
    patience_seconds: float = PATIENCE_SECONDS


@dataclass(slots=True)
class Evaluated:
    """What a call has done.

    Attributes:
        answered: rows that have an answer now, those with an error included.
        failed: of them, those with an error.
        refused: version -> why it could not be asked at all.
    """

    answered: int = 0
    failed: int = 0
    refused: dict[str, str] = field(default_factory=dict)


async def evaluate_run(
    run_id: UUID, parts: Parts, on_progress: OnProgress | None = None
) -> Evaluated:
    """Answer everything that is pending of a run; the engine is gone when it returns or raises.

    Args:
        run_id: the training run that asks.
        parts: what to work with.
        on_progress: is told after each commit.

    Raises:
        NotFound: no such run.
        SwapFailed: no version came up, so that the fault is with this machine; nothing was
            answered for it.
        EngineUnavailable: the engine died and did not come back; the rest is pending.
    """
    async with parts.sessions() as session:
        await get_run(session, run_id)
        rows = await pending(session, run_id)
    evaluation = _Evaluation(parts, on_progress or (lambda _version, _count: None))
    try:
        for version, questions in groupby(rows, key=lambda row: row.model_version):
            await evaluation.answer_all(version, list(questions))
        await evaluation.settle()
    finally:
        await asyncio.shield(evaluation.close())
    return evaluation.done


class _Evaluation:
    """One pass over the pending rows of a run."""

    def __init__(self, parts: Parts, on_progress: OnProgress) -> None:
        self._parts = parts
        self._on_progress = on_progress
        self._engine: SwapsVersions | None = None
        self._classifier = TypeClassifier.load(None)
        self._reader = parts.reader or OcrReader(parts.settings)
        # Versions that did not start while none had: is it them, or this machine?
        self._unstarted: list[tuple[Sequence[Evaluation], SwapFailed]] = []
        self.done = Evaluated()

    async def answer_all(self, version: str, rows: Sequence[Evaluation]) -> None:
        """Answer the rows of one version."""
        try:
            model = await self._open_folder(version)
            engine = await self._serve(model)
        except SwapFailed as error:
            if self._engine is None:
                self._unstarted.append((rows, error))
            else:
                await self._refuse(rows, error)
            return
        except (BadModelFolder, NotFound) as error:
            await self._refuse(rows, error)
            return
        extractor = await asyncio.to_thread(self._extractor, model, engine)
        asking = Asking(self._parts.sessions, self._parts.blobs, self._reader, extractor)
        waiting = deque(rows)
        workers = min(self._parts.concurrency, len(rows))
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(self._work_off(waiting, asking, engine))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def settle(self) -> None:
        """Decide about the versions that did not start while none had.

        Raises:
            SwapFailed: none has started since.
        """
        for rows, error in self._unstarted:
            if self._engine is None:
                raise error
            await self._refuse(rows, error)

    async def close(self) -> None:
        """End the engine."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.stop()

    async def _open_folder(self, version: str) -> ModelFolder:
        async with self._parts.sessions() as session:
            path = (await get_model(session, version)).path
        return await asyncio.to_thread(open_version, self._parts.settings, version, path)

    async def _serve(self, model: ModelFolder) -> SwapsVersions:
        if self._engine is None:
            self._engine = await self._parts.open_engine(model)
        else:
            await self._engine.swap(model)
        return self._engine

    def _extractor(self, model: ModelFolder, engine: Engine) -> Extractor:
        """The serving sentence with this version's own facts; lines come from `Reader`."""
        settings = self._parts.settings
        readers = Readers(
            lines=None,
            classifier=self._classifier,
            calibration=Calibration.load(model.folder),
            traits=model.traits,
            page_limits=page_limits(settings),
            max_characters=settings.max_prompt_characters,
            max_images=settings.max_images,
        )
        return Extractor(engine, readers, ocr_slots=settings.ocr_slots)

    async def _work_off(self, waiting: deque[Evaluation], asking: Asking, engine: Engine) -> None:
        while waiting:
            row = waiting.popleft()
            await self._commit(row, await self._patiently_ask(row, asking, engine))

    async def _patiently_ask(
        self, row: Evaluation, asking: Asking, engine: Engine
    ) -> EvaluationAnswer:
        """The answer; an engine that is gone for a while is no answer.

        Raises:
            EngineUnavailable: it did not come back.
        """
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._parts.patience_seconds
        while True:
            try:
                return await asking.ask(row)
            except EngineUnavailable as error:
                if clock() < deadline:
                    await asyncio.sleep(min(error.retry_after_seconds, _LONGEST_PAUSE_SECONDS))
                elif await engine.ready():
                    return failure(error)  # others are answered: it is this document
                else:
                    raise

    async def _refuse(self, rows: Sequence[Evaluation], error: DocloopError) -> None:
        version = rows[0].model_version
        logger.warning("version cannot be asked", version=version, reason=str(error))
        self.done.refused[version] = str(error)
        for row in rows:
            await self._commit(row, failure(error))

    async def _commit(self, row: Evaluation, given: EvaluationAnswer) -> None:
        try:
            written = await self._write(row.id, given)
        except (TypeError, ValueError, DataError) as error:  # an answer that no column can hold
            given = failure(error)
            written = await self._write(row.id, given)
        self.done.answered += written
        self.done.failed += written and given.error is not None
        self._on_progress(row.model_version, 1)

    async def _write(self, row_id: UUID, given: EvaluationAnswer) -> bool:
        async with self._parts.sessions.begin() as session:
            return await answer(session, row_id, given)
