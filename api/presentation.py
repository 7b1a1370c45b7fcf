"""Rows -> answers. What a prediction looks like is decided here alone, whoever asks for it."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from api.schemas import (
    CheckAnswer,
    CorrectionAnswer,
    DocumentTypeAnswer,
    FieldAnswer,
    FieldEvidence,
    PageAnswer,
    PredictionAnswer,
    PredictionSummary,
    Usage,
)
from api.schemas_models import (
    ChampionAnswer,
    DecisionAnswer,
    LineageAnswer,
    LineageStepAnswer,
    ModelAnswer,
    PromotionAnswer,
)
from db.queries.runs import Lineage
from db.tables import (
    Champion,
    Correction,
    ModelVersion,
    Page,
    Prediction,
    Promotion,
    StoredDecision,
    StoredType,
    Verdict,
)
from extraction.document_types.base import DocumentType
from extraction.document_types.custom import schema_of
from extraction.document_types.document import DOCUMENT
from extraction.evidence import Evidence, ReadField, Source
from extraction.extract import Extraction
from extraction.markdown.front_matter import write_document


def prediction_url(prediction_id: UUID) -> str:
    """Where a prediction is read."""
    return f"/predictions/{prediction_id}"


def show_prediction(
    prediction: Prediction, pages: Sequence[Page], corrections: Sequence[Correction] = ()
) -> PredictionAnswer:
    """A prediction in full.

    Args:
        prediction: its row.
        pages: those of its document, in order.
        corrections: all of it, from the first to the one in force.
    """
    human = _human_record(corrections)
    record = prediction.record
    return PredictionAnswer(
        id=prediction.id,
        state=prediction.state,
        document_type=prediction.document_type,
        document_type_version=prediction.document_type_version,
        document_type_confidence=prediction.type_confidence,
        record=record,
        corrected_record=None if human is None else merge(record or {}, human),
        markdown=_markdown(prediction.document_type, record, human),
        fields=_show_fields(prediction.fields or {}, human),
        checks=[CheckAnswer(**check) for check in prediction.checks or ()],
        warnings=list(prediction.warnings or ()),
        reasoning=prediction.reasoning,
        entity_tokens=prediction.entity_tokens,
        schema_valid=prediction.schema_valid,
        model_version=prediction.model_version,
        prompt_hash=prediction.prompt_hash,
        finish_reason=prediction.finish_reason,
        usage=Usage(
            prompt_tokens=prediction.prompt_tokens, completion_tokens=prediction.completion_tokens
        ),
        timings_seconds=dict(prediction.timings or {}),
        pages=[
            PageAnswer(
                index=page.index,
                width_pixels=page.width_pixels,
                height_pixels=page.height_pixels,
                url=f"{prediction_url(prediction.id)}/pages/{page.index}",
            )
            for page in pages
            if page.has_image
        ],
        corrections=len(corrections),
        error=prediction.error,
        request_id=prediction.request_id,
        created_at=prediction.created_at,
        finished_at=prediction.finished_at,
    )


def summarise(prediction: Prediction, corrections: int) -> PredictionSummary:
    """A prediction in a list; `corrections` is how many it has."""
    return PredictionSummary(
        id=prediction.id,
        url=prediction_url(prediction.id),
        state=prediction.state,
        document_type=prediction.document_type,
        document_type_version=prediction.document_type_version,
        model_version=prediction.model_version,
        lowest_confidence=prediction.lowest_confidence,
        schema_valid=prediction.schema_valid,
        corrections=corrections,
        error=prediction.error,
        request_id=prediction.request_id,
        created_at=prediction.created_at,
        finished_at=prediction.finished_at,
    )


def show_correction(correction: Correction) -> CorrectionAnswer:
    """A correction as it is stored."""
    return CorrectionAnswer(
        id=correction.id,
        prediction_id=correction.prediction_id,
        verdict=correction.verdict,
        record=correction.record,
        confirms_rest=correction.confirms_rest,
        reviewer=correction.reviewer,
        comment=correction.comment,
        supersedes=correction.supersedes,
        created_at=correction.created_at,
    )


def show_type(document_type: DocumentType, stored: StoredType | None = None) -> DocumentTypeAnswer:
    """A document type; `stored` is its row where a caller has put it."""
    return DocumentTypeAnswer(
        name=document_type.name,
        version=document_type.version,
        description=document_type.description,
        built_in=stored is None,
        fields=list(document_type.field_names),
        record_schema=schema_of(document_type),
        json_schema=None if stored is None else stored.json_schema,
        created_at=None if stored is None else stored.created_at,
        retired_at=None if stored is None else stored.retired_at,
    )


def show_model(model: ModelVersion, champion: Champion, served: str | None) -> ModelAnswer:
    """A model version; `served` is the one that the engine of this process serves."""
    return ModelAnswer(
        id=model.id,
        base=model.base,
        state=model.state,
        champion=model.id == champion.model_version_id,
        served=model.id == served,
        parent_id=model.parent_id,
        created_at=model.created_at,
    )


def show_champion(champion: Champion) -> ChampionAnswer:
    """Who is to be served."""
    return ChampionAnswer(
        champion=champion.model_version_id,
        generation=champion.generation,
        canary=champion.canary_version_id,
        canary_ratio=champion.canary_ratio,
        shadow=champion.shadow_version_id,
    )


def show_promotion(promotion: Promotion) -> PromotionAnswer:
    """One change of the champion."""
    return PromotionAnswer(
        generation=promotion.generation,
        model_version=promotion.model_version_id,
        previous=promotion.previous_id,
        reason=promotion.reason,
        actor=promotion.actor,
        run_id=promotion.run_id,
        created_at=promotion.created_at,
    )


def show_decision(decision: StoredDecision) -> DecisionAnswer:
    """What the gate said."""
    return DecisionAnswer(
        run_id=decision.run_id,
        compared_with=decision.champion_id,
        passed=decision.passed,
        reasons=[str(reason) for reason in decision.reasons],
        inputs=dict(decision.inputs),
        created_at=decision.created_at,
    )


def show_lineage(prediction_id: UUID, lineage: Lineage, own: Collection[UUID]) -> LineageAnswer:
    """What is behind a prediction.

    Args:
        prediction_id: it.
        lineage: of it, over all tenants.
        own: the caller's corrections; ids of others are not shown, only counted.
    """
    return LineageAnswer(
        prediction_id=prediction_id,
        model_version=lineage.model_version,
        run_id=lineage.run_id,
        steps=[
            LineageStepAnswer(
                model_version=step.model_version,
                run_id=step.run_id,
                correction_ids=[found for found in step.correction_ids if found in own],
                correction_count=len(step.correction_ids),
            )
            for step in lineage.steps
        ],
    )


def merge(record: Mapping[str, Any], human: Mapping[str, Any]) -> dict[str, Any]:
    """The record with a person's fields over it; objects field by field, lists whole."""
    merged = dict(record)
    for name, value in human.items():
        below = merged.get(name)
        if isinstance(value, Mapping):
            merged[name] = merge(below if isinstance(below, Mapping) else {}, value)
        else:
            merged[name] = value
    return merged


