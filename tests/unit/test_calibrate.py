"""The fit of the confidence: signals that tell right from wrong give calibrated probabilities."""

import random
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

from db.tables import Verdict
from extraction.confidence import SIGNALS, Calibration
from trainer.calibrate import LEAST_VALUES, Judged, expected_calibration_error, fit, judged_values


def values(count: int) -> list[Judged]:
    rng = random.Random(3)
    made = []
    for number in range(count):
        sure = rng.random()
        signals = dict.fromkeys(SIGNALS, 0.0) | {"similarity": sure}
        right = rng.random() < sure
        made.append(Judged(str(number // 4), "receipt", "total", signals, right))
    return made


def test_the_fit_is_calibrated_and_is_what_the_service_computes() -> None:
    judged = values(4000)
    found = fit(judged)
    assert found.error < 0.05
    served = Calibration({"receipt": found.weights}, fitted=True)
    low = served.confidence("receipt", judged[0].signals | {"similarity": 0.1})
    high = served.confidence("receipt", judged[0].signals | {"similarity": 0.9})
    assert low < 0.3
    assert high > 0.7


def test_too_few_values_or_one_outcome_cannot_be_fitted() -> None:
    with pytest.raises(ValueError, match="cannot be fitted"):
        fit(values(LEAST_VALUES - 1))
    right = [Judged(v.document, "receipt", "total", v.signals, right=True) for v in values(400)]
    with pytest.raises(ValueError, match="cannot be fitted"):
        fit(right)


def test_expected_calibration_error_by_hand() -> None:
    # Two bins: 0.95 claimed and half right, 0.05 claimed and none right; half of the values each.
    probabilities = np.array([0.95, 0.95, 0.05, 0.05])
    right = np.array([1.0, 0.0, 0.0, 0.0])
    assert expected_calibration_error(probabilities, right) == pytest.approx(
        0.5 * 0.45 + 0.5 * 0.05
    )


def test_a_correction_judges_the_values_that_it_touches() -> None:
    signals = dict.fromkeys(SIGNALS, 0.0)
    fields = {
        "total": {"source": "model", "signals": signals},
        "items.0.quantity": {"source": "model", "signals": signals},
        "merchant_name": {"source": "model", "signals": signals},
        "surname": {"source": "mrz", "signals": {}},
    }
    prediction: Any = SimpleNamespace(
        document_id=uuid4(), document_type="receipt", fields=fields, options={}
    )
    correction: Any = SimpleNamespace(
        verdict=Verdict.CORRECTED, record={"total": "1.00", "items": []}
    )
    judged = {value.path: value.right for value in judged_values([(prediction, correction)])}
    assert judged == {"total": False, "items.0.quantity": False, "merchant_name": True}
    prediction.options = {"ocr": False}
    alone = judged_values([(prediction, correction)])
    assert {value.calibrated for value in alone} == {"receipt/alone"}
    unreadable: Any = SimpleNamespace(verdict=Verdict.UNREADABLE, record=None)
    assert judged_values([(prediction, unreadable)]) == []
