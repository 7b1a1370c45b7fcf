"""Signals of a reading -> probability that it is right."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extraction.checks import Check, Verdict
from extraction.confidence import FILE, SIGNALS, Calibration, signals_of, zone_confidence
from extraction.document_types.base import FieldSpec, Kind
from extraction.engine import LOGPROB_FLOOR, Token
from extraction.evidence import Evidence
from extraction.lines import Box

SPEC = FieldSpec("total", Kind.MONEY)
PLACE = Evidence(0, Box(0, 0, 1, 1), "9.00", 0.9, 0.8, alternatives=2, labelled=True)
SURE, UNSURE = (Token("9.00", -0.001),), (Token("9.", -0.5), Token("00", -3.0))


def check(verdict: Verdict) -> Check:
    return Check("c", verdict, "", ("total",))


def confidence(
    tokens: tuple[Token, ...] = SURE,
    place: Evidence | None = PLACE,
    verdict: Verdict = Verdict.NOT_APPLICABLE,
    *,
    misfit: bool = False,
) -> float:
    signals = signals_of(SPEC, tokens, place, [check(verdict)], misfit=misfit, length=4)
    return Calibration().confidence("receipt", signals)


def test_the_signals_of_a_value() -> None:
    signals = signals_of(SPEC, UNSURE, PLACE, [check(Verdict.PASS)], misfit=False, length=4)
    assert tuple(signals) == SIGNALS
    assert signals == pytest.approx(
        {
            "mean_logprob": -1.75,
            "least_logprob": -3.0,
            "similarity": 0.9,
            "line_score": 0.8,
            "alternatives": math.log(3),
            "labelled": 1.0,
            "check_passed": 1.0,
            "check_failed": 0.0,
            "misfit": 0.0,
            "is_text": 0.0,
            "length": math.log(5),
        }
    )


def test_a_value_without_tokens_or_place_has_signals_too() -> None:
    signals = signals_of(SPEC, (), None, [], misfit=True, length=0)
    assert tuple(signals) == SIGNALS
    assert signals["mean_logprob"] < 0
    assert signals["similarity"] == 0


def test_a_masked_token_does_not_swallow_the_others() -> None:
    signals = signals_of(SPEC, (Token("9", LOGPROB_FLOOR),), PLACE, [], misfit=False, length=1)
    assert signals["least_logprob"] == -8


@pytest.mark.parametrize(
    ("better", "worse", "why"),
    [
        (confidence(), confidence(UNSURE), "certain tokens"),
        (confidence(), confidence(place=None), "a place on the page"),
        (confidence(verdict=Verdict.PASS), confidence(), "a check that passed"),
        (confidence(), confidence(verdict=Verdict.FAIL), "a check that failed"),
        (confidence(), confidence(misfit=True), "a text that fits its kind"),
    ],
)
def test_without_a_fit_each_signal_counts_the_right_way(
    better: float, worse: float, why: str
) -> None:
    assert better > worse, why


@given(
    st.dictionaries(
        st.sampled_from([*SIGNALS, "bias", "other"]),
        st.floats(-1e9, 1e9, allow_nan=False),
        max_size=6,
    ),
    st.dictionaries(st.sampled_from(SIGNALS), st.floats(-1e6, 1e6), max_size=11),
)
def test_a_confidence_is_a_probability(
    weights: dict[str, float], signals: dict[str, float]
) -> None:
    value = Calibration({"*": weights}).confidence("receipt", signals)
    assert 0.01 <= value <= 0.999


def test_a_type_has_its_own_weights_and_others_share_theirs() -> None:
    calibration = Calibration({"receipt": {"bias": 2.0}, "*": {"bias": -2.0}})
    assert calibration.confidence("receipt", {}) > 0.8
    assert calibration.confidence("delivery_note", {}) < 0.2
    assert 0.01 <= Calibration({}).confidence("receipt", {}) <= 0.999


def test_a_folder_with_a_fit_and_one_without(tmp_path: Path) -> None:
    assert not Calibration.load(tmp_path).fitted
    (tmp_path / FILE).write_text(json.dumps({"weights": {"receipt": {"bias": 1.0}}}))
    calibration = Calibration.load(tmp_path)
    assert calibration.fitted
    assert calibration.weights == {"receipt": {"bias": 1.0}}


@pytest.mark.parametrize(
    ("protected", "proven", "digits_agree", "least", "most"),
    [
        (True, True, True, 0.99, 1.0),
        (True, True, False, 0.99, 1.0),
        (True, False, False, 0.0, 0.5),
        (False, False, True, 0.9, 0.99),
        (False, False, False, 0.5, 0.9),
    ],
)
def test_a_zones_confidence(
    protected: bool, proven: bool, digits_agree: bool, least: float, most: float
) -> None:
    value = zone_confidence(protected=protected, proven=proven, digits_agree=digits_agree)
    assert least <= value <= most
