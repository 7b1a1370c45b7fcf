"""A model's Markdown against what experts read, region by region.

    Markdown -> regions -> each one's best place in each expert's text -> agreement

The agreement of a region with an expert is the similarity of their letters and digits,

    1 - d / (m + n),    d the Indel distance of the region (m) and its place (n), 0 to 1

which is rapidfuzz's partial ratio, or the share of the region's numbers that stand in its place in
the same order, where that is less: of a table with two figures swapped nearly all letters agree.
White space, case, punctuation and markup do not count: experts break lines and draw quotes as they
like. A formula counts nothing either, because neither expert reads mathematics; a region of nothing
else cannot be judged and is not kept.
"""

import html
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from rapidfuzz import fuzz
from rapidfuzz.distance import LCSseq

from extraction.lines import Box, Line, rows
from extraction.markdown.blocks import blocks_of, ordered, placed, rows_of

LEAST_LETTERS: Final = 8
"""A region of fewer letters and digits stands somewhere by chance; it goes with its neighbours."""

_FORMULA = re.compile(
    r"\\\[.*?\\\]|\\\(.*?\\\)|\$\$.*?\$\$|\$[^$\n]*[\\^_][^$\n]*\$",  # the last: no sum of money
    re.DOTALL,
)
_FIGURE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
_NUMBER = re.compile(r"\d+")
_TAG = re.compile(r"<[^>]+>")
_RULE = re.compile(r"^\s*\|?[\s:|-]+\|?\s*$", re.MULTILINE)
_TABLE = re.compile(r"<table\b.*?</table>", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Region:
    """A block of a model's Markdown.

    Attributes:
        markdown: as it was written.
        agreement: expert -> similarity with its best place, 0 to 1; empty where the region has
            nothing that an expert could read.
        box: of the lines of that place, of the expert that agrees most; None without one.
        kept: whether it agrees with one expert at least.
    """

    markdown: str
    agreement: Mapping[str, float]
    box: Box | None
    kept: bool


_Place = tuple[float, Box | None]


def _ratio(place: _Place) -> float:
    return place[0]


@dataclass(frozen=True, slots=True)
class _Read:
    """An expert's text as letters in reading order, with the line of each."""

    letters: str
    line_of: Sequence[int]
    lines: Sequence[Line]


def judge(
    markdown: str, experts: Mapping[str, Sequence[Line]], least_agreement: float
) -> list[Region]:
    """The regions of a page's Markdown, each with how well the experts agree.

    Args:
        markdown: of the page, without front matter.
        experts: name -> lines of the page.
        least_agreement: of a region that is kept, 0 to 1.
    """
    read = {name: _prepare(lines) for name, lines in experts.items()}
    regions = []
    for block in regions_of(markdown):
        said = _readable(block)
        letters, numbers = letters_of(said), _NUMBER.findall(said)
        agreement: dict[str, float] = {}
        best: _Place = (0.0, None)
        if len(letters) >= LEAST_LETTERS:
            for name, orders in read.items():
                places = [_best_place(letters, numbers, text) for text in orders]
                place = max(places, key=_ratio)
                agreement[name] = round(place[0], 4)
                best = max(best, place, key=_ratio)
        regions.append(Region(block, agreement, best[1], best[0] >= least_agreement))
    return _with_short_ones(regions)


def regions_of(markdown: str) -> list[str]:
    """Blocks between blank lines; a table in HTML is one, whatever blank lines it has."""
    tables: list[str] = []

    def put_away(found: re.Match[str]) -> str:
        tables.append(found.group(0))
        return f"\n\n\0{len(tables) - 1}\0\n\n"

    blocks = re.split(r"\n\s*\n", _TABLE.sub(put_away, markdown))
    restored = (re.sub(r"\0(\d+)\0", lambda m: tables[int(m[1])], block) for block in blocks)
    return [block.strip("\n") for block in restored if block.strip()]


def letters_of(text: str) -> str:
    """Letters and digits alone, folded."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(letter for letter in folded if letter.isalnum())


def agreement_of_experts(experts: Mapping[str, Sequence[Line]]) -> float | None:
    """How alike two experts read a page, 0 to 1; None where there are not two.

    Of letters in reading order, as `fuzz.ratio`: a text layer of another page, or of a bad scan's
    old OCR, shows here.
    """
    texts = [_prepare(lines)[0].letters for lines in experts.values()]
    if len(texts) < 2:  # noqa: PLR2004 two
        return None
    return round(fuzz.ratio(texts[0], texts[1]) / 100, 4)


def _readable(block: str) -> str:
    """What an expert could have read of a block."""
    text = _FIGURE.sub(" ", _FORMULA.sub(" ", block))
    return html.unescape(_TAG.sub(" ", _RULE.sub(" ", text)))


def _prepare(lines: Sequence[Line]) -> list[_Read]:
    """The text block by block, as columns are read, and row by row, as tables are."""
    across = [line for row in rows(lines) for line in row]
    return [_text_of(_by_block(lines)), _text_of(across)]


def _by_block(lines: Sequence[Line]) -> list[Line]:
    blocks = ordered(blocks_of(placed(lines)))
    return [item.line for block in blocks for row in rows_of(block) for item in row]


def _text_of(lines: Sequence[Line]) -> _Read:
    letters: list[str] = []
    line_of: list[int] = []
    for index, line in enumerate(lines):
        found = letters_of(line.text)
        letters.append(found)
        line_of += [index] * len(found)
    return _Read("".join(letters), line_of, lines)


def _best_place(letters: str, numbers: Sequence[str], text: _Read) -> _Place:
    if not text.letters:
        return 0.0, None
    if len(letters) > len(text.letters):
        ratio, where = fuzz.ratio(letters, text.letters) / 100, range(len(text.lines))
    else:
        found = fuzz.partial_ratio_alignment(letters, text.letters)
        if found is None:
            return 0.0, None
        ratio = found.score / 100
        ends = text.line_of[found.dest_start], text.line_of[found.dest_end - 1]
        where = range(ends[0], ends[1] + 1)
    lines = [text.lines[index] for index in where]
    box = lines[0].box.union(*(line.box for line in lines[1:]))
    if numbers:
        there = [number for line in lines for number in _NUMBER.findall(line.text)]
        ratio = min(ratio, LCSseq.similarity(numbers, there) / len(numbers))
    return ratio, box


def _with_short_ones(regions: list[Region]) -> list[Region]:
    """A region that is too short to be judged is kept between two neighbours that are."""
    settled = []
    for index, region in enumerate(regions):
        around = [regions[n].kept for n in (index - 1, index + 1) if 0 <= n < len(regions)]
        short = not region.agreement and bool(letters_of(_readable(region.markdown)))
        kept = region.kept or (short and bool(around) and all(around))
        settled.append(replace(region, kept=kept))
    return settled
