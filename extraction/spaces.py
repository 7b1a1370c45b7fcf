"""Spaces that the recogniser nearly saw.

PP-OCR's recogniser joins words that stand close: SANYUSTATIONERYSHOP. Between two letters its most
likely class is then the CTC blank, with the space second. The lines are therefore decoded a second
time with the space made more likely, and a space that only the second reading has is taken where it
parts two letters; amounts, dates and codes keep the first reading.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# 4, 10, 30 and 100 were tried on 12 SROIE receipts of 000-399; below 30 wide capitals stay joined.
_FAVOUR = 30.0


class SpacedDecoder:
    """RapidOCR's CTC decoder with the space favoured between letters.

    Args:
        decoder: the recogniser's own; its last character is the space.
    """

    def __init__(self, decoder: Any) -> None:
        if decoder.character[-1] != " ":
            raise ValueError("the recogniser's last class is not the space")
        self._decoder = decoder

    def __call__(self, predictions: NDArray[np.float32], *args: Any, **options: Any) -> Any:
        """Decodes class probabilities of shape (lines, steps, classes)."""
        read, words = self._decoder(predictions, *args, **options)
        favoured = predictions if predictions.flags.writeable else predictions.copy()
        space = len(self._decoder.character) - 1
        np.minimum(favoured[..., space] * _FAVOUR, 1.0, out=favoured[..., space])
        again, _ = self._decoder(favoured, *args, **options)
        spaced = [
            (with_spaces(text, other), score)
            for (text, score), (other, _) in zip(read, again, strict=True)
        ]
        return spaced, words

    def __getattr__(self, name: str) -> Any:
        return getattr(self._decoder, name)


def with_spaces(text: str, spaced: str) -> str:
    """`text` with those spaces of `spaced` that part two letters.

    Where the two differ in more than spaces, `text` is returned as it is.
    """
    if text.replace(" ", "") != spaced.replace(" ", ""):
        return text
    kept: list[str] = []
    at = 0
    for index, character in enumerate(spaced):
        if at < len(text) and text[at] == character:
            kept.append(character)
            at += 1
        elif character == " " and kept and kept[-1].isalpha() and spaced[index + 1 :][:1].isalpha():
            kept.append(" ")
        elif character != " ":
            return text
    return "".join(kept) if at == len(text) else text
