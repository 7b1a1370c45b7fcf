"""Glyph boxes of texts that Pillow drew: of the receipt generator's and of the passport's."""

from collections.abc import Sequence

import numpy as np
from PIL import ImageFont

from extraction.lines import Line, rows
from trainer.synth.document import true_line
from trainer.synth.fonts import font
from trainer.synth.sheet import Run
from trainer.synth.vision.plate import Writing

_SPACE, _BREAK = 1, 2


def reading_order(runs: Sequence[Run], width: int, height: int) -> list[list[Run]]:
    """The runs of each visual row, top to bottom and left to right, on a page of this size."""
    lines = [true_line(run.text, run.box, width, height) for run in runs]
    owner: dict[int, Run] = {id(line): run for line, run in zip(lines, runs, strict=True)}
    return [[owner[id(line)] for line in row] for row in rows(lines) if _known(row, owner)]


def _known(row: Sequence[Line], owner: dict[int, Run]) -> bool:
    if any(id(line) not in owner for line in row):
        raise TypeError("rows() made new lines; their runs cannot be found")
    return True


def writing_of(page_rows: Sequence[Sequence[Run]]) -> Writing:
    """Every character of the runs with the box of its ink; one line for each row."""
    characters: list[str] = []
    gaps: list[int] = []
    boxes: list[tuple[float, float, float, float]] = []
    for row in page_rows:
        gap = _BREAK
        for run in row:
            type_ = font(run.face, run.size_pixels)
            for place, character in enumerate(run.text):
                if character == " ":
                    gap = max(gap, _SPACE)
                    continue
                left, top, right, bottom = type_.getbbox(character, anchor=run.anchor)
                if right <= left or bottom <= top:
                    continue
                x = run.x + _pen(type_, run.text, place)
                characters.append(character)
                gaps.append(gap)
                boxes.append((x + left, run.y + top, x + right, run.y + bottom))
                gap = 0
            gap = max(gap, _SPACE)
    return Writing(characters, gaps, np.array(boxes, dtype=np.float32).reshape(-1, 4))


def _pen(type_: ImageFont.FreeTypeFont, text: str, place: int) -> float:
    """Where the pen stands before the character at `place`, kerning included."""
    return type_.getlength(text[: place + 1]) - type_.getlength(text[place])
