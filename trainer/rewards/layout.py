"""Is a page's text whole, in as many paragraphs, and in order: the rewards of Infinity-Parser.

Paragraphs are what blank lines divide, with single spaces. Those of the answer are given to those
of the reference one to one, so that the sum of similarities is the greatest (the Hungarian
algorithm, Kuhn 1955); a pair counts as a match from a similarity of 0.5 on. Similarity is
1 - d(a, b) / max(|a|, |b|) for the Levenshtein distance d in characters.

Source: the multi-aspect layout reward of Infinity-Parser (Wang et al. 2025, arXiv 2506.03197). Its
sum of the three is made by their weights here.
"""

import re
from bisect import bisect_right, insort
from collections.abc import Sequence
from functools import lru_cache

from rapidfuzz import process
from rapidfuzz.distance import Levenshtein
from scipy.optimize import linear_sum_assignment

from trainer.rewards.base import RewardFunction, Rollout
from trainer.rewards.page_text import expected_text, read_answer_text

_LEAST_SIMILARITY = 0.5
_BLANK_LINE = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")


class LayoutDistance(RewardFunction):
    """D = 1 - d(reference, answer) / max(|reference|, |answer|), 0 to 1.

    d is the Levenshtein distance of the whole texts, paragraph after paragraph. 1 where both are
    empty, 0 where one is. None for types other than `document` and where no text is confirmed.
    """

    __name__ = "layout_distance"

    def score(self, rollout: Rollout) -> float | None:
        """The similarity of the texts."""
        texts = _paragraphs_of(rollout)
        if texts is None:
            return None
        return Levenshtein.normalized_similarity(*("\n\n".join(side) for side in texts))


class LayoutCount(RewardFunction):
    """C = max(0, 1 - |n' - n| / n) for n paragraphs of the reference and n' of the answer, 0 to 1.

    Of an empty reference it is 1 for an empty answer, else 0. Twice as many paragraphs are 0, as
    many as none. None where `layout_distance` is.
    """

    __name__ = "layout_count"

    def score(self, rollout: Rollout) -> float | None:
        """How near the number of paragraphs is."""
        texts = _paragraphs_of(rollout)
        if texts is None:
            return None
        expected, answered = map(len, texts)
        if expected == 0:
            return float(answered == 0)
        return max(0.0, 1 - abs(answered - expected) / expected)


class LayoutOrder(RewardFunction):
    """O = 1 - i / (m (m - 1) / 2), 0 to 1, for i inversions among m matched paragraphs.

    An inversion is two matched paragraphs that stand the other way round in the answer. One match
    has nothing to be out of order with and is 1. No match is 0, unless both sides are empty, which
    is 1. None where `layout_distance` is.
    """

    __name__ = "layout_order"

    def score(self, rollout: Rollout) -> float | None:
        """How much of the order is kept."""
        texts = _paragraphs_of(rollout)
        if texts is None:
            return None
        expected, answered = texts
        if not expected and not answered:
            return 1.0
        places = matched(expected, answered)
        pairs = len(places) * (len(places) - 1) // 2
        if pairs == 0:
            return float(len(places))
        return 1 - inversions(places) / pairs


def paragraphs(text: str) -> tuple[str, ...]:
    """What blank lines divide, with single spaces, without what is empty."""
    parts = (" ".join(part.split()) for part in _BLANK_LINE.split(text))
    return tuple(part for part in parts if part)


@lru_cache(maxsize=1024)
def matched(expected: tuple[str, ...], answered: tuple[str, ...]) -> tuple[int, ...]:
    """Places in the answer of the paragraphs that are matched, in the reference's order."""
    if not expected or not answered:
        return ()
    similarity = process.cdist(expected, answered, scorer=Levenshtein.normalized_similarity)
    rows, columns = linear_sum_assignment(similarity, maximize=True)
    return tuple(
        int(column)
        for row, column in zip(rows, columns, strict=True)
        if similarity[row, column] >= _LEAST_SIMILARITY
    )


def inversions(places: Sequence[int]) -> int:
    """Pairs of places of which the later one is the smaller."""
    seen: list[int] = []
    count = 0
    for place in places:
        count += len(seen) - bisect_right(seen, place)
        insort(seen, place)
    return count


def _paragraphs_of(rollout: Rollout) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    expected = expected_text(rollout)
    if expected is None:
        return None
    return paragraphs(expected), paragraphs(read_answer_text(rollout.text).text)
