"""Why a value was missed: expected, read, the OCR's lines and the annotators' -> one cause.

The causes are tried in this order, and the first that holds is the cause:

    format           the same letters and digits, or the same date or amount, written otherwise
    ground truth     the answer stands in the annotators' own transcript, the expected text does not
    line not read    the OCR has nothing like the expected text
    wrong line       nothing was answered, or the value with words too many or too few
    characters       the answer stands nowhere on the page: the model misspelt it
    wrong line       both stand on the page, and are different texts
    characters       the right place, misread by the OCR
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from rapidfuzz import fuzz
from rapidfuzz.distance import Levenshtein

from extraction.document_types.base import Kind
from extraction.normalize import normalize

_KINDS = {"date": Kind.DATE, "total": Kind.MONEY}
_LETTERS = re.compile(r"[\W_]+")
_MOST_LINES = 8
# Similarities, 0 to 100, of letters and digits alone.
_READ, _ON_PAGE, _SAME_PLACE, _VERBATIM = 75.0, 92.0, 75.0, 99.5
# So many letters too many or too few in one piece are words of another line.
_PIECE = 6
_FEW = 4  # wrong characters beside that
_SOMETHING_ALIKE = 40.0
_SIGN = re.compile(r"[^\W\d_]|[^\w\s.,-]")


class Cause(StrEnum):
    """Why a value was missed."""

    NOT_READ = "line not read"
    WRONG_LINE = "wrong line chosen"
    CHARACTERS = "characters"
    FORMAT = "format"
    GROUND_TRUTH = "ground truth"


class Mender(StrEnum):
    """Who can mend it."""

    MODEL = "training the model"
    SIGHT = "a better OCR, or a model that sees"
    RULE = "a rule, or the annotators' habit learnt"
    NOBODY = "nobody: the answer sheet is in doubt"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Cause, what exactly, and who can mend it."""

    cause: Cause
    detail: str
    mender: Mender


@dataclass(frozen=True, slots=True)
class Miss:
    """One value that is not exactly the expected one.

    Attributes:
        id: of the receipt.
        field: the task's name.
        expected: what the annotators wrote.
        read: what was answered; None for nothing.
        score: 0 to 100.
        points: what it costs the overall mean, in points of 100.
        verdict: why.
    """

    id: str
    field: str
    expected: str
    read: str | None
    score: float
    points: float
    verdict: Verdict


def misses(
    rows: Sequence[Mapping[str, Any]],
    references: Mapping[str, Mapping[str, Any]],
    lines: Mapping[str, Sequence[str]],
) -> list[Miss]:
    """Every miss of the rows that `bench/accuracy.py sroie --rows` wrote, the dearest first.

    Args:
        rows: of the bench.
        references: rows of `receipts.jsonl` by id.
        lines: the OCR's texts by id, in reading order.
    """
    found = []
    for row in rows:
        reference = references[row["id"]]
        transcript = [line["text"] for line in reference["lines"]]
        fields = [name for name in row["scores"] if name != "overall"]
        for name in fields:
            score = row["scores"][name]
            if score < 100:  # noqa: PLR2004 - the scale of the task
                expected, read = reference["fields"][name], row["read"][name]
                verdict = why(name, expected, read, lines[row["id"]], transcript)
                points = (100 - score) / len(fields) / len(rows)
                found.append(Miss(row["id"], name, expected, read, score, points, verdict))
    return sorted(found, key=lambda miss: (-miss.points, miss.id))


def why(
    field: str, expected: str, read: str | None, lines: Sequence[str], transcript: Sequence[str]
) -> Verdict:
    """The cause of one miss."""
    known = likeness(expected, transcript)
    there = likeness(expected, lines)
    answered = likeness(read or "", lines)
    if read and (written := _other_format(field, expected, read)):
        return Verdict(Cause.FORMAT, written, Mender.RULE)
    if not expected or (read and known < _ON_PAGE < _VERBATIM <= likeness(read, transcript)):
        detail = "the expected text is not in the annotators' own transcript"
        verdict = Verdict(Cause.GROUND_TRUTH, detail, Mender.NOBODY)
    elif there < _READ:
        verdict = Verdict(Cause.NOT_READ, "the OCR has nothing like it", Mender.SIGHT)
    elif not read:
        verdict = Verdict(Cause.WRONG_LINE, "nothing was answered", Mender.MODEL)
    elif extent := _other_extent(expected, read):
        verdict = Verdict(Cause.WRONG_LINE, extent, Mender.MODEL)
    elif answered < _ON_PAGE:
        detail = "written by the model, not on the page"
        verdict = Verdict(Cause.CHARACTERS, detail, Mender.MODEL)
    elif fuzz.ratio(letters(expected), letters(read)) < _SAME_PLACE or (
        min(there, answered) >= _VERBATIM
    ):
        verdict = Verdict(Cause.WRONG_LINE, "another text of the page", Mender.MODEL)
    else:
        verdict = Verdict(Cause.CHARACTERS, "misread by the OCR", Mender.SIGHT)
    return verdict


def letters(text: str) -> str:
    """Letters and digits alone, case folded."""
    return _LETTERS.sub("", text).casefold()


def likeness(text: str, lines: Sequence[str]) -> float:
    """How like a text is to the part of the page that is most like it, 0 to 100.

    The parts are a piece of one line, and runs of whole lines.
    """
    wanted = letters(text)
    if not wanted:
        return 0.0
    folded = [letters(line) for line in lines]
    best = 0.0
    for start, line in enumerate(folded):
        if len(line) >= len(wanted):
            best = max(best, fuzz.partial_ratio(wanted, line))
        joined = ""
        for end in range(start, min(start + _MOST_LINES, len(folded))):
            joined += folded[end]
            best = max(best, fuzz.ratio(wanted, joined))
            if len(joined) > 1.5 * len(wanted):
                break
    return best


def _other_format(field: str, expected: str, read: str) -> str | None:
    if letters(expected) == letters(read):
        case, spaced = expected.casefold(), read.casefold()
        return (
            "case"
            if case == spaced
            else "spaces"
            if "".join(case.split()) == "".join(spaced.split())
            else "punctuation"
        )
    kind = _KINDS.get(field)
    value = None if kind is None else normalize(kind, expected)
    if kind is None or value is None or value != normalize(kind, read):
        return None
    if kind is Kind.DATE:
        return "the same day, written otherwise"
    signs = bool(_SIGN.search(expected)) != bool(_SIGN.search(read))
    return "currency sign" if signs else "the same amount, written otherwise"


def _other_extent(expected: str, read: str) -> str | None:
    """Whether the answer is the value with words more, or less; None where it is neither."""
    wanted, answered = letters(expected), letters(read)
    steps = Levenshtein.opcodes(wanted, answered)
    more = [s.dest_end - s.dest_start for s in steps if s.tag == "insert"]
    less = [s.src_end - s.src_start for s in steps if s.tag == "delete"]
    wrong = sum(s.src_end - s.src_start for s in steps if s.tag == "replace")
    piece = max(more + less, default=0)
    if wrong > _FEW or piece < _PIECE or fuzz.ratio(wanted, answered) < _SOMETHING_ALIKE:
        return None
    if sum(less) <= _FEW:
        return "more than the value"
    return "a part of the value" if sum(more) <= _FEW else None
