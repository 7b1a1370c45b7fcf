"""How sure a value is: signals of its reading -> calibrated probability that it is right.

The model is a logistic regression per document type over a handful of signals (Platt scaling,
Platt 1999, with more than one input). Its weights are fitted on documents that were not trained on
(`trainer/calibrate.py`) and live beside the model in `calibration.json`; the fit is measured by
the expected calibration error (Naeini et al. 2015).
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from extraction.checks import Check, Verdict
from extraction.document_types.base import FieldSpec, Kind
from extraction.engine import Token
from extraction.evidence import Evidence

FILE = "calibration.json"
SIGNALS = (
    "mean_logprob",
    "least_logprob",
    "similarity",
    "line_score",
    "alternatives",
    "labelled",
    "check_passed",
    "check_failed",
    "misfit",
    "is_text",
    "length",
)
_LOGPROB_FLOOR = -8.0

# Without a fitted file: certain tokens and a found place are needed to come near 1.
_UNFITTED = {
    "bias": 0.5,
    "mean_logprob": 3.0,
    "least_logprob": 0.6,
    "similarity": 2.0,
    "line_score": 0.5,
    "check_passed": 0.7,
    "check_failed": -1.2,
    "misfit": -3.0,
    "alternatives": -0.2,
}
_EVERY_TYPE = "*"
_ALONE = "/alone"
# Of zones whose digits all agree, the share of fields that are right; the digit itself misses one
# error in ten, the composite most of the rest.
_PROVEN, _UNPROVEN_LETTERS, _DISPROVEN = 0.995, 0.97, 0.35


def calibrated_as(document_type: str, *, with_ocr: bool) -> str:
    """The name of the weights for a type: a model without the OCR's lines errs in other ways."""
    return document_type if with_ocr else document_type + _ALONE


def token_spans(tokens: Sequence[Token]) -> list[tuple[Token, int, int]]:
    """Each token with the offsets of its text in the completion, end-exclusive."""
    spans, at = [], 0
    for token in tokens:
        spans.append((token, at, at + len(token.text)))
        at += len(token.text)
    return spans


def tokens_between(spans: Sequence[tuple[Token, int, int]], start: int, end: int) -> list[Token]:
    """The tokens that wrote a value, those that overlap its place; none for a place of -1."""
    if start < 0:
        return []
    return [token for token, begin, finish in spans if begin < end and finish > start]


def signals_of(
    spec: FieldSpec,
    tokens: Sequence[Token],
    evidence: Evidence | None,
    checks: Sequence[Check],
    *,
    misfit: bool,
    length: int,
) -> dict[str, float]:
    """The signals of one value, in natural units.

    Args:
        spec: its field.
        tokens: the tokens that wrote it.
        evidence: its place, if one was found.
        checks: the verdicts that involve it.
        misfit: the text does not fit its kind.
        length: characters of the text.
    """
    logprobs = [max(token.logprob, _LOGPROB_FLOOR) for token in tokens] or [_LOGPROB_FLOOR / 4]
    verdicts = {check.verdict for check in checks}
    return {
        "mean_logprob": sum(logprobs) / len(logprobs),
        "least_logprob": min(logprobs),
        "similarity": evidence.similarity if evidence else 0.0,
        "line_score": evidence.score if evidence else 0.0,
        "alternatives": math.log1p(evidence.alternatives) if evidence else 0.0,
        "labelled": float(evidence.labelled) if evidence else 0.0,
        "check_passed": float(Verdict.PASS in verdicts),
        "check_failed": float(Verdict.FAIL in verdicts),
        "misfit": float(misfit),
        "is_text": float(spec.kind is Kind.TEXT),
        "length": math.log1p(length),
    }


@dataclass(frozen=True, slots=True)
class Calibration:
    """Fitted weights per document type.

    Attributes:
        weights: as `calibrated_as` names them, or "*" for the others -> signal or "bias" -> weight.
        fitted: False where the weights are a guess that nothing was measured for.
    """

    weights: Mapping[str, Mapping[str, float]] = field(
        default_factory=lambda: {_EVERY_TYPE: _UNFITTED}
    )
    fitted: bool = False

    @classmethod
    def load(cls, folder: Path) -> "Calibration":
        """The calibration of a model folder; the unfitted one where it has none."""
        path = folder / FILE
        if not path.exists():
            return cls()
        return cls(json.loads(path.read_text())["weights"], fitted=True)

    def confidence(self, calibrated: str, signals: Mapping[str, float]) -> float:
        """Probability that a value with these signals is right, 0.01 to 0.999.

        Args:
            calibrated: as `calibrated_as` gives it; without weights for a type alone, the type's.
            signals: of the value.
        """
        names = (calibrated, calibrated.removesuffix(_ALONE), _EVERY_TYPE)
        weights = next((self.weights[name] for name in names if name in self.weights), _UNFITTED)
        score = weights.get("bias", 0.0)
        score += sum(weights.get(name, 0.0) * value for name, value in signals.items())
        return min(max(1 / (1 + math.exp(-max(min(score, 30.0), -30.0))), 0.01), 0.999)


def zone_confidence(*, protected: bool, proven: bool, digits_agree: bool) -> float:
    """Confidence of a value that was read from a machine-readable zone.

    Args:
        protected: a check digit covers the field.
        proven: that digit agrees.
        digits_agree: all digits of the zone agree.
    """
    if protected:
        return _PROVEN if proven else _DISPROVEN
    return _UNPROVEN_LETTERS if digits_agree else 0.8
