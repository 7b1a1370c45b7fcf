"""A PDF's own text layer as lines.

PDFium cannot be bounded from inside and is not thread-safe: call these for PDFs of your own making
or in a process that may die (`trainer.synth.pseudo_labels.experts`), and from one thread.
"""

import ctypes
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from extraction.lines import Box, Line, rows

# Letters on one level are one line when the gap is less than this share of their height.
_GAP_RATIO = 1.2
_SPACE_RATIO = 0.18
_LEVEL_RATIO = 0.4

_Char = tuple[str, float, float, float, float]


def layer_lines(page: Any, index: int = 0) -> list[Line]:
    """The lines of a page's text layer in the order in which OCR lines are read.

    Letters that stand beside each other on one level are one line, whatever their typeface, as a
    detector sees them.

    Args:
        page: a `pypdfium2.PdfPage`.
        index: the lines' page.
    """
    width, height = page.get_size()
    runs = []
    for run in _runs(list(_letters(page))):
        said = _clean("".join(letter for letter, *_ in run))
        boxes = [box for letter, *box in run if not letter.isspace()]
        box = Box(
            max(0.0, min(b[0] for b in boxes) / width),
            max(0.0, 1 - max(b[3] for b in boxes) / height),
            min(1.0, max(b[2] for b in boxes) / width),
            min(1.0, 1 - min(b[1] for b in boxes) / height),
        )
        if said and box.area > 0:
            runs.append(Line(said, box, 1.0, index))
    return [line for row in rows(_joined(runs, height / width)) for line in row]


def missing_ratio(lines: Sequence[Line], texts: Sequence[str]) -> float:
    """The share of the letters of `texts` that the lines lack, 0 to 1.

    A typeface can lack a letter and still leave room for it: nothing is drawn, and the text layer
    has nothing either.
    """
    wanted = Counter(_bare("".join(texts)))
    found = Counter(_bare("".join(line.text for line in lines)))
    missing = (wanted - found).total()
    return missing / wanted.total() if wanted else 0.0


def _bare(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text)
    return "".join(letter for letter in folded if letter.isalnum())


def _letters(page: Any) -> Iterator[_Char]:
    """Each letter with its left, bottom, right and top in points; spaces without a place."""
    import pypdfium2.raw as pdfium

    text = page.get_textpage()
    box = pdfium.FS_RECTF()
    try:
        for number in range(text.count_chars()):
            letter = chr(pdfium.FPDFText_GetUnicode(text, number))
            if letter.isspace():
                yield " ", 0.0, 0.0, 0.0, 0.0
            elif pdfium.FPDFText_GetLooseCharBox(text, number, ctypes.byref(box)):
                yield letter, box.left, box.bottom, box.right, box.top
    finally:
        text.close()


def _runs(letters: Sequence[_Char]) -> Iterator[list[_Char]]:
    """Letters in the file's order, cut where the next one stands elsewhere."""
    run: list[_Char] = []
    last: _Char | None = None
    spaced = False
    for char in letters:
        if char[0] == " ":
            spaced = True
            continue
        if last is not None and not _beside(last, char):
            yield run
            run = []
        elif last is not None and (spaced or char[1] - last[3] > _SPACE_RATIO * _high(last)):
            run.append((" ", 0.0, 0.0, 0.0, 0.0))
        run.append(char)
        last, spaced = char, False
    if run:
        yield run


def _high(char: _Char) -> float:
    return char[4] - char[2]


def _beside(last: _Char, char: _Char) -> bool:
    high = max(_high(last), _high(char))
    shared = min(last[4], char[4]) - max(last[2], char[2])
    level = shared >= _LEVEL_RATIO * min(_high(last), _high(char))
    return level and -0.5 * high <= char[1] - last[3] < _GAP_RATIO * high


def _joined(runs: Sequence[Line], aspect: float) -> list[Line]:
    """Runs in reading order with those of one visual line put together."""
    lines: list[Line] = []
    for run in sorted(runs, key=lambda run: (run.box.top + run.box.bottom, run.box.left)):
        near = range(len(lines) - 1, -1, -1)
        at = next((n for n in near if _continues(lines[n], run, aspect)), -1)
        if at < 0:
            lines.append(run)
        else:
            lines[at] = _together(lines[at], run)
    return lines


def _continues(line: Line, run: Line, aspect: float) -> bool:
    """Whether the run stands just beside the line, at its level."""
    high = max(line.box.height, run.box.height)
    low = min(line.box.height, run.box.height)
    shared = min(line.box.bottom, run.box.bottom) - max(line.box.top, run.box.top)
    gap = max(run.box.left - line.box.right, line.box.left - run.box.right)
    return shared >= _LEVEL_RATIO * low and -0.3 * high * aspect <= gap < 0.5 * high * aspect


def _together(line: Line, run: Line) -> Line:
    first, second = sorted((line, run), key=lambda part: part.box.left)
    apart = second.box.left - first.box.right > 0.12 * line.box.height
    text = f"{first.text}{' ' if apart else ''}{second.text}"
    return Line(text, line.box.union(run.box), 1.0, line.page)


def _clean(text: str) -> str:
    spaced = " ".join(text.split())
    kept = "".join(letter for letter in spaced if unicodedata.category(letter)[0] != "C")
    return unicodedata.normalize("NFC", kept).strip()
