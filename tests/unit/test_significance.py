"""The statistics against published figures, and against what their names promise."""

import numpy as np
import pytest

from trainer.significance import Proportion, bootstrap_mean, difference, wilson

TWO_SIDED_95 = 0.975  # each bound alone


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        # Newcombe 1998, table II, method 10, 95 %; his difference is first - second.
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0),
        ((10, 10), (0, 10), 0.6075, 1.0),
    ],
)
def test_newcombes_own_figures(
    first: tuple[int, int], second: tuple[int, int], low: float, high: float
) -> None:
    found = difference(Proportion(*second), Proportion(*first), TWO_SIDED_95)
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_wilsons_interval() -> None:
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", method 3.
    found = wilson(Proportion(81, 263), TWO_SIDED_95)
    assert (found.low, found.high) == (
        pytest.approx(0.2553, abs=1e-4),
        pytest.approx(0.3662, abs=1e-4),
    )
    assert wilson(Proportion(0, 20), TWO_SIDED_95).high == pytest.approx(0.1611, abs=1e-4)


def test_a_difference_turned_round_changes_its_sign() -> None:
    there = difference(Proportion(3, 40), Proportion(11, 35), 0.95)
    back = difference(Proportion(11, 35), Proportion(3, 40), 0.95)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))


def test_what_is_no_proportion() -> None:
    with pytest.raises(ValueError, match="5 of 4 is no proportion"):
        Proportion(5, 4)


@pytest.mark.parametrize("count", [8, 30])
def test_the_lower_bound_lies_above_the_truth_as_rarely_as_promised(count: int) -> None:
    rng = np.random.default_rng(7)
    trials = 1000
    above = sum(
        bootstrap_mean(
            rng.normal(0.0, 0.2, count).tolist(), confidence=0.9, resamples=400, seed=trial
        ).low
        > 0
        for trial in range(trials)
    )
    # 100 are promised; three standard deviations of a count are 28. The plain percentile of 8
    # values gives about 140.
    assert abs(above - 100) <= 28


def test_a_clear_gain_is_seen_and_no_difference_is_none() -> None:
    gain = bootstrap_mean([0.1, 0.2, 0.15, 0.3] * 5, confidence=0.95, resamples=2000, seed=1)
    assert gain.value == pytest.approx(0.1875)
    assert 0.13 < gain.low < gain.value < gain.high < 0.24
    none = bootstrap_mean([0.0] * 20, confidence=0.95, resamples=200, seed=1)
    assert (none.value, none.low, none.high) == (0.0, 0.0, 0.0)


def test_the_same_seed_gives_the_same_bounds_in_blocks_of_any_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = np.random.default_rng(3).normal(0.1, 0.3, 40).tolist()
    first = bootstrap_mean(values, confidence=0.9, resamples=500, seed=11)
    assert bootstrap_mean(values, confidence=0.9, resamples=500, seed=11) == first
    assert bootstrap_mean(values, confidence=0.9, resamples=500, seed=12) != first
    monkeypatch.setattr("trainer.significance._CELLS", 1000)
    assert bootstrap_mean(values, confidence=0.9, resamples=500, seed=11) == first


def test_one_value_proves_nothing_and_none_is_refused() -> None:
    assert bootstrap_mean([0.9], confidence=0.9, resamples=10, seed=1).low == -np.inf
    for values in ([], [0.1, float("nan")]):
        with pytest.raises(ValueError, match="finite values"):
            bootstrap_mean(values, confidence=0.9, resamples=10, seed=1)
