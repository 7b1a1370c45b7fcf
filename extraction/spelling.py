"""A copied text takes the page's spelling where the two nearly agree.

A small model that reads through lines slips when it copies: it answers MARTER where the line says
Metro. Its answer says which text is meant; the OCR says how that text is spelled. Where both nearly
agree the OCR's letters are taken, with the model's spaces: a recogniser loses spaces, a language
model knows words. A large model that sees the page may well read better than the OCR, so its
letters are left as they are.
"""

from dataclasses import replace

from rapidfuzz import fuzz
from rapidfuzz.distance import Levenshtein

from extraction.document_types.base import Kind
from extraction.evidence import Evidence
from extraction.prompt import PromptStyle
from extraction.record import RawLeaf
from extraction.traits import ModelTraits

# Least agreement (rapidfuzz's ratio, 0 to 100, case folded). Of 70, 80, 85, 90 and 95 the best for
# the names of SROIE's receipts; addresses do not tell 80 to 95 apart.
LEAST_AGREEMENT = 90.0
# Kinds that are printed in letters, at least in part: "01-Nov-2017", "Rm 5.00".
_CAPITALS = frozenset({Kind.TEXT, Kind.DATE, Kind.MONEY})


def spelled(leaf: RawLeaf, evidence: Evidence | None, traits: ModelTraits) -> RawLeaf:
    """The value with the page's spelling; its place in the completion stays.

    Args:
        leaf: a value as the model wrote it; the spelling of free text alone is changed.
        evidence: where it stands on the page.
        traits: whose lines overrule it (`copies_lines`), and whether it answers in capitals.
    """
    raw = leaf.raw
    if (
        copies_lines(traits)
        and leaf.spec.kind is Kind.TEXT
        and evidence is not None
        and agrees(raw, evidence.text)
    ):
        raw = with_spaces_of(evidence.text, raw)
    capitals = traits.capitals and leaf.spec.kind in _CAPITALS
    return replace(leaf, raw=raw.upper() if capitals else raw)


def copies_lines(traits: ModelTraits) -> bool:
    """Whether a model's texts are the lines', so that what is not among them is its own slip.

    True of one that cannot see, and of one of the default model's family, which is asked in its
    compact style: it is small and was trained on lines. A model from a hub explains itself better
    than its lines do.
    """
    return not traits.sees_images or traits.style is PromptStyle.COMPACT


def agrees(raw: str, text: str) -> bool:
    """Whether an answer is a text of the page but for a few characters."""
    return fuzz.ratio(text.casefold(), raw.casefold()) >= LEAST_AGREEMENT


def with_spaces_of(text: str, answer: str) -> str:
    """`text` with the spaces that `answer` has and it has not; its own spaces stay."""
    parts: list[str] = []
    for step in Levenshtein.opcodes(text.casefold(), answer.casefold()):
        added = answer[step.dest_start : step.dest_end]
        is_space = step.tag == "insert" and not added.strip()
        parts.append(added if is_space else text[step.src_start : step.src_end])
    return " ".join("".join(parts).split())
