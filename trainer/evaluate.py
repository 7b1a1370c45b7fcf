"""Versions answer documents through the serving code; their answers are scored here.

    questions into `evaluations` -> `docloop evaluate` answers them -> records -> scores

The trainer imports nothing of the service: it starts the command `evaluate`, which loads version
after version into an engine of its own and fills the rows. Each answer is committed by itself, so
whatever dies, what has been answered stays. A question that nobody answered is never scored: a
champion that lost its answers to a fault would make every candidate look better.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from db.queries.document_types import get_type
from db.queries.evaluations import NewEvaluation, add_evaluations, list_evaluations, pending
from db.tables import Evaluation, GoldenExample
from extraction.document_types.base import DocumentType
from extraction.document_types.catalogue import BUILT_IN
from extraction.document_types.custom import type_from_schema
from extraction.errors import DocloopError, UnknownType
from extraction.scoring import score_confirmed
from trainer.child import CycleProcess
from trainer.scores import DocumentScore, Scores

if TYPE_CHECKING:
    from trainer.dataset import HoldoutItem

COMMAND = (sys.executable, "-m", "api.cli", "evaluate", "--run")
ATTEMPTS = 2
POLL_SECONDS = 5.0
STALL_SECONDS = 1800.0
"""So long may no answer come: a start of the engine and the slowest document are far below."""

logger = logging.getLogger(__name__)

_TypeKey = tuple[UUID, str, int | None]


class EvaluationFailed(DocloopError):
    """Questions stayed without an answer, although the command was started twice.

    Args:
        left: questions without an answer.
        asked: all of them.
        status: how the command ended last; None where it had to be stopped because nothing came.
        log_file: what it said.
    """

    slug = "evaluation-failed"

    def __init__(self, left: int, asked: int, status: int | None, log_file: Path) -> None:
        self.left, self.asked, self.status, self.log_file = left, asked, status, str(log_file)
        how = "gave no sign of life" if status is None else f"ended with status {status}"
        super().__init__(
            f"The evaluation {how} and left {left} of {asked} questions unanswered; its log is "
            f"{log_file.name} in the run's folder."
        )


@dataclass(frozen=True, slots=True)
class EvaluationItem:
    """A document with what is right, as every version is asked.

    Attributes:
        set_name: "selection", "holdout" or a golden set's.
        tenant_id: whose document.
        document_id: the document.
        document_type: name of the type.
        reference: confirmed values as JSON; None or empty is confirmed to be absent.
        document_type_version: of a caller's type.
        asked_fields: top-level fields to answer; None for all.
        options: of the request.
        prediction_id: that the reference came from.
    """

    set_name: str
    tenant_id: UUID
    document_id: UUID
    document_type: str
    reference: Mapping[str, Any]
    document_type_version: int | None = None
    asked_fields: tuple[str, ...] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    prediction_id: UUID | None = None

    @classmethod
    def of_holdout(cls, item: "HoldoutItem") -> "EvaluationItem":
        """The question of a document that is held out."""
        return cls(
            set_name=item.set_name,
            tenant_id=item.tenant_id,
            document_id=item.document_id,
            document_type=item.document_type,
            reference=item.reference,
            document_type_version=item.version,
            asked_fields=item.asked_fields,
            options=item.options,
            prediction_id=item.prediction_id,
        )

    @classmethod
    def of_golden(cls, example: GoldenExample) -> "EvaluationItem":
        """The question of a golden example."""
        asked = example.asked_fields
        return cls(
            set_name=example.set_name,
            tenant_id=example.tenant_id,
            document_id=example.document_id,
            document_type=example.document_type,
            reference=example.reference,
            document_type_version=example.document_type_version,
            asked_fields=None if asked is None else tuple(asked),
        )

    @property
    def type_key(self) -> _TypeKey:
        """Under which its type is kept."""
        return self.tenant_id, self.document_type, self.document_type_version


async def evaluate(
    sessions: async_sessionmaker[AsyncSession],
    run_id: UUID,
    versions: Sequence[str],
    items: Sequence[EvaluationItem],
    *,
    log_file: Path,
    report: Callable[[int, int], None] | None = None,
    niceness: int = 0,
    command: Sequence[str] = COMMAND,
    poll_seconds: float = POLL_SECONDS,
    stall_seconds: float = STALL_SECONDS,
) -> dict[tuple[str, str], Scores]:
    """What the versions score on the documents.

    Asked again after a crash, it goes on with what is left; where nothing is left, nothing is
    started. The command ends with this process, and when the wait is cancelled.

    Args:
        sessions: on the service's database.
        run_id: of the training run.
        versions: registered versions, each asked every item.
        items: what is asked. Of two that ask the same of a document the first counts.
        log_file: gets what the command prints.
        report: hears (answered, asked) from time to time.
        niceness: how far the answering engine steps back behind the service's own.
        command: answers the pending questions of the run whose id is appended.
        poll_seconds: between two looks at how far it is.
        stall_seconds: without any answer for so long, the command counts as dead.

    Returns:
        (version, set) -> scores; sets without items have none.

    Raises:
        EvaluationFailed: questions stayed without an answer in two attempts.
    """
    async with sessions.begin() as session:
        types = await _types_of(session, {item.type_key for item in items})
        known = [item for item in items if item.type_key in types]
        await add_evaluations(session, [_row(run_id, v, item) for v in versions for item in known])
        asked = len(await _rows(session, run_id, versions, known))
    if len(known) < len(items):
        logger.warning("%d questions of retired types are left out", len(items) - len(known))
    answering = _Answering(sessions, run_id, versions, asked, report or _silent)
    status: int | None = 0
    for _ in range(ATTEMPTS):
        if not await answering.count_left():
            break
        process = CycleProcess(log_file, niceness)
        status = await answering.run(
            process, [*command, str(run_id)], poll_seconds=poll_seconds, stall_seconds=stall_seconds
        )
    left = await answering.count_left()
    if left:
        raise EvaluationFailed(left, asked, status, log_file)
    async with sessions() as session:
        rows = await _rows(session, run_id, versions, known)
    return _scores(rows, types)


@dataclass(frozen=True, slots=True)
class _Answering:
    """The questions of one call on their way to answers."""

    sessions: async_sessionmaker[AsyncSession]
    run_id: UUID
    versions: Sequence[str]
    asked: int
    report: Callable[[int, int], None]

    async def count_left(self) -> int:
        """Questions without an answer; those of a document that was erased meanwhile are gone."""
        async with self.sessions() as session:
            rows = await pending(session, self.run_id)
        left = sum(row.model_version in self.versions for row in rows)
        self.report(self.asked - left, self.asked)
        return left

    async def run(
        self,
        process: CycleProcess,
        command: Sequence[str],
        *,
        poll_seconds: float,
        stall_seconds: float,
    ) -> int | None:
        """The exit status of the command; None where it was stopped because no answer came."""
        running = asyncio.ensure_future(process.run(command))
        try:
            left, since = self.asked, time.monotonic()
            while not (await asyncio.wait([running], timeout=poll_seconds))[0]:
                now_left = await self.count_left()
                if now_left != left:
                    left, since = now_left, time.monotonic()
                elif time.monotonic() - since > stall_seconds:
                    logger.warning("no answer came for %.0f seconds", stall_seconds)
                    return None
            return running.result()
        finally:
            await asyncio.shield(process.stop())
            await asyncio.gather(running, return_exceptions=True)


def score_answer(row: Evaluation, document_type: DocumentType) -> DocumentScore:
    """The score of one answer; without a record it is 0 throughout.

    Args:
        row: question and answer.
        document_type: the whole type that was asked.
    """
    asked = document_type.select(None if row.asked_fields is None else tuple(row.asked_fields))
    fields = {
        name: score
        for name in asked.field_names
        if name in row.reference
        and (score := score_confirmed(asked.select((name,)), row.reference, row.record)) is not None
    }
    return DocumentScore(
        document=str(row.document_id),
        document_type=type_label(row.document_type, row.tenant_id),
        score=score_confirmed(asked, row.reference, row.record),
        fields=fields,
        schema_valid=bool(row.schema_valid),
        duration_seconds=row.duration_seconds,
        failed=row.record is None,
        # Whoever answers says of the model's own words whether they fit; there were none.
        unserved=row.record is None and row.schema_valid is None,
    )


def type_label(name: str, tenant_id: UUID) -> str:
    """How a type is called in scores: two tenants' types of one name are two types.

    The tenant is told by the random end of its id; its start is the time at which it was made.
    """
    return name if name in BUILT_IN else f"{name}@{tenant_id.hex[-8:]}"


async def _types_of(
    session: AsyncSession, keys: Iterable[_TypeKey]
) -> dict[_TypeKey, DocumentType]:
    """Every type that is still known; one without a version that was retired is not."""
    found: dict[_TypeKey, DocumentType] = {}
    for key in keys:
        tenant_id, name, version = key
        if name in BUILT_IN:
            found[key] = BUILT_IN[name]
            continue
        try:
            stored = await get_type(session, tenant_id, name, version)
        except UnknownType:
            continue
        found[key] = type_from_schema(stored.name, stored.json_schema, stored.version)
    return found


def _row(run_id: UUID, version: str, item: EvaluationItem) -> NewEvaluation:
    return NewEvaluation(
        run_id=run_id,
        model_version=version,
        set_name=item.set_name,
        tenant_id=item.tenant_id,
        document_id=item.document_id,
        document_type=item.document_type,
        reference=item.reference,
        prediction_id=item.prediction_id,
        document_type_version=item.document_type_version,
        asked_fields=item.asked_fields,
        options=item.options,
    )


async def _rows(
    session: AsyncSession, run_id: UUID, versions: Sequence[str], items: Sequence[EvaluationItem]
) -> list[Evaluation]:
    """The rows of these questions alone: a run asks more than once."""
    wanted = {(item.set_name, item.document_id, item.document_type) for item in items}
    return [
        row
        for row in await list_evaluations(session, run_id)
        if row.model_version in versions
        and (row.set_name, row.document_id, row.document_type) in wanted
    ]


def _scores(
    rows: Iterable[Evaluation], types: Mapping[_TypeKey, DocumentType]
) -> dict[tuple[str, str], Scores]:
    gathered: dict[tuple[str, str], list[DocumentScore]] = {}
    for row in rows:
        document_type = types[row.tenant_id, row.document_type, row.document_type_version]
        entry = score_answer(row, document_type)
        gathered.setdefault((row.model_version, row.set_name), []).append(entry)
    return {
        (version, set_name): Scores(
            version, set_name, tuple(sorted(entries, key=lambda entry: entry.key))
        )
        for (version, set_name), entries in gathered.items()
    }


def _silent(_answered: int, _asked: int) -> None:
    """Hears nothing."""
