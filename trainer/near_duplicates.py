"""Documents that look alike, so that none of them is trained on while another one is held out."""

from collections.abc import Sequence

import numpy as np

_BLOCK = 1024


def cluster(
    hashes: Sequence[int | None], contents: Sequence[bytes], most_bits: int
) -> tuple[int, ...]:
    """A number for each document, equal for those of one cluster: the position of its first one.

    Documents belong together when their hashes differ in at most `most_bits` bits or their bytes
    are the same; and so does what is connected through others. n documents take n^2 / 2 comparisons
    of 8 bytes: a second for 20,000.

    Args:
        hashes: perceptual hashes, 64 bits each, signed (`db.types.signed64`); None where unknown.
        contents: the documents' SHA-256, as many.
        most_bits: 0 to 64.
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
            _join(parents, int(known[start + row]), int(known[start + column]))
    return tuple(_root(parents, index) for index in range(len(parents)))


def _root(parents: list[int], index: int) -> int:
    while parents[index] != index:
        parents[index] = parents[parents[index]]
        index = parents[index]
    return index


def _join(parents: list[int], one: int, other: int) -> None:
    """The lower root stays, so that a cluster is named after its first document."""
    low, high = sorted((_root(parents, one), _root(parents, other)))
    parents[high] = low
