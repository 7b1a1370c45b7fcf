"""What a run keeps of a document goes with the document: a duty of the worker at each look.

A run's folder holds values in three places: `report.html` with `summary.json` (pages that changed,
with a small picture), `material.json` (references of the holdout) and, while it trains, the
examples and page files. An erasure happens in the service, which may be on another machine, so the
worker compares: a document whose prediction is gone from the database goes from this folder too,
and the page is written anew without it. A run that has ended keeps no examples at all.
"""

import logging
import shutil
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from db.queries.runs import UNFINISHED
from db.tables import AuditEvent, Prediction, RunExample, TrainingRun
from trainer.profile import Profile
from trainer.report.summary import RunSummary
from trainer.report.write import SUMMARY_NAME, write_report
from trainer.stage import EXAMPLES, MATERIAL, read_json, write_json

_ERASED = "prediction.erase"
_EXAMPLES = (EXAMPLES, f"{EXAMPLES}.partial")
_PAGES = "pages"

logger = logging.getLogger(__name__)


class ForgetErased:
    """A duty of `trainer.worker`; cheap where nothing was erased since its last look.

    Args:
        training: the folder of the runs on this machine.
    """

    def __init__(self, training: Path) -> None:
        self._training = training
        self._seen: tuple[UUID | None, int] | None = None

    async def __call__(
        self, sessions: async_sessionmaker[AsyncSession], _profile: Profile | None = None
    ) -> int:
        """Looks where an erasure or a run's end came; answers how many folders changed."""
        async with sessions() as session:
            state = await _state(session)
        if state == self._seen:
            return 0
        changed = await forget_erased(sessions, self._training)
        self._seen = state
        if changed:
            logger.info("erased documents were taken out of %d runs", changed)
        return changed


async def forget_erased(sessions: async_sessionmaker[AsyncSession], training: Path) -> int:
    """Take what was erased out of every run's folder; answers how many folders changed."""
    changed = 0
    for run_id, folder in _runs(training):
        async with sessions() as session:
            gone = await _gone(session, run_id)
            row = await session.get(TrainingRun, run_id)
        ended = row is None or row.state not in UNFINISHED
        changed += forget_in_folder(folder, gone, ended=ended)
    return changed


def _runs(training: Path) -> list[tuple[UUID, Path]]:
    """The folders that are named by a run."""
    found = []
    for folder in sorted(training.glob("*-*-*-*-*")):
        with suppress(ValueError):
            found.append((UUID(folder.name), folder))
    return found


def forget_in_folder(folder: Path, gone: Collection[str], *, ended: bool) -> bool:
    """Take these documents out of a run's folder.

    Args:
        folder: the run's.
        gone: ids of documents.
        ended: whether the run is over, so that its examples are of no use.

    Returns:
        Whether something was there.
    """
    changed = _forget_report(folder, gone)
    material = read_json(folder / MATERIAL)
    if material is not None and material.get("items"):
        kept = [
            item for item in material["items"] if not ended and item.get("document_id") not in gone
        ]
        if len(kept) != len(material["items"]):
            write_json(folder / MATERIAL, {**material, "items": kept})
            changed = True
    if ended:
        for name in _EXAMPLES:
            changed |= (folder / name).exists()
            (folder / name).unlink(missing_ok=True)
        changed |= (folder / _PAGES).is_dir()
        shutil.rmtree(folder / _PAGES, ignore_errors=True)
    return changed


def _forget_report(folder: Path, gone: Collection[str]) -> bool:
    if not gone or not (folder / SUMMARY_NAME).is_file():
        return False
    summary = RunSummary.from_json((folder / SUMMARY_NAME).read_bytes())
    fixed = tuple(page for page in summary.fixed if page.document_id not in gone)
    broken = tuple(page for page in summary.broken if page.document_id not in gone)
    count = len(summary.fixed) + len(summary.broken) - len(fixed) - len(broken)
    if count == 0:
        return False
    note = "Pages of documents that were erased since are not shown."
    notes = summary.notes if note in summary.notes else (*summary.notes, note)
    write_report(folder, replace(summary, fixed=fixed, broken=broken, notes=notes))
    return True


async def _state(session: AsyncSession) -> tuple[UUID | None, int]:
    """The newest erasure, and how many runs are over."""
    newest = (
        select(AuditEvent.id)
        .where(AuditEvent.action == _ERASED)
        .order_by(AuditEvent.id.desc())
        .limit(1)
    )
    over = select(func.count()).where(TrainingRun.state.not_in(UNFINISHED))
    erased = (await session.execute(newest)).scalar_one_or_none()
    return erased, (await session.execute(over)).scalar_one()


async def _gone(session: AsyncSession, run_id: UUID) -> frozenset[str]:
    """Documents of a run whose prediction was erased."""
    query = (
        select(RunExample.document_id)
        .outerjoin(Prediction, Prediction.id == RunExample.prediction_id)
        .where(
            RunExample.run_id == run_id,
            RunExample.prediction_id.is_not(None),
            Prediction.id.is_(None),
        )
        .distinct()
    )
    return frozenset(map(str, (await session.execute(query)).scalars()))
