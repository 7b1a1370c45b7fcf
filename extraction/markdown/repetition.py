"""Whether a page's text goes round in circles, as a model's does that has lost its place.

Real pages repeat too: dots that lead to a page number, empty cells of a table, a column of zeros.
So a loop has to go on for long: 30 times for a few words, as olmOCR's own test of a page counts it,
or to the end of an answer that was cut.
"""

import re
from typing import Final

MOST_WORDS: Final = 5
MOST_REPEATS: Final = 30
_TAIL: Final = 6000
_LEAST_LOOP: Final = 240  # characters of a tail that repeats itself
_LEAST_ROUNDS: Final = 4
# Rows of rules and cells, which a page may well hold in numbers.
_DRAWN = re.compile(r"(?:<t[dh][^>]*>\s*</t[dh]>)|[-.\u2026_=*|~\u2500-\u257f]{2,}|\\")


def loops(text: str, *, cut: bool = False) -> bool:
    """Whether a text repeats itself beyond what a page does.

    Args:
        text: of a page.
        cut: whether the answer ended before it was whole; then its end tells more.
    """
    words = _DRAWN.sub(" ", text).split()
    if any(_repeats(words, size) > MOST_REPEATS for size in range(1, MOST_WORDS + 1)):
        return True
    tail = text[-_TAIL:]
    period = _period(tail) if cut else None
    if period is None:
        return False
    span, length = period
    return length >= _LEAST_LOOP and length >= _LEAST_ROUNDS * span


def _repeats(words: list[str], size: int) -> int:
    """How often a group of so many words follows itself, at most."""
    longest = streak = 0
    for index in range(size, len(words)):
        streak = streak + 1 if words[index] == words[index - size] else 0
        longest = max(longest, streak)
    return longest // size + 1


def _period(tail: str) -> tuple[int, int] | None:
    """The period of the longest repeating end: its length, and how long it goes on.

    The failure function of Knuth, Morris and Pratt on the reversed text gives the period of each
    suffix in linear time.
    """
    reverse = tail[::-1]
    border = [0] * len(reverse)
    best: tuple[int, int] | None = None
    for index in range(1, len(reverse)):
        known = border[index - 1]
        while known and reverse[index] != reverse[known]:
            known = border[known - 1]
        border[index] = known + (reverse[index] == reverse[known])
        length = index + 1
        span = length - border[index]
        if length >= _LEAST_ROUNDS * span and (best is None or length > best[1]):
            best = span, length
    return best
