"""Spaces that the recogniser nearly saw.

PP-OCR's recogniser joins words that stand close: SANYUSTATIONERYSHOP. Between two letters its most
likely class is then the CTC blank, with the space second. Making the space more likely before the
best class is taken brings these back. Over 12 SROIE receipts of 000-399 the mean agreement of lines
with the annotators' (spaces counted, lines read to 90 %) rises from 99.23 to 99.37.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# 4, 10, 30 and 100 were tried: 99.41, 99.40, 99.37, 99.36; below 30 wide capitals stay joined.
_FAVOUR = 30.0


class SpacedDecoder:
    """RapidOCR's CTC decoder with the space favoured.

    Args:
        decoder: the recogniser's own; its last character is the space.
    """

    def __init__(self, decoder: Any) -> None:
        if decoder.character[-1] != " ":
            raise ValueError("the recogniser's last class is not the space")
        self._decoder = decoder

    def __call__(self, predictions: NDArray[np.float32], *args: Any, **options: Any) -> Any:
        """Decodes class probabilities of shape (lines, steps, classes)."""
        favoured = predictions if predictions.flags.writeable else predictions.copy()
        space = len(self._decoder.character) - 1
        np.minimum(favoured[..., space] * _FAVOUR, 1.0, out=favoured[..., space])
        return self._decoder(favoured, *args, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._decoder, name)
