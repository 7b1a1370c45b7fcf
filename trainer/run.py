"""One training cycle's run: its row in the database, its folder, its stages (`trainer/stages.py`).

<data>/training/<run id>/
    profile.json      what it was told
    material.json     what it learns from, as ids and hashes
    examples.jsonl    the rows, as the trainers take them
    sft/ grpo-0/ ...  a stage each: task.json, progress.json, done.json, log, adapter/
    report.html
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from db.queries.runs import set_stage
from trainer.progress import Stage
from trainer.stages import Stages

_HEARTBEAT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class CycleFolders:
    """Where runs and versions are kept.

    Attributes:
        data_dir: the service's data folder.
        model_dir: the model that the service began with.
        versions: a folder a version.
        training: a folder a run.
    """

    data_dir: Path
    model_dir: Path
    versions: Path
    training: Path

    @classmethod
    def under(cls, data_dir: Path, model_dir: Path) -> "CycleFolders":
        """The folders of a data folder."""
        data_dir = data_dir.expanduser().resolve()
        model_dir = model_dir.expanduser().resolve()
        return cls(data_dir, model_dir, data_dir / "versions", data_dir / "training")


@dataclass(kw_only=True)
class Run(Stages):
    """A run that is under way, and told of in its row.

    Attributes:
        id: of its row.
        folders: everybody's.
        champion: the version that it starts from.
        sessions: of the service's database.
    """

    id: UUID
    folders: CycleFolders
    champion: str
    sessions: async_sessionmaker[AsyncSession]

    @asynccontextmanager
    async def shown(self, name: str) -> AsyncIterator[Stage]:
        """A stage that people see, that the row tells of, and whose time is kept."""
        async with super().shown(name) as stage:
            await self._note(stage)
            beating = asyncio.create_task(self._keep_noting(stage))
            try:
                yield stage
            finally:
                beating.cancel()
                await asyncio.gather(beating, return_exceptions=True)

    async def _keep_noting(self, stage: Stage) -> None:
        """A sign of life for as long as the stage runs; a database that is away is waited for."""
        while True:
            await asyncio.sleep(_HEARTBEAT_SECONDS)
            with contextlib.suppress(SQLAlchemyError):
                await self._note(stage)

    async def _note(self, stage: Stage) -> None:
        async with self.sessions.begin() as session:
            await set_stage(session, self.id, stage.name, stage.ratio or 0.0)
