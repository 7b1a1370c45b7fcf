"""Where a text stands on a page within a Levenshtein distance."""

from collections.abc import Iterator
from typing import NamedTuple

from rapidfuzz.distance import Levenshtein

# Below this a part of the text says too little to look for it as it is.
_LEAST_PART = 3


class Match(NamedTuple):
    """A place: text[start:end] is `distance` edits away."""

    start: int
    end: int
    distance: int


def starts(wanted: str, text: str, max_distance: int) -> list[int]:
    """Begins of the places of `wanted` in `text`, first to last; overlapping places are one.

    Without a permitted difference these are the first and the last occurrence. Otherwise, of
    places that overlap, the one with the least distance counts, then the longest.

    Raises:
        ValueError: `wanted` is empty.
    """
    if not wanted:
        raise ValueError("nothing is looked for")
    if max_distance == 0:
        first = text.find(wanted)
        return [] if first < 0 else [first, text.rfind(wanted)]
    if len(wanted) // (max_distance + 1) >= _LEAST_PART:
        matches = _by_parts(wanted, text, max_distance)
    else:
        matches = _by_columns(wanted, text, max_distance)
    return _best_of_overlapping(sorted(set(matches)))


def _by_parts(wanted: str, text: str, most: int) -> Iterator[Match]:
    """Of most + 1 parts of `wanted`, one stands in every match as it is: from there both ways."""
    length = len(wanted)
    size = length // (most + 1)
    for offset in range(0, length - size + 1, size):
        rest, head = wanted[offset + size :], wanted[:offset][::-1]
        part = wanted[offset : offset + size]
        at = text.find(part)
        while at >= 0:
            right = _prefix(rest, text[at + size : at - offset + length + most], most)
            if right is not None:
                left_begin = max(0, at - offset - (most - right[0]))
                left = _prefix(head, text[left_begin:at][::-1], most - right[0])
                if left is not None:
                    yield Match(at - left[1], at + size + right[1], left[0] + right[0])
            at = text.find(part, at + 1)


def _prefix(wanted: str, text: str, most: int) -> tuple[int, int] | None:
    """The least distance of `wanted` to a prefix of `text` and the longest such prefix's length.

    None where the least is above `most`.
    """
    if text.startswith(wanted):
        return 0, len(wanted)
    best: tuple[int, int] | None = None
    for length in range(max(0, len(wanted) - most), min(len(text), len(wanted) + most) + 1):
        distance = Levenshtein.distance(wanted, text[:length], score_cutoff=most)
        if distance <= most:
            best, most = (distance, length), distance
    return best


def _by_columns(wanted: str, text: str, most: int) -> Iterator[Match]:
    """Each end's best match (Sellers 1980): for texts of a few characters, where parts are none."""
    length = len(wanted)
    # Each cell: distance of wanted[:column], and where that match begins; the earliest on a tie.
    row = [(column, 0) for column in range(length + 1)]
    for number, letter in enumerate(text, start=1):
        new = [(0, number)]
        for column in range(1, length + 1):
            replaced, inserted, left_out = row[column - 1], row[column], new[column - 1]
            new.append(
                min(
                    (replaced[0] + (wanted[column - 1] != letter), replaced[1]),
                    (inserted[0] + 1, inserted[1]),
                    (left_out[0] + 1, left_out[1]),
                )
            )
        row = new
        distance, begin = row[length]
        if distance <= most and begin < number:
            yield Match(begin, number, distance)


def _best_of_overlapping(matches: list[Match]) -> list[int]:
    found: list[Match] = []
    end = -1
    for match in matches:
        if found and match.start < end:
            end = max(end, match.end)
            if _rank(match) < _rank(found[-1]):
                found[-1] = match
        else:
            found.append(match)
            end = match.end
    return [match.start for match in found]


def _rank(match: Match) -> tuple[int, int]:
    return match.distance, match.start - match.end
