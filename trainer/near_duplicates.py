"""Documents that look alike, so that none of them is trained on while another one is held out.

A form that is filled in twice looks the same and is another document: a perceptual hash of 64 bits
sees the layout. So of those that look alike the figures are compared as well. Of SROIE's receipts
118 pairs are within 4 bits; the 4 that are the same receipt share 89 % and more of their figures,
the others 29 % in the median and 47 % at the ninth decile (one shop's telephone, address, prices).
"""

import re
from collections.abc import Sequence

import numpy as np

from extraction.lines import Line

_BLOCK = 1024
_FIGURE = re.compile(r"\S*\d\S+|\S+\d\S*")
_LEAST_SHARED = 0.5


def figures_of(lines: Sequence[Line]) -> frozenset[str]:
    """The words of a document that hold a digit, of two characters and more."""
    return frozenset(word for line in lines for word in _FIGURE.findall(line.text.casefold()))


def cluster(
    hashes: Sequence[int | None],
    contents: Sequence[bytes],
    most_bits: int,
    figures: Sequence[frozenset[str]] | None = None,
) -> tuple[int, ...]:
    """A number for each document, equal for those of one cluster: the position of its first one.

    Documents belong together when their bytes are the same, or when their hashes differ in at most
    `most_bits` bits and they share half of their figures (intersection over union; nothing is
    compared where either has none); and so does what is connected through others. n documents take
    n^2 / 2 comparisons of 8 bytes: a second for 20,000.

    Args:
        hashes: perceptual hashes, 64 bits each, signed (`db.types.signed64`); None where unknown.
        contents: the documents' SHA-256, as many.
        most_bits: 0 to 64.
        figures: of each document, see `figures_of`; None compares the hashes alone.
    """
    parents = list(range(len(hashes)))
    first: dict[bytes, int] = {}
    for index, content in enumerate(contents):
        _join(parents, index, first.setdefault(content, index))
    known = np.array([i for i, value in enumerate(hashes) if value is not None], dtype=np.int64)
    bits = np.array([value for value in hashes if value is not None], dtype=np.int64)
    bits = bits.view(np.uint64)
    for start in range(0, len(bits), _BLOCK):
        block = bits[start : start + _BLOCK]
        # Only pairs from the diagonal on; the rest are the same ones.
        apart = np.bitwise_count(block[:, None] ^ bits[None, start:])
        for row, column in np.argwhere(apart <= most_bits):
            one, other = int(known[start + row]), int(known[start + column])
            if one < other and (figures is None or _share(figures[one], figures[other])):
                _join(parents, one, other)
    return tuple(_root(parents, index) for index in range(len(parents)))


def _share(one: frozenset[str], other: frozenset[str]) -> bool:
    if not one or not other:
        return True
    return len(one & other) >= _LEAST_SHARED * len(one | other)


def _root(parents: list[int], index: int) -> int:
    while parents[index] != index:
        parents[index] = parents[parents[index]]
        index = parents[index]
    return index


def _join(parents: list[int], one: int, other: int) -> None:
    """The lower root stays, so that a cluster is named after its first document."""
    low, high = sorted((_root(parents, one), _root(parents, other)))
    parents[high] = low
