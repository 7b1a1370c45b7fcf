"""Fits the type classifier: `python -m trainer.classifier --sroie FOLDER --cache FILE --out FILE`.

Multinomial logistic regression, the three labels weighing the same. Regularisation, temperature
and threshold are chosen on pages of kinds that the fit had not seen: folds hold out whole kinds of
other pages, because what arrives in service is mostly no kind that was generated here.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from extraction.classify import PASSPORT, UNKNOWN, TypeClassifier, standardised
from extraction.page_features import FEATURES
from trainer.classifier_pages import (
    RECEIPT,
    Counts,
    LabelledPage,
    feature_rows,
    generated_pages,
    sroie_pages,
)

LABELS = (RECEIPT, PASSPORT, UNKNOWN)
TRAINING_SPLIT = range(400)
_TYPED = frozenset({"sroie", "receipt", "invoice", "passport"})
_FOLDS = 6
_STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
_TEMPERATURES = np.geomspace(0.25, 8.0, 61)
_BINS = 10
# Of other pages of unseen kinds, at most this share is taken for a receipt, and for a passport. A
# third of those kinds was made to look like one.
_MOST_WRONGLY_NAMED = 0.03

_Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Calibrated:
    """How good probabilities were on pages of unseen kinds.

    Attributes:
        log_loss: mean negative logarithm of the probability of the right label, labels balanced.
        expected_calibration_error: mean distance of confidence and accuracy over ten bins of equal
            width (Naeini et al. 2015), pages weighted as in the fit.
        accuracy: share of pages whose likeliest label is right, labels balanced.
        named_wrongly: share of other pages that get a type at the threshold.
        named_rightly: share of receipts and passports that get their type at the threshold.
    """

    log_loss: float
    expected_calibration_error: float
    accuracy: float
    named_wrongly: float
    named_rightly: float


def fit(pages: Sequence[LabelledPage], seed: int) -> tuple[TypeClassifier, dict[str, Any]]:
    """The classifier for these pages, and what was measured on kinds held out while fitting."""
    features = feature_rows(pages)
    labels = np.array([LABELS.index(page.label) for page in pages])
    folds = _folds(pages, seed)
    best: tuple[float, float, TypeClassifier, _Array] | None = None
    weights = _balanced(labels)
    for strength in _STRENGTHS:
        scores = np.empty((len(pages), len(LABELS)))
        for fold in range(_FOLDS):
            seen = folds != fold
            model = _fit_once(features[seen], labels[seen], strength)
            scores[~seen] = np.log(model.probabilities(features[~seen]) + 1e-300)
        temperature = min(_TEMPERATURES, key=lambda t: _loss(_softmax(scores / t), labels, weights))
        loss = _loss(_softmax(scores / temperature), labels, weights)
        if best is None or loss < best[0]:
            whole = replace(_fit_once(features, labels, strength), temperature=float(temperature))
            best = loss, strength, whole, _softmax(scores / temperature)
    if best is None:
        raise ValueError("there are no strengths to choose from")
    _, strength, classifier, held_out = best
    classifier = replace(classifier, thresholds=_thresholds(held_out, labels))
    measured = measure(classifier, held_out, labels)
    report = {
        "strength": strength,
        "unseen_kinds": {name: round(getattr(measured, name), 4) for name in measured.__slots__},
        "pages": {kind: sum(page.kind == kind for page in pages) for kind in _kinds(pages)},
        "seed": seed,
    }
    return classifier, report


def _kinds(pages: Sequence[LabelledPage]) -> list[str]:
    return list(dict.fromkeys(page.kind for page in pages))


def _folds(pages: Sequence[LabelledPage], seed: int) -> NDArray[np.int64]:
    """The fold of each page: other pages by their kind, receipts and passports at random."""
    rng = np.random.default_rng(seed)
    others = [kind for kind in _kinds(pages) if kind not in _TYPED]
    rng.shuffle(others)
    of_kind = {kind: index % _FOLDS for index, kind in enumerate(others)}
    return np.array([of_kind.get(page.kind, rng.integers(_FOLDS)) for page in pages])


def _balanced(labels: NDArray[np.int64]) -> _Array:
    counts = np.bincount(labels, minlength=len(LABELS))
    weights: _Array = (1.0 / (len(LABELS) * counts))[labels]
    return weights


def _fit_once(features: _Array, labels: NDArray[np.int64], strength: float) -> TypeClassifier:
    mean, scale = features.mean(axis=0), features.std(axis=0)
    # A feature that hardly varies here must not become huge elsewhere.
    scale = np.maximum(scale, 0.02)
    model = LogisticRegression(C=strength, class_weight="balanced", max_iter=2000)
    model.fit(standardised(features, mean, scale), labels)
    return TypeClassifier(
        labels=LABELS,
        mean=mean,
        scale=scale,
        weights=model.coef_,
        bias=model.intercept_,
        temperature=1.0,
        thresholds=dict.fromkeys((RECEIPT, PASSPORT), 0.5),
    )


def _softmax(scores: _Array) -> _Array:
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    result: _Array = shifted / shifted.sum(axis=1, keepdims=True)
    return result


def _loss(probabilities: _Array, labels: NDArray[np.int64], weights: _Array) -> float:
    right = probabilities[np.arange(len(labels)), labels]
    return float(-(weights * np.log(right + 1e-12)).sum() / weights.sum())


def _thresholds(probabilities: _Array, labels: NDArray[np.int64]) -> dict[str, float]:
    """For each type the lowest threshold, from one half, that few enough other pages reach."""
    others = probabilities[labels == LABELS.index(UNKNOWN)]
    reached = np.quantile(others, 1.0 - _MOST_WRONGLY_NAMED, axis=0)
    return {
        label: max(0.5, round(float(least), 3))
        for label, least in zip(LABELS, reached, strict=True)
        if label != UNKNOWN
    }


def measure(
    classifier: TypeClassifier, probabilities: _Array, labels: NDArray[np.int64]
) -> Calibrated:
    """The quality of held-out probabilities, shape (pages, labels)."""
    weights = _balanced(labels)
    weights = weights / weights.sum()
    confidence = probabilities.max(axis=1)
    is_right = probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    error = sum(
        abs(float((weights * (confidence - is_right))[bins == index].sum()))
        for index in range(_BINS)
    )
    named = np.array([LABELS.index(classifier.choose(row).name) for row in probabilities])
    unknown = LABELS.index(UNKNOWN)
    return Calibrated(
        log_loss=_loss(probabilities, labels, weights),
        expected_calibration_error=error,
        accuracy=float((weights * is_right).sum()),
        named_wrongly=float((named != unknown)[labels == unknown].mean()),
        named_rightly=float((named == labels)[labels != unknown].mean()),
    )


def save(classifier: TypeClassifier, report: dict[str, Any], path: Path) -> None:
    """Writes the classifier as `TypeClassifier.load` reads it, and the report beside it."""
    content = {
        "labels": list(classifier.labels),
        "temperature": round(classifier.temperature, 4),
        "thresholds": dict(classifier.thresholds),
        "report": report,
        "features": list(FEATURES),
        **{
            name: np.round(getattr(classifier, name), 5).tolist()
            for name in ("mean", "scale", "weights", "bias")
        },
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content) + "\n", encoding="utf-8")


def main() -> None:
    """Reads the arguments, fits, saves, prints what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sroie", type=Path, required=True, help="folder with receipts.jsonl")
    parser.add_argument("--cache", type=Path, required=True, help="our OCR's lines of it")
    parser.add_argument("--out", type=Path, required=True, help="the classifier, JSON")
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--threads", type=int, default=1, help="of the OCR")
    arguments = parser.parse_args()
    pages = sroie_pages(arguments.sroie, arguments.cache, TRAINING_SPLIT, threads=arguments.threads)
    pages += generated_pages(Counts(), arguments.seed)
    classifier, report = fit(pages, arguments.seed)
    save(classifier, report, arguments.out)
    print(json.dumps({**report, "temperature": classifier.temperature}, indent=2))
    print(f"thresholds {classifier.thresholds}")


if __name__ == "__main__":
    main()
