"""A run that has ended -> the page that tells it (`trainer/report/`)."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import select

from db.blobs import BlobStore
from db.errors import BlobError
from db.queries.documents import list_pages
from db.queries.evaluations import list_evaluations
from db.tables import Evaluation, HeldCorrection, QuarantineState, TrainingRun
from trainer.material import Material, count_parts
from trainer.report.pictures import shrink
from trainer.report.summary import (
    Contender,
    Count,
    ExampleIds,
    FieldChange,
    GrpoRun,
    Interval,
    Outcome,
    PageChange,
    RunSummary,
    ScoreRow,
    StageTime,
    curve_of,
    reward_curves,
)
from trainer.report.summary import Material as ToldMaterial
from trainer.report.write import write_report
from trainer.run import Run
from trainer.scores import Scores
from trainer.significance import bootstrap_mean
from trainer.stage import DONE, read_json

if TYPE_CHECKING:
    from trainer.contest import Contest, Contestant
    from trainer.cycle import Judgement

_MOST_PAGES = 8
_CHANGED = 0.005


async def tell(
    run: Run,
    material: Material,
    contest: "Contest",
    chosen: "Contestant",
    judgement: "Judgement",
    *,
    promoted: bool,
    blobs: BlobStore | None,
) -> Path:
    """Writes the run's report.

    Returns:
        The page.
    """
    row, held = await _facts(run)
    fixed, broken = await _changes(run, chosen, judgement, blobs)
    summary = RunSummary(
        run_id=str(run.id),
        profile=run.profile.name,
        outcome=Outcome.PROMOTED if promoted else Outcome.NOT_PROMOTED,
        champion=run.champion,
        candidate=chosen.version,
        started_at=row.started_at.isoformat(timespec="seconds"),
        reasons=judgement.decision.reasons,
        stages=tuple(StageTime(name, seconds) for name, seconds in run.seconds.items()),
        material=_material(material, held),
        sft=_sft_curves(run),
        grpo=_grpo_runs(run),
        scores=tuple(_rows(run, judgement)),
        contenders=tuple(_contenders(run, contest, chosen)),
        fixed=fixed,
        broken=broken,
        confidence=run.profile.gate.confidence,
        notes=tuple(_notes(chosen, contest)),
    )
    return write_report(run.folder, summary)


async def _facts(run: Run) -> tuple[TrainingRun, Mapping[str, int]]:
    """The run's row, and how many corrections wait for a second person, by rule."""
    async with run.sessions() as session:
        row = await session.get_one(TrainingRun, run.id)
        query = select(HeldCorrection.reasons).where(
            HeldCorrection.state == QuarantineState.WAITING
        )
        reasons = (await session.execute(query)).scalars().all()
    return row, Counter(reason["rule"] for found in reasons for reason in found)


def _material(material: Material, held: Mapping[str, int]) -> ToldMaterial:
    manifest = material.manifest
    counts = tuple(
        Count(document_type, part, count)
        for (document_type, part), count in sorted(count_parts(manifest).items())
    )
    ids = tuple(
        ExampleIds(
            part=entry.get("subset") or entry["part"],
            correction_id=entry["correction_id"],
            prediction_id=entry["prediction_id"],
            document_id=entry["document_id"],
            content_sha256=entry["content_sha256"],
        )
        for entry in manifest["entries"]
    )
    return ToldMaterial(counts, dict(manifest["counts"]["dropped"]), dict(held), ids)


def _history(run: Run, stage: str) -> list[dict[str, Any]]:
    found = read_json(run.folder / stage / DONE) or {}
    history: list[dict[str, Any]] = found.get("history", [])
    return history


def _sft_curves(run: Run) -> tuple[Any, ...]:
    return (curve_of(_history(run, "sft"), "loss"),)


def _grpo_runs(run: Run) -> tuple[GrpoRun, ...]:
    return tuple(
        GrpoRun(
            name=f"grpo-{index}",
            seed=run.profile.seed + index + 1,
            level=level,
            curves=reward_curves(_history(run, f"grpo-{index}")),
        )
        for index, level in enumerate(run.profile.grpo.levels)
    )


def _rows(run: Run, judgement: "Judgement") -> list[ScoreRow]:
    rows = _rows_of(run, "holdout", judgement.champion, judgement.candidate)
    for name, (before, after) in judgement.golden.items():
        rows += _rows_of(run, name, before, after)
    return rows