def stored_fields(extraction: Extraction) -> dict[str, dict[str, Any]]:
    """The fields of an extraction as their column holds them."""
    return {path: _stored_field(field) for path, field in extraction.fields.items()}


def _markdown(
    document_type: str, record: Mapping[str, Any] | None, human: Mapping[str, Any] | None
) -> str | None:
    """A document as one text, as corrected; None for every other type."""
    if document_type != DOCUMENT.name or not record:
        return None
    merged = record if human is None else merge(record, human)
    return write_document(merged.get("pages") or ())


def _stored_field(field: ReadField) -> dict[str, Any]:
    evidence = field.evidence
    return {
        "value": field.value,
        "raw": field.raw,
        "confidence": field.confidence,
        "evidence": None if evidence is None else stored_evidence(evidence),
        "source": str(field.source),
        # Kept so that the confidence can be fitted again on corrections; not shown.
        "signals": dict(field.signals),
    }


def stored_evidence(evidence: Evidence) -> dict[str, Any]:
    """A place as its column holds it: on a page, or in a plain text."""
    if evidence.start >= 0:
        span = {"start": evidence.start, "end": evidence.end}
        return {"page": None, "box": None, "text": evidence.text} | span
    box = evidence.box
    sides = (box.left, box.top, box.right, box.bottom)
    return {
        "page": evidence.page,
        "box": [round(side, 5) for side in sides],
        "text": evidence.text,
    }


def _human_record(corrections: Sequence[Correction]) -> Mapping[str, Any] | None:
    """What the correction in force says; one that only judges changes nothing."""
    latest = corrections[-1] if corrections else None
    if latest is None or latest.verdict is not Verdict.CORRECTED:
        return None
    return latest.record


def _show_fields(
    stored: Mapping[str, Mapping[str, Any]], human: Mapping[str, Any] | None
) -> dict[str, FieldAnswer]:
    said = dict(human_leaves(human or {}))
    shown = {
        path: _show_field(field)
        for path, field in stored.items()
        # A corrected list may be shorter, a corrected object may be absent as a whole.
        if not any(
            path == changed or path.startswith(f"{changed}.") for changed in _replaced(human)
        )
    }
    for path, value in said.items():
        shown[path] = FieldAnswer(
            value=value, raw=None, confidence=None, evidence=None, source=Source.HUMAN
        )
    return shown


def _show_field(field: Mapping[str, Any]) -> FieldAnswer:
    evidence = field.get("evidence")
    return FieldAnswer(
        value=field.get("value"),
        raw=field.get("raw"),
        confidence=field.get("confidence"),
        evidence=None if evidence is None else FieldEvidence(**evidence),
        source=field["source"],
    )


def human_leaves(human: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Every leaf of a person's record with its path; an absent object and an empty list are one."""
    if isinstance(human, Mapping):
        parts: list[tuple[str, Any]] = [(str(name), value) for name, value in human.items()]
    elif isinstance(human, list) and human:
        parts = [(str(index), value) for index, value in enumerate(human)]
    else:
        return [(prefix, human)]
    return [leaf for name, value in parts for leaf in human_leaves(value, _join(prefix, name))]


def _replaced(human: Mapping[str, Any] | None, prefix: str = "") -> list[str]:
    """Paths below which nothing of the model's reading is left."""
    found: list[str] = []
    for name, value in (human or {}).items():
        path = _join(prefix, str(name))
        found += _replaced(value, path) if isinstance(value, Mapping) else [path]
    return found


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name
