"""`auto`: which built-in type a document has, from its lines alone, and how sure that is.

    lines -> machine-readable zone? -> passport
          -> features of each page -> linear model -> probabilities, mean over pages -> decision

A zone whose check digits agree is all but proof: one random digit passes in ten. Without one, a
multinomial logistic regression decides; `trainer/classifier.py` fits it, chooses the temperature
(Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv 1706.04599) and the threshold
below which a document counts as unknown, on kinds of documents that the model had not seen.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from extraction.lines import Line
from extraction.mrz import FoundMrz, find_mrz
from extraction.page_features import FEATURES, features_of

UNKNOWN: Final = "unknown"
PASSPORT: Final = "passport"
# Beside the package in a checkout and in the image; another place is given by its path.
SHIPPED: Final = Path(__file__).parents[1] / "models" / "default" / "classifier.json"

# Check digits that agree, and their least share, that make a zone proof of a passport.
_PROVING_DIGITS, _PROVING_SHARE = 2, 0.5
_PROVEN, _NEARLY_PROVEN = 0.999, 0.99


@dataclass(frozen=True, slots=True)
class TypeDecision:
    """What a document is.

    Attributes:
        name: "receipt", "passport", or "unknown".
        confidence: probability that the name is right, 0 to 1.
    """

    name: str
    confidence: float


@dataclass(frozen=True, eq=False)
class TypeClassifier:
    """A fitted classifier.

    Attributes:
        labels: the classes; "unknown" is one of them.
        mean: of each feature, shape (features,).
        scale: of each feature, shape (features,); a feature is (x - mean) / scale, at most 6 apart.
        weights: shape (labels, features).
        bias: shape (labels,).
        temperature: the scores are divided by it before the softmax.
        thresholds: for each label but "unknown", the least probability at which it is named.
    """

    labels: tuple[str, ...]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    temperature: float
    thresholds: Mapping[str, float]

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """The classifier in a JSON file; for None the one at `SHIPPED`.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file was fitted for other features, or its shapes do not agree.
        """
        source = path or SHIPPED
        content: dict[str, Any] = json.loads(source.read_text(encoding="utf-8"))
        if content.get("features") != list(FEATURES):
            raise ValueError(f"{source.name} was fitted for other features; fit it again")
        found = cls(
            labels=tuple(content["labels"]),
            mean=_array(content["mean"]),
            scale=_array(content["scale"]),
            weights=_array(content["weights"]),
            bias=_array(content["bias"]),
            temperature=float(content["temperature"]),
            thresholds={name: float(least) for name, least in content["thresholds"].items()},
        )
        if set(found.thresholds) != set(found.labels) - {UNKNOWN} or UNKNOWN not in found.labels:
            raise ValueError(f"{source.name} lacks a threshold, or the label {UNKNOWN}")
        shape = (len(found.labels), len(FEATURES))
        arrays = (found.mean, found.scale, found.weights, found.bias)
        if [array.shape for array in arrays] != [shape[1:], shape[1:], shape, shape[:1]]:
            raise ValueError(f"{source.name} holds arrays of the wrong shapes")
        if not all(np.isfinite(array).all() for array in arrays) or not (found.scale > 0).all():
            raise ValueError(f"{source.name} holds numbers that are not finite")
        return found

    def decide(self, lines: Sequence[Line]) -> TypeDecision:
        """What a document is, from the lines of all its pages. Blocks for some milliseconds.

        A document without lines is unknown for sure: there is nothing to extract.
        """
        if not lines:
            return TypeDecision(UNKNOWN, 1.0)
        pages = [[line for line in lines if line.page == page] for page in _pages(lines)]
        zones = [find_mrz(page) for page in pages]
        proof = max((_proof(zone) for zone in zones), default=0.0)
        if proof:
            return TypeDecision(PASSPORT, proof)
        features = [features_of(page, zone) for page, zone in zip(pages, zones, strict=True)]
        return self.choose(self.probabilities(np.stack(features)).mean(axis=0))

    def choose(self, probabilities: NDArray[np.float64]) -> TypeDecision:
        """The decision for a document's probabilities, shape (labels,)."""
        best = int(probabilities.argmax())
        confidence = float(probabilities[best])
        if self.labels[best] != UNKNOWN and confidence >= self.thresholds[self.labels[best]]:
            return TypeDecision(self.labels[best], confidence)
        return TypeDecision(UNKNOWN, float(probabilities[self.labels.index(UNKNOWN)]))

    def probabilities(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rows of features, shape (n, features), to rows of probabilities, shape (n, labels)."""
        scores = standardised(features, self.mean, self.scale) @ self.weights.T + self.bias
        scores = scores / self.temperature
        shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
        result: NDArray[np.float64] = shifted / shifted.sum(axis=1, keepdims=True)
        return result


def standardised(
    features: NDArray[np.float64], mean: NDArray[np.float64], scale: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(x - mean) / scale, held within six scales: a freak page stays near what was fitted."""
    return np.clip((features - mean) / scale, -6.0, 6.0)


def _array(numbers: Any) -> NDArray[np.float64]:
    return np.array(numbers, dtype=np.float64)


def _pages(lines: Sequence[Line]) -> list[int]:
    return sorted({line.page for line in lines})


def _proof(zone: FoundMrz | None) -> float:
    """How surely a zone makes its page a passport; 0.0 where the model has to decide."""
    if zone is None:
        return 0.0
    passed = [digit.passed for digit in zone.mrz.digits]
    if sum(passed) < _PROVING_DIGITS or sum(passed) < _PROVING_SHARE * len(passed):
        return 0.0
    return _PROVEN if all(passed) else _NEARLY_PROVEN
