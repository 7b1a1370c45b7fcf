"""When a promoted version is taken back, on made counts."""

from typing import Any

import numpy as np

from db.queries.live import LiveCounts
from trainer.profile import RollbackSection, load_profile
from trainer.rollback import decide_rollback

RULES = load_profile("small").rollback


def rules(**changes: Any) -> RollbackSection:
    return RULES.model_copy(update=changes)


def counts(
    reviewed: int, corrected: int, *, predictions: int | None = None, invalid: int = 0
) -> LiveCounts:
    predictions = reviewed if predictions is None else predictions
    return LiveCounts(predictions, predictions - invalid, reviewed, corrected)


def typed(**parts: LiveCounts) -> LiveCounts:
    found = parts.values()
    return LiveCounts(
        sum(part.predictions for part in found),
        sum(part.schema_valid for part in found),
        sum(part.reviewed for part in found),
        sum(part.corrected for part in found),
        parts,
    )


def test_more_corrections_take_a_version_back() -> None:
    decision = decide_rollback(counts(200, 20), counts(50, 20), RULES)
    assert decision.roll_back
    assert decision.reasons == (
        (
            "The correction rate went from 10.0% to 40.0% (of 50); with 95% confidence the change "
            "is at least +18.7 points, more than the margin of 5.0."
        ),
        (
            "The share of schema-invalid answers went from 0.0% to 0.0% (of 50); with 95% "
            "confidence the change is at least -1.3 points, not more than the margin of 5.0."
        ),
    )


def test_invalid_answers_take_it_back_without_any_review() -> None:
    before = counts(0, 0, predictions=500, invalid=2)
    decision = decide_rollback(before, counts(0, 0, predictions=60, invalid=15), RULES)
    assert decision.roll_back
    assert decision.reasons[0].startswith(
        "The share of schema-invalid answers went from 0.4% to 25"
    )
    assert decision.reasons[1].startswith("The correction rate is not judged yet: 0 answers")


def test_a_difference_within_the_margin_or_the_noise_keeps_it() -> None:
    assert not decide_rollback(counts(200, 20), counts(50, 8), RULES).roll_back, "noise"
    large = counts(100_000, 10_000), counts(100_000, 14_000)
    assert not decide_rollback(*large, RULES).roll_back, "certain, but within the margin"
    assert decide_rollback(*large, rules(margin=0.03)).roll_back
    assert not decide_rollback(counts(50, 20), counts(200, 20), RULES).roll_back, "better"


def test_too_few_reviews_decide_nothing() -> None:
    assert not decide_rollback(counts(200, 0), counts(19, 19), RULES).roll_back
    assert decide_rollback(counts(200, 0), counts(20, 20), RULES).roll_back
    assert not decide_rollback(counts(0, 0), counts(20, 20), RULES).roll_back, "nothing to compare"


def test_harder_documents_are_not_the_versions_fault() -> None:
    """The same skill in both types, and the mix turned round: 14 % before, 46 % after."""
    before = typed(receipt=counts(180, 18), passport=counts(20, 10))
    after = typed(receipt=counts(20, 2), passport=counts(180, 90))
    plain = decide_rollback(
        counts(before.reviewed, before.corrected), counts(after.reviewed, after.corrected), RULES
    )
    assert plain.roll_back, "the plain rates differ"
    decision = decide_rollback(before, after, RULES)
    assert not decision.roll_back
    assert decision.reasons[0].startswith("The correction rate went from 46.0% to 46.0% (of 200)")


def test_a_type_that_is_new_is_not_compared() -> None:
    before = typed(receipt=counts(200, 20))
    new = typed(receipt=counts(40, 4), invoice=counts(100, 100))
    assert not decide_rollback(before, new, RULES).roll_back
    worse = typed(receipt=counts(40, 30), invoice=counts(100, 0))
    assert decide_rollback(before, worse, RULES).roll_back


def test_the_standardised_rate_of_one_type_is_the_plain_rate() -> None:
    plain = decide_rollback(counts(90, 9), counts(40, 17), RULES)
    assert (
        decide_rollback(typed(receipt=counts(90, 9)), typed(receipt=counts(40, 17)), RULES) == plain
    )


def test_an_equal_version_is_rarely_taken_back_though_it_is_looked_at_after_each_review() -> None:
    taken = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        before = counts(200, int(rng.binomial(200, 0.15)))
        wrong = np.cumsum(rng.random(200) < 0.15)
        looks = (counts(seen, int(wrong[seen - 1])) for seen in range(20, 201))
        taken += any(decide_rollback(before, look, RULES).roll_back for look in looks)
    assert taken <= 10, "1 - confidence of 200 versions"


def test_a_clearly_worse_version_is_mostly_taken_back() -> None:
    taken = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        after = counts(100, int(rng.binomial(100, 0.4)))
        taken += decide_rollback(counts(200, 30), after, RULES).roll_back
    assert taken >= 95
