"""A copied text takes the page's spelling where the two nearly agree.

A small model that reads through lines slips when it copies: it answers MARTER where the line says
Metro. Its answer says which text is meant; the OCR says how that text is spelled. Where both nearly
agree the OCR's spelling is taken. A model that sees the page may well read better than the OCR, so
its answers are left as they are.
"""

from dataclasses import replace

from rapidfuzz import fuzz

from extraction.document_types.base import Kind
from extraction.evidence import Evidence
from extraction.record import RawLeaf
from extraction.traits import ModelTraits

# Least agreement (rapidfuzz's ratio, 0 to 100, case folded). Of 70, 80, 85, 90 and 95 the best for
# the names of SROIE's receipts; addresses do not tell 80 to 95 apart.
_LEAST_AGREEMENT = 90.0


def spelled(leaf: RawLeaf, evidence: Evidence | None, traits: ModelTraits) -> RawLeaf:
    """The value with the page's spelling; its place in the completion stays.

    Args:
        leaf: a value as the model wrote it; only free text is changed.
        evidence: where it stands on the page.
        traits: `capitals` and `sees_images` decide.
    """
    if leaf.spec.kind is not Kind.TEXT or traits.sees_images:
        return leaf
    raw = leaf.raw
    if evidence is not None:
        agreement = fuzz.ratio(evidence.text.casefold(), raw.casefold())
        raw = evidence.text if agreement >= _LEAST_AGREEMENT else raw
    return replace(leaf, raw=raw.upper() if traits.capitals else raw)
