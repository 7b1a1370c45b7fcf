"""How sure a difference is: the bootstrap for means, Newcombe's interval for two proportions.

Gate, rollback and report share these. All are pure; what is drawn is drawn from a given seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

_CELLS = 1 << 22  # of one block of resamples: 32 MB of indices


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its bounds.

    Attributes:
        value: the point estimate.
        low: lower bound.
        high: upper bound.
        count: of what it was made from.
    """

    value: float
    low: float
    high: float
    count: float

    def as_json(self) -> dict[str, Any]:
        """The same as a JSON object; a bound that is not known is None."""
        low, high = (bound if np.isfinite(bound) else None for bound in (self.low, self.high))
        return {"value": self.value, "low": low, "high": high, "count": self.count}


@dataclass(frozen=True, slots=True)
class Proportion:
    """So many of so many; of a standardised share the effective numbers, which are not whole.

    Attributes:
        hits: those that count.
        count: all.
    """

    hits: float
    count: float

    def __post_init__(self) -> None:
        if not 0 <= self.hits <= self.count:
            raise ValueError(f"{self.hits} of {self.count} is no proportion")

    @property
    def ratio(self) -> float:
        """The share, 0 to 1.

        Raises:
            ZeroDivisionError: nothing was counted.
        """
        return self.hits / self.count


def bootstrap_mean(
    values: Sequence[float], *, confidence: float, resamples: int, seed: int
) -> Estimate:
    """The mean, with a lower and an upper bound that each hold with `confidence`.

    The values are drawn anew with replacement, as many as there are, and the bounds are percentiles
    of the means of those samples (Efron & Tibshirani 1993, chapter 13). Plain percentiles are too
    narrow for few values, by (n - 1) / n of the variance and by the normal in place of Student's
    tail, so their levels are widened (Hesterberg 2015, "expanded percentile interval"):

        level = Phi(sqrt(n / (n - 1)) * t), with t the quantile of 1 - confidence, n - 1 degrees

    For a paired comparison the values are the differences of each pair. Together the two bounds
    make an interval of confidence 2 * confidence - 1. One value has no bounds: -inf and inf.

    Args:
        values: one for each document.
        confidence: of each bound alone, 0.5 to 1.
        resamples: samples to draw.
        seed: of the draws.

    Raises:
        ValueError: there are no values, or one is not finite.
    """
    known = np.asarray(values, dtype=np.float64)
    count = len(known)
    if not count or not np.isfinite(known).all():
        raise ValueError("a bootstrap needs finite values")
    mean = float(known.mean())
    if count == 1:
        return Estimate(mean, -np.inf, np.inf, 1)
    quantile = float(stdtrit(count - 1, 1 - confidence))
    level = float(ndtr(np.sqrt(count / (count - 1)) * quantile))
    means = _resampled_means(known, resamples, np.random.default_rng(seed))
    low, high = np.quantile(means, [level, 1 - level])
    return Estimate(mean, float(low), float(high), count)


def _resampled_means(
    values: NDArray[np.float64], resamples: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    count = len(values)
    block = max(1, _CELLS // count)
    means = [
        values[rng.integers(0, count, (min(block, resamples - start), count))].mean(axis=1)
        for start in range(0, resamples, block)
    ]
    return np.concatenate(means)


def wilson(observed: Proportion, confidence: float) -> Estimate:
    """A proportion with Wilson's score bounds (Wilson 1927), each of which holds with `confidence`.

        (2 x + z^2 -+ z sqrt(z^2 + 4 x (1 - x / n))) / (2 (n + z^2)), x hits of n

    Raises:
        ZeroDivisionError: nothing was counted.
    """
    hits, count = observed.hits, observed.count
    z = NormalDist().inv_cdf(confidence)
    centre = 2 * hits + z * z
    spread = z * (z * z + 4 * hits * (1 - hits / count)) ** 0.5
    width = 2 * (count + z * z)
    low, high = (centre - spread) / width, (centre + spread) / width
    return Estimate(observed.ratio, max(0.0, low), min(1.0, high), count)


def difference(before: Proportion, after: Proportion, confidence: float) -> Estimate:
    """The change, after - before, with Newcombe's hybrid score bounds of `confidence` each.

    Newcombe 1998, "Interval estimation for the difference between independent proportions", method
    10. With Wilson's bounds l1, u1 of p1 (before) and l2, u2 of p2 (after):

        low  = p2 - p1 - sqrt((p2 - l2)^2 + (u1 - p1)^2)
        high = p2 - p1 + sqrt((u2 - p2)^2 + (p1 - l1)^2)

    It stays inside -1 to 1 and keeps its level for small counts and for shares of 0 and 1, where
    the usual normal interval fails.

    Raises:
        ZeroDivisionError: nothing was counted on one side.
    """
    first, second = wilson(before, confidence), wilson(after, confidence)
    value = second.value - first.value
    down = ((second.value - second.low) ** 2 + (first.high - first.value) ** 2) ** 0.5
    up = ((second.high - second.value) ** 2 + (first.value - first.low) ** 2) ** 0.5
    return Estimate(value, value - down, value + up, first.count + second.count)
