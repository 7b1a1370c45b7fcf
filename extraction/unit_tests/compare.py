"""Is an equation seen in another: the same characters with the same neighbours.

A reference is found in a hypothesis if KaTeX understood the one inside the other, or if each of its
characters can be given one of the hypothesis' so that the next character up, down, left and right
is the given one, too. What the hypothesis has beside it does not matter, so 3x^2 is found under an
integral.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from extraction.unit_tests.rendering import Rendering

# Pixels by which characters of one column or one row may be off.
_TOLERANCE = 5.0
_DIRECTIONS = 4
_ZERO_WIDTH = "\u200b"


@dataclass(frozen=True, slots=True)
class _Characters:
    """Of an equation: its characters, and of each the next one up, down, left and right, or -1."""

    texts: tuple[str, ...]
    beside: tuple[tuple[int, ...], ...]


def is_seen_in(reference: Rendering, hypothesis: Rendering) -> bool:
    """Whether the reference stands in the hypothesis.

    A reference that does not render has nothing that could be missed, so that any equation has it.
    """
    if reference.error is not None:
        return True
    if hypothesis.error is None and reference.mathml in hypothesis.mathml:
        return True
    wanted, found = Counter(_texts(reference)), Counter(_texts(hypothesis))
    # Each character needs one of its own; cheap, and the end of most comparisons.
    if any(count > found[text] for text, count in wanted.items()):
        return False
    return _can_be_given(_characters(reference), _characters(hypothesis))


@lru_cache(maxsize=4096)
def _texts(rendering: Rendering) -> tuple[str, ...]:
    return tuple(text for mark in rendering.marks if mark.text != _ZERO_WIDTH for text in mark.text)


@lru_cache(maxsize=4096)
def _characters(rendering: Rendering) -> _Characters:
    """The characters; those of one mark share its width evenly."""
    places = [
        (mark.x + mark.width * (number + 0.5) / len(mark.text), mark.y + mark.height / 2)
        for mark in rendering.marks
        if mark.text != _ZERO_WIDTH
        for number in range(len(mark.text))
    ]
    return _Characters(_texts(rendering), _beside(np.array(places, dtype=float).reshape(-1, 2)))


def _beside(centres: NDArray[np.float64]) -> tuple[tuple[int, ...], ...]:
    """Of each centre the nearest other in each direction among those in line with it."""
    if len(centres) == 0:
        return ()
    across = centres[None, :, 0] - centres[:, None, 0]
    down = centres[None, :, 1] - centres[:, None, 1]
    in_column, in_row = np.abs(across) <= _TOLERANCE, np.abs(down) <= _TOLERANCE
    ways = (
        np.where(in_column & (down < 0), -down, np.inf),
        np.where(in_column & (down > 0), down, np.inf),
        np.where(in_row & (across < 0), -across, np.inf),
        np.where(in_row & (across > 0), across, np.inf),
    )
    nearest = [np.where(np.isfinite(way.min(axis=1)), way.argmin(axis=1), -1) for way in ways]
    return tuple(tuple(int(way[number]) for way in nearest) for number in range(len(centres)))


def _can_be_given(wanted: _Characters, found: _Characters) -> bool:
    """Whether every character can be given one of its own that keeps its neighbours.

    Characters are given in their order. A neighbour that has been given has to be the neighbour;
    of one that comes later the text has to agree. That is the original's rule, without trying what
    the texts of the neighbours already rule out.
    """
    by_text: dict[str, list[int]] = {}
    for place, text in enumerate(found.texts):
        by_text.setdefault(text, []).append(place)
    candidates = [
        [
            place
            for place in by_text.get(text, ())
            if all(
                other < 0
                or (
                    found.beside[place][way] >= 0
                    and found.texts[found.beside[place][way]] == wanted.texts[other]
                )
                for way, other in enumerate(wanted.beside[number])
            )
        ]
        for number, text in enumerate(wanted.texts)
    ]
    if not all(candidates):
        return False
    given: dict[int, int] = {}
    used: set[int] = set()
    ahead: list[Iterator[int]] = [iter(candidates[0])] if candidates else []
    while ahead:
        number = len(ahead) - 1
        if number in given:
            used.discard(given.pop(number))
        fitting = (place for place in ahead[-1] if _fits(number, place, wanted, found, given, used))
        chosen = next(fitting, None)
        if chosen is None:
            ahead.pop()
            continue
        given[number] = chosen
        used.add(chosen)
        if len(given) == len(candidates):
            return True
        ahead.append(iter(candidates[number + 1]))
    return not candidates


def _fits(
    number: int,
    place: int,
    wanted: _Characters,
    found: _Characters,
    given: dict[int, int],
    used: set[int],
) -> bool:
    return place not in used and all(
        other not in given or given[other] == found.beside[place][way]
        for way, other in enumerate(wanted.beside[number])
    )
