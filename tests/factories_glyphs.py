"""How much ink lies in the boxes of a picture of text."""

import cv2
import numpy as np

from trainer.synth.vision.plate import Glyphs

_REACH_PIXELS = 21  # wider than a stroke
_INK = 28  # grey values darker than the paper around


def ink_shares(glyphs: Glyphs) -> tuple[float, float]:
    """Shares of inked pixels inside the boxes and outside; shadows and tables are no ink."""
    grey = np.asarray(glyphs.image.convert("L"))
    kernel = np.ones((_REACH_PIXELS, _REACH_PIXELS), np.uint8)
    paper = cv2.morphologyEx(cv2.medianBlur(grey, 3), cv2.MORPH_CLOSE, kernel)
    dark = paper.astype(np.int16) - grey > _INK
    inside = np.zeros(dark.shape, dtype=bool)
    for left, top, right, bottom in glyphs.boxes.round().astype(int):
        inside[top:bottom, left:right] = True
    return float(dark[inside].mean()), float(dark[~inside].mean())
