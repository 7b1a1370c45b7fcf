"""Runs with pending evaluations, versions in folders, and an engine over a fake server."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from api.engine.swapping import SwappingEngine
from api.evaluate import Parts
from api.evaluate_engine import start
from api.settings import Settings
from db.blobs import FolderBlobStore
from db.page_lines import stored_lines
from db.queries.documents import set_lines
from db.queries.evaluations import NewEvaluation, add_evaluations
from db.queries.keys import ensure_tenant
from db.tables import Evaluation, Prediction
from extraction.engine import Prompt
from extraction.model_folder import ModelFolder
from tests.factories_db import make_answered, make_run, make_version
from tests.factories_lines import page_of
from tests.factories_models import write_version
from tests.factories_swap import named
from tests.fakes import FakeServer, passes

Sessions = async_sessionmaker[AsyncSession]
TILL = page_of("CORNER STORE", "25/12/2018", ("TOTAL", "RM9.00"))


@dataclass
class Asked:
    """A run with its pending questions.

    Attributes:
        folder: of the data.
        sessions: on the database.
        run_id: the run.
        tenant_id: whose documents.
        predictions: one for each document.
        answer: what a version says to a prompt.
        faults: version -> what its coming ends with.
        engines: every engine that was made.
        servers: the server of each.
    """

    folder: Path
    sessions: Sessions
    run_id: UUID
    tenant_id: UUID
    predictions: list[Prediction]
    answer: Callable[[str, Prompt], str] = named
    faults: dict[str, Exception] = field(default_factory=dict)
    engines: list[SwappingEngine] = field(default_factory=list)
    servers: list[FakeServer] = field(default_factory=list)

    def version_folder(self, version: str) -> Path:
        return self.folder / "versions" / version

    async def open_engine(self, model: ModelFolder) -> SwappingEngine:
        server = FakeServer(model, self.answer)
        server.faults = self.faults
        engine = SwappingEngine(model, server, smoke=passes)
        self.servers.append(server)
        self.engines.append(engine)
        return await start(engine, model, timeout_seconds=5.0)

    def parts(self, **changed: object) -> Parts:
        given = {
            "settings": Settings(data_dir=self.folder, model_dir=self.folder / "none"),
            "sessions": self.sessions,
            "blobs": FolderBlobStore(self.folder / "blobs"),
            "open_engine": self.open_engine,
            "patience_seconds": 0.0,
            **changed,
        }
        return Parts(**given)  # type: ignore[arg-type]


async def make_asked(
    sessions: Sessions,
    folder: Path,
    versions: Sequence[str] = ("v-1", "v-2"),
    documents: int = 3,
    *,
    read: bool = True,
) -> Asked:
    """A run that asks each version of each document; the documents were read where `read`."""
    async with sessions.begin() as session:
        tenant_id = (await ensure_tenant(session, "first")).id
        run = await make_run(session)
        predictions = [await make_answered(session, tenant_id) for _ in range(documents)]
        if read:
            for prediction in predictions:
                lines = stored_lines(TILL)[0]
                await set_lines(session, tenant_id, prediction.document_id, 0, lines)
        for version in versions:
            made = write_version(folder / "versions" / version, version)
            await make_version(session, version, path=str(made))
        rows = [
            NewEvaluation(
                run_id=run.id,
                model_version=version,
                set_name="holdout",
                tenant_id=tenant_id,
                document_id=prediction.document_id,
                document_type="receipt",
                reference={"total": "9.00"},
                prediction_id=prediction.id,
            )
            for version in versions
            for prediction in predictions
        ]
        await add_evaluations(session, rows)
    return Asked(folder, sessions, run.id, tenant_id, predictions)


def question_of(row: Evaluation) -> NewEvaluation:
    """The same question again, to be changed."""
    return NewEvaluation(
        **{name: getattr(row, name) for name in NewEvaluation.__dataclass_fields__}
    )