def _rows_of(run: Run, set_name: str, before: Scores, after: Scores) -> list[ScoreRow]:
    pairs = [("overall", "all documents", before.by_document(), after.by_document())]
    types = after.by_type()
    pairs += [("type", name, found, types[name]) for name, found in before.by_type().items()]
    fields = after.by_field()
    pairs += [("field", name, found, fields[name]) for name, found in before.by_field().items()]
    least = run.profile.gate.least_field_documents
    return [
        ScoreRow(
            scope=scope,
            name=name,
            documents=len(old),
            before=_interval(run, list(old.values())),
            after=_interval(run, [new[key] for key in old]),
            gain=_interval(run, [new[key] - old[key] for key in old], -1.0),
            judged=scope == "overall" or len(old) >= least,
            set_name=set_name,
        )
        for scope, name, old, new in pairs
        if old
    ]


def _interval(run: Run, values: list[float], least: float = 0.0) -> Interval:
    """The mean of scores (or, with `least` -1, of gains) with its bounds."""
    gate = run.profile.gate
    found = bootstrap_mean(
        values, confidence=gate.confidence, resamples=gate.resamples, seed=run.profile.seed
    )
    return Interval(found.value, max(least, found.low), min(1.0, found.high))


def _contenders(run: Run, contest: "Contest", chosen: "Contestant") -> list[Contender]:
    return [
        Contender(
            name=entry.name,
            kind=entry.kind,
            score=_interval(run, list(entry.selection.by_document().values())),
            chosen=entry.version == chosen.version,
            parts=entry.parts,
        )
        for entry in contest.contestants.values()
        if entry.selection is not None and entry.selection.by_document()
    ]


def _notes(chosen: "Contestant", contest: "Contest") -> list[str]:
    notes = []
    if chosen.rank_error:
        notes.append(
            f"The adapter's rank was reduced, which changed it by {100 * chosen.rank_error:.2f} %."
        )
    if contest.soup is not None:
        said = "every ingredient" if contest.soup.kind == "uniform" else "those that helped"
        notes.append(f"The {contest.soup.kind} soup, of {said}, was the better one.")
    if contest.soup is not None and chosen.kind == "sft":
        notes.append("SFT alone scored higher than the soup on the selection set and went on.")
    return notes


async def _changes(
    run: Run, chosen: "Contestant", judgement: "Judgement", blobs: BlobStore | None
) -> tuple[tuple[PageChange, ...], tuple[PageChange, ...]]:
    """The documents of the gate that got better and those that got worse, most changed first."""
    before, after = judgement.champion.by_document(), judgement.candidate.by_document()
    gains = {document: after[document] - before[document] for document in before}
    ordered = sorted(gains, key=lambda document: (gains[document], document))
    better = [name for name in reversed(ordered) if gains[name] > _CHANGED][:_MOST_PAGES]
    worse = [name for name in ordered if gains[name] < -_CHANGED][:_MOST_PAGES]
    answers = await _answers(run, chosen)
    fields = {
        (scores.version, entry.document): entry.fields
        for scores in (judgement.champion, judgement.candidate)
        for entry in scores.documents
    }

    async def change(document: str) -> PageChange:
        old = answers[run.champion, document]
        new = answers[chosen.version, document]
        told = tuple(
            FieldChange(
                path=name,
                before=(old.record or {}).get(name),
                after=(new.record or {}).get(name),
                reference=old.reference.get(name),
                before_score=score,
                after_score=fields[chosen.version, document].get(name, 0.0),
            )
            for name, score in fields[run.champion, document].items()
        )
        return PageChange(
            document_id=document,
            document_type=old.document_type,
            before=before[document],
            after=after[document],
            fields=told,
            image_jpeg_base64=await _image(run, old, blobs),
        )

    return (
        tuple([await change(document) for document in better]),
        tuple([await change(document) for document in worse]),
    )


async def _answers(run: Run, chosen: "Contestant") -> dict[tuple[str, str], Evaluation]:
    found: dict[tuple[str, str], Evaluation] = {}
    async with run.sessions() as session:
        for version in (run.champion, chosen.version):
            rows = await list_evaluations(
                session, run.id, set_name="holdout", model_version=version
            )
            found |= {(version, str(row.document_id)): row for row in rows}
    return found


async def _image(run: Run, row: Evaluation, blobs: BlobStore | None) -> str | None:
    """The first page, small; None where it cannot be had: a report does not fail for a picture."""
    if blobs is None:
        return None
    async with run.sessions() as session:
        pages = await list_pages(session, row.tenant_id, UUID(str(row.document_id)))
    if not pages:
        return None
    try:
        return shrink(await blobs.get(pages[0].blob_key))
    except (BlobError, OSError):
        return None
