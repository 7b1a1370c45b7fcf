"""Everything that a report says, as plain frozen values that can be stored and read again.

The cycle fills a `RunSummary`; `trainer.report.write` turns it into HTML. All scores lie in 0 to 1,
as `extraction.scoring` gives them; the report shows them times 100.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter

_REWARD_PREFIX = "rewards/"
_REWARD_SUFFIX = "/mean"
# Of TRL's GRPO log: shown beside the rewards, in this order.
_ALSO_SHOWN = ("reward", "loss", "kl", "completions/mean_length", "frac_reward_zero_std")


class Outcome(StrEnum):
    """How a run ended."""

    PROMOTED = "promoted"
    NOT_PROMOTED = "not-promoted"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class StageTime:
    """How long a stage took; after a crash, of all attempts together."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Count:
    """How many documents of a type went into one part of the run's data.

    Attributes:
        document_type: name of the type.
        part: train, replay, selection, holdout, or the name of a golden set.
        count: documents.
    """

    document_type: str
    part: str
    count: int


@dataclass(frozen=True, slots=True)
class ExampleIds:
    """What one example came from, for the way from a model back to its corrections.

    Attributes:
        part: as in `Count`.
        correction_id: the correction in force; None for base data.
        prediction_id: the corrected prediction.
        document_id: its document.
        content_sha256: of the document's bytes, in hexadecimal.
    """

    part: str
    correction_id: str | None
    prediction_id: str | None
    document_id: str | None
    content_sha256: str = ""


@dataclass(frozen=True, slots=True)
class Material:
    """What the run learned from and was judged on.

    Attributes:
        counts: documents by type and part.
        dropped: reason -> corrections that were left out.
        quarantined: reason -> corrections that wait for a second person.
        ids: where each example came from.
    """

    counts: tuple[Count, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)
    quarantined: Mapping[str, int] = field(default_factory=dict)
    ids: tuple[ExampleIds, ...] = ()


@dataclass(frozen=True, slots=True)
class Curve:
    """A figure over optimiser steps; None where it was no finite number."""

    name: str
    steps: tuple[int, ...]
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class GrpoRun:
    """One run of GRPO.

    Attributes:
        name: of the ingredient, as "grpo-token-18".
        seed: of the run.
        level: "token" or "sequence", of the importance sampling.
        curves: see `reward_curves`.
    """

    name: str
    seed: int
    level: str
    curves: tuple[Curve, ...]


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its bootstrap interval; a bound that is not known (one document) is None."""

    mean: float
    low: float | None
    high: float | None

    @classmethod
    def of(cls, mean: float, low: float, high: float) -> "Interval":
        """From figures that may be infinite."""
        return cls(mean, _finite(low), _finite(high))


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """Champion against candidate on some documents.

    Attributes:
        scope: "overall", "type" or "field".
        name: of the type or the field; "all documents" for the whole.
        documents: how many have a reference for it.
        before: the champion's score.
        after: the candidate's score.
        gain: candidate less champion, document by document.
        judged: False where there are too few documents for the gate.
        set_name: "holdout" or the name of a golden set.
    """

    scope: str
    name: str
    documents: int
    before: Interval
    after: Interval
    gain: Interval
    judged: bool = True
    set_name: str = "holdout"


@dataclass(frozen=True, slots=True)
class Contender:
    """One model of the selection: champion, SFT adapter, ingredient or soup.

    Attributes:
        name: of the model.
        kind: "champion", "sft", "ingredient" or "soup".
        score: on the selection set.
        chosen: whether it went on to the gate.
        parts: ingredients of a soup.
    """

    name: str
    kind: str
    score: Interval
    chosen: bool = False
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field of a page before and after; values as JSON, None where absent."""

    path: str
    before: Any
    after: Any
    reference: Any
    before_score: float
    after_score: float


@dataclass(frozen=True, slots=True)
class PageChange:
    """A document that got better or worse.

    Attributes:
        document_id: its id.
        document_type: its type.
        before: the champion's mean score.
        after: the candidate's.
        fields: those with a reference.
        image_jpeg_base64: its first page (`trainer.report.pictures.shrink`); None where the blob
            is gone.
        text: what was read, of a generated document; None elsewhere.
    """

    document_id: str
    document_type: str
    before: float
    after: float
    fields: tuple[FieldChange, ...]
    image_jpeg_base64: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run, whole.

    Attributes:
        run_id: of the training run.
        profile: name of the profile.
        outcome: how it ended.
        champion: the version it started from; None where none was served.
        candidate: the version it made; None where it came to none.
        started_at: ISO 8601.
        reasons: the gate's, in its order; or why the run failed.
        stages: in their order.
        material: what it learned from.
        sft: curves of the supervised stage, "loss" first.
        grpo: one for each run.
        scores: before and after on the holdout and the golden sets.
        contenders: the selection.
        fixed: pages that got better, the largest gain first; the report shows 8.
        broken: pages that got worse, the largest loss first; the report shows 8.
        confidence: of the intervals, 0 to 1.
        notes: anything else that a reader must know, as the error of a reduced rank.
    """

    run_id: str
    profile: str
    outcome: Outcome
    champion: str | None
    candidate: str | None
    started_at: str
    reasons: tuple[str, ...] = ()
    stages: tuple[StageTime, ...] = ()
    material: Material = field(default_factory=Material)
    sft: tuple[Curve, ...] = ()
    grpo: tuple[GrpoRun, ...] = ()
    scores: tuple[ScoreRow, ...] = ()
    contenders: tuple[Contender, ...] = ()
    fixed: tuple[PageChange, ...] = ()
    broken: tuple[PageChange, ...] = ()
    confidence: float = 0.95
    notes: tuple[str, ...] = ()

    def to_json(self) -> str:
        """As JSON text."""
        return _ADAPTER.dump_json(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> "RunSummary":
        """What `to_json` wrote.

        Raises:
            pydantic.ValidationError: it is no summary.
        """
        return _ADAPTER.validate_json(text)


_ADAPTER = TypeAdapter(RunSummary)


def curve_of(log_history: Sequence[Mapping[str, Any]], key: str, name: str | None = None) -> Curve:
    """One key of a transformers `log_history` over its steps; empty where it was never logged."""
    rows = [(int(row["step"]), _finite(row[key])) for row in log_history if key in row]
    return Curve(name or key, tuple(step for step, _ in rows), tuple(value for _, value in rows))


def reward_curves(log_history: Sequence[Mapping[str, Any]]) -> tuple[Curve, ...]:
    """Each reward's mean over steps under its own name, then the sum and what else TRL logs."""
    keys: dict[str, str] = {}
    for row in log_history:
        for key in row:
            if key.startswith(_REWARD_PREFIX) and key.endswith(_REWARD_SUFFIX):
                keys[key] = key.removeprefix(_REWARD_PREFIX).removesuffix(_REWARD_SUFFIX)
    keys |= {key: key for key in _ALSO_SHOWN if any(key in row for row in log_history)}
    return tuple(curve_of(log_history, key, name) for key, name in keys.items())


def _finite(value: Any) -> float | None:
    if value is None:  # as TRL logs the mean of a reward that scored nothing
        return None
    number = float(value)
    return number if math.isfinite(number) else None
