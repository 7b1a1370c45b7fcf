"""`present` and `absent`: a text stands on the page, or does not, within some differences."""

from dataclasses import dataclass

from rapidfuzz import fuzz

from extraction.unit_tests.cases import (
    PASSED,
    Case,
    InvalidCase,
    Verdict,
    failed,
    shortened,
    threshold,
)
from extraction.unit_tests.normalise import normalise
from extraction.unit_tests.page import Page

# Pieces of fewer characters stand everywhere, and narrow nothing down.
_LEAST_PIECE = 4
# rapidfuzz compares with the cutoff before it divides; ours has the last word.
_SLACK = 1e-6


@dataclass(frozen=True, kw_only=True)
class Presence(Case):
    """A text on the page.

    Attributes:
        text: what is looked for.
        case_sensitive: False compares in lower case.
        first_n: only so many characters from the page's begin; with `last_n` both ends.
        last_n: only so many from its end.
    """

    text: str
    case_sensitive: bool = True
    first_n: int | None = None
    last_n: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.text, str) or not self.text.strip():
            raise InvalidCase(self.id, "`text` is empty")
        text = normalise(self.text)
        if not text.strip():
            raise InvalidCase(self.id, "`text` is empty")
        self.set("text", text)

    def check(self, page: Page) -> Verdict:
        """Whether the best place is similar enough, or, for `absent`, is not."""
        wanted = self.text if self.case_sensitive else self.text.lower()
        text = self._part(page.text if self.case_sensitive else page.lower)
        if is_in(wanted, text, self.max_diffs) == (self.type == "present"):
            return PASSED
        if self.type == "present":
            allowed = f" within {self.max_diffs} differences" if self.max_diffs else ""
            return failed(f"'{shortened(wanted)}' is not on the page{allowed}")
        return failed(f"'{shortened(wanted)}' is on the page")

    def _part(self, text: str) -> str:
        if self.first_n and self.last_n:
            return text[: self.first_n] + text[-self.last_n :]
        if self.first_n:
            return text[: self.first_n]
        if self.last_n:
            return text[-self.last_n :]
        return text


def is_in(wanted: str, text: str, max_diffs: int) -> bool:
    """Whether rapidfuzz's partial ratio of `wanted` in `text` is at least 1 - max_diffs / length.

    The partial ratio is the best normalised Indel similarity of `wanted` with a piece of `text` of
    its length, or with a shorter one at an end of `text`. A text shorter than `wanted` by more than
    `max_diffs` never has it: the ratio is symmetric, and would look for the page in the wanted.

    Only the places that can be similar enough are compared. A piece of w characters with
    2 * lcs / (m + w) >= 1 - d / m has an Indel distance of at most 2d, so that of 2d + 1 parts of
    `wanted` at least one stands in it as it is.
    """
    if wanted in text:
        return True
    if max_diffs == 0 or len(text) < len(wanted) - max_diffs:
        return False
    least = threshold(len(wanted), max_diffs)
    return any(
        fuzz.partial_ratio(wanted, part, score_cutoff=max(0.0, least * 100 - _SLACK)) / 100 >= least
        for part in _candidates(wanted, text, max_diffs)
    )


def _candidates(wanted: str, text: str, max_diffs: int) -> list[str]:
    """Stretches of the text in which every similar enough place lies."""
    length = len(wanted)
    parts = 2 * max_diffs + 1
    size = length // parts
    if size < _LEAST_PIECE or len(text) <= 2 * length:
        return [text]
    # A stretch has a margin of more than one length around each part that stands there, so that
    # the shorter pieces that its own ends would allow hold none of the parts.
    margin = length + 2 * max_diffs + 1
    places: list[int] = []
    for number in range(parts):
        part = wanted[number * size : (number + 1) * size if number < parts - 1 else length]
        at = text.find(part)
        while at >= 0:
            places.append(at)
            at = text.find(part, at + 1)
    stretches: list[list[int]] = []
    for at in sorted(places):
        begin, end = max(0, at - margin), min(len(text), at + length + margin)
        if stretches and begin <= stretches[-1][1]:
            stretches[-1][1] = end
        else:
            stretches.append([begin, end])
    return [text[begin:end] for begin, end in stretches]
