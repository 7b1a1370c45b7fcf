"""A correction that accepts the document confirms what it leaves alone; others do not."""

from typing import Any

import pytest

from db.queries.learning import Learnable
from extraction.document_types.catalogue import BUILT_IN
from tests.factories_learning import OPTIONS, make_learnable, receipt_lines
from trainer.changes import Case
from trainer.confirmed import confirmed_of

RECEIPT = BUILT_IN["receipt"]
RECORD: dict[str, Any] = {"merchant_name": "CORNER STORE", "total": "8.40", "tip": None}
SAID = {"total": "9.40"}
ASKED = ("merchant_name", "total", "tip")


def accepted(said: dict[str, Any], **given: Any) -> Learnable:
    learnable = make_learnable(receipt_lines(), RECORD, said, **given)
    learnable.correction.confirms_rest = True
    return learnable


def test_the_rest_is_confirmed_as_it_was_predicted() -> None:
    confirmed = confirmed_of(accepted(SAID, asked_fields=ASKED), RECEIPT)
    assert confirmed is not None
    assert confirmed.reference == {**RECORD, "total": "9.40"}


def test_without_it_the_corrected_fields_alone_are() -> None:
    learnable = make_learnable(receipt_lines(), RECORD, SAID, asked_fields=ASKED)
    confirmed = confirmed_of(learnable, RECEIPT)
    assert confirmed is not None
    assert confirmed.reference == SAID
    assert Case(learnable, RECEIPT).said == SAID


def test_what_entity_tokens_cannot_hold_is_not_confirmed_unless_it_is_named() -> None:
    options = {**OPTIONS, "format": "entity_tokens"}
    plain = confirmed_of(accepted(SAID, options=options), RECEIPT)
    assert plain is not None
    assert "items" not in plain.fields
    items = confirmed_of(accepted({"items": [{"description": "TEA"}]}, options=options), RECEIPT)
    assert items is not None
    assert {"items", "total"} <= set(items.fields)


def test_only_what_differs_is_a_change() -> None:
    case = Case(accepted(SAID, asked_fields=ASKED), RECEIPT)
    seen = [(change.path, change.before, change.after) for change in case.changes]
    assert seen == [("total", "8.40", "9.40")]
    assert case.said == {**RECORD, "total": "9.40"}


@pytest.mark.parametrize("said", [SAID, {**RECORD, **SAID}])
def test_a_record_that_is_sent_whole_confirms_as_much(said: dict[str, Any]) -> None:
    both = [
        confirmed_of(found, RECEIPT)
        for found in (
            accepted(said, asked_fields=ASKED),
            make_learnable(receipt_lines(), RECORD, {**RECORD, **SAID}, asked_fields=ASKED),
        )
    ]
    assert both[0] is not None
    assert both[1] is not None
    assert both[0].reference == both[1].reference
