"""What the quarantine says of corrections, rule by rule."""

from collections.abc import Sequence
from typing import Any

from db.queries.learning import Learnable
from extraction.document_types.base import DocumentType
from extraction.document_types.catalogue import BUILT_IN
from trainer.changes import Case
from trainer.profile import QuarantineSection, load_profile
from trainer.quarantine_crowds import Context, screen

RECEIPT = BUILT_IN["receipt"]
SECTION = load_profile("small").quarantine
RECORD = {
    "merchant_name": "CORNER STORE SDN BHD",
    "transaction_date": "2018-12-25",
    "subtotal": "8.40",
    "tax_total": "0.60",
    "total": "9.00",
}


def reasons(
    *learnables: Learnable,
    document_type: DocumentType = RECEIPT,
    section: QuarantineSection = SECTION,
    superseded: Sequence[Learnable] = (),
) -> list[dict[str, str]]:
    """Of each: the rules and their details."""
    cases = [Case(item, document_type) for item in learnables]
    context = Context.of(cases, section, [Case(item, document_type) for item in superseded])
    return [{r.rule: r.detail for r in screen(case, context)} for case in cases]


def rules(*learnables: Learnable, **more: Any) -> list[set[str]]:
    return [set(found) for found in reasons(*learnables, **more)]
