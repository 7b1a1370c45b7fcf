"""Plain text in place of a page: the same lines, without anybody having read them from pixels.

A text is one page without an image. Its lines stand where they would on a page of a fixed-width
type, so that what depends on places (rows, the neighbours of a label) works as on a page; where a
value was found is told by offsets in the text itself.
"""

import unicodedata
from collections.abc import Sequence
from typing import Final

from extraction.errors import UnreadableDocument
from extraction.lines import Box, Line

MOST_CHARACTERS: Final = 200_000
"""Of a text; a page of print has about 3,000."""

_LEAST_HEIGHT: Final = 1e-5  # as lines are stored
_COLUMNS: Final = (40, 120)  # of the page that a text is laid out on, at least and at most


def read_text(content: bytes) -> str:
    """The text of bytes that were stored as plain text.

    Raises:
        UnreadableDocument: they are no UTF-8, or hold no text.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise UnreadableDocument("it is no text in UTF-8") from None
    if not text.strip():
        raise UnreadableDocument("it is empty")
    return text


def text_lines(text: str) -> list[Line]:
    """The lines of a text that hold something, each with its offset in the text.

    A control character counts as a blank, so that offsets stay those of the text as it was sent.
    """
    written = text.split("\n")
    widest = max((len(line.rstrip()) for line in written), default=0)
    columns = min(max(widest, _COLUMNS[0]), _COLUMNS[1])
    height = 1 / len(written)
    lines: list[Line] = []
    at = 0
    for row, raw in enumerate(written):
        shown = "".join(" " if unicodedata.category(letter)[0] == "C" else letter for letter in raw)
        kept = shown.strip()
        if kept:
            indent = len(shown) - len(shown.lstrip())
            left = min(indent / columns, 1 - 1 / columns)
            right = min(left + len(kept) / columns, 1.0)
            box = Box(left, row * height, right, (row + 1) * height)
            lines.append(Line(kept, box, 1.0, 0, start=at + indent))
        at += len(raw) + 1
    return lines


def is_plain_text(lines: Sequence[Line]) -> bool:
    """Whether lines were made from a text, and not read from a page."""
    return bool(lines) and all(line.start >= 0 for line in lines)


def text_of(lines: Sequence[Line]) -> str:
    """The text of its lines again; a run of blank lines is one."""
    parts: list[str] = []
    before: int | None = None
    for line in lines:
        row = round(line.box.top / max(line.box.height, _LEAST_HEIGHT))
        if before is not None:
            parts.append("\n" if row - before == 1 else "\n\n")
        parts.append(line.text)
        before = row
    return "".join(parts)
