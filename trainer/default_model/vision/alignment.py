"""Labels move to where the tower sees them: at most one cell along their row, in their order.

Our OCR's characters are half a cell exact, and one that lies between two cells is as well said in
the one as in the other. A tower that is held to the label's cell says such a character twice or not
at all. So of all ways to place a row's characters near their labels, the one that the tower finds
likeliest is what it learns: Viterbi training, as speech recognisers align words with sound
(Juang and Rabiner 1990, the segmental k-means algorithm).
"""

import numpy as np
import torch
from numpy.typing import NDArray

from trainer.default_model.vision.grid import UNKNOWN

_SHIFTS = np.array([-1, 0, 1])
_BLANK = 0
_NEVER = -1e9


def align(likelihoods: torch.Tensor, characters: torch.Tensor) -> torch.Tensor:
    """The likeliest placement of each row's characters.

    Args:
        likelihoods: logarithms, float [rows, columns, classes].
        characters: int64 [rows, columns], as `place_characters` gives; `UNKNOWN` stays where it is.

    Returns:
        Of the shape of `characters`.
    """
    grid: NDArray[np.int64] = characters.numpy()
    gains = (likelihoods - likelihoods[..., :1]).numpy()
    placed = np.where(grid == UNKNOWN, UNKNOWN, _BLANK)
    columns, written = _sequences(grid)
    if columns.shape[1]:
        rows = np.arange(len(grid))[:, None]
        said = np.maximum(grid[rows, columns], _BLANK)
        moved = _likeliest(_scores(gains, placed, columns, said), columns, written)
        placed[np.broadcast_to(rows, columns.shape)[written], moved[written]] = said[written]
    return torch.from_numpy(placed)


def _sequences(grid: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Of each row the columns of its characters, padded at the end, and which are not padding."""
    full = grid > _BLANK
    most = int(full.sum(axis=1).max(initial=0))
    columns = np.argsort(~full, axis=1, kind="stable")[:, :most]
    return columns, np.arange(most)[None, :] < full.sum(axis=1)[:, None]


def _scores(
    gains: NDArray[np.float32],
    placed: NDArray[np.int64],
    columns: NDArray[np.int64],
    said: NDArray[np.int64],
) -> NDArray[np.float64]:
    """What each character gains over a blank in each of its places: [rows, characters, shifts]."""
    wide = placed.shape[1]
    places = columns[..., None] + _SHIFTS
    inside = np.clip(places, 0, wide - 1)
    rows = np.arange(len(placed))[:, None, None]
    allowed = (places == inside) & (placed[rows, inside] != UNKNOWN)
    return np.where(allowed, gains[rows, inside, said[..., None]], _NEVER).astype(np.float64)


def _likeliest(
    scores: NDArray[np.float64], columns: NDArray[np.int64], written: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Viterbi over the characters of all rows at once; columns rise strictly."""
    places = columns[..., None] + _SHIFTS
    best, came_from = scores[:, 0], []
    for number in range(1, scores.shape[1]):
        rises = places[:, number, None, :] > places[:, number - 1, :, None]
        ways = np.where(rises, best[:, :, None], 2 * _NEVER)
        came_from.append(ways.argmax(axis=1))
        onward = ways.max(axis=1) + scores[:, number]
        best = np.where(written[:, number, None], onward, best)
    last = written.sum(axis=1) - 1
    shift = best.argmax(axis=1)
    moved = columns.copy()
    rows = np.arange(len(columns))
    for number in reversed(range(scores.shape[1])):
        here = written[:, number]
        moved[here, number] = places[rows, number, shift][here]
        if number:
            back = came_from[number - 1][rows, shift]
            shift = np.where(here & (number <= last), back, shift)
    return moved
