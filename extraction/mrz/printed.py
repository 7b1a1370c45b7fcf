"""The document number printed elsewhere on the page mends the zone's, where its digit agrees.

OCR-B is large, and the print beside it is another typeface: what one reading confuses, the other
seldom does. A visa has no composite, so its digit alone leaves several repairs open; the printed
number tells which one is meant, and the digit proves it.
"""

from collections.abc import Collection, Iterator, Sequence

from rapidfuzz.distance import Levenshtein

from extraction.lines import Line
from extraction.mrz.layout import FILLER, NUMBER_WIDTH, MrzFormat
from extraction.mrz.parse import CHARACTERS, agrees
from extraction.mrz.repair import Proof, Repair, differences

_LEAST_CHARACTERS, _LEAST_DIGITS = 6, 3
_MOST_WORDS = 3  # a number may be printed in groups
_MOST_CHANGES = 3


def number_by_print(
    format_: MrzFormat, lines: Sequence[str], numbers: Collection[str]
) -> tuple[tuple[str, ...], list[Repair]]:
    """The zone with a printed number that is like its own and that its check digit proves.

    Args:
        format_: the zone's format.
        lines: the zone.
        numbers: what is printed on the page and may be a number; see `printed_numbers`.

    Only where the digit fails, and where one printed number alone makes it agree with at most
    three characters changed.
    """
    digit = next((digit for digit in format_.digits if digit.name == "document_number"), None)
    if digit is None or agrees(format_, digit, lines):
        return tuple(lines), []
    span = format_.slot("document_number").span
    read, row = span.of(lines), lines[span.line]
    found = set()
    for number in numbers:
        after = number.ljust(span.end - span.start, FILLER)
        if len(after) != len(read) or Levenshtein.distance(read, after) > _MOST_CHANGES:
            continue
        rows = list(lines)
        rows[span.line] = row[: span.start] + after + row[span.end :]
        if agrees(format_, digit, rows):
            found.add(tuple(rows))
    if len(found) != 1:
        return tuple(lines), []
    mended = found.pop()
    return mended, differences(lines, mended, Proof.PRINTED)


def printed_numbers(lines: Sequence[Line]) -> set[str]:
    """Words, and up to three neighbours joined, that can be a document number, in capitals."""
    return {number for line in lines for number in _numbers(line.text.upper().split())}


def _numbers(words: Sequence[str]) -> Iterator[str]:
    for start in range(len(words)):
        for end in range(start + 1, min(start + _MOST_WORDS, len(words)) + 1):
            joined = "".join(words[start:end]).strip(".,:;")
            digits = sum(character.isdigit() for character in joined)
            is_long = _LEAST_CHARACTERS <= len(joined) <= NUMBER_WIDTH
            if is_long and digits >= _LEAST_DIGITS and set(joined) <= CHARACTERS - {FILLER}:
                yield joined
