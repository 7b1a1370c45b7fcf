"""The OCR's lines as the pages' rows keep them, and back: nobody has to read a page twice."""

from collections.abc import Iterable, Sequence
from typing import Any

from db.tables import Page
from extraction.lines import Box, Line


def stored_lines(lines: Iterable[Line]) -> dict[int, list[dict[str, Any]]]:
    """Lines as JSON, by the index of their page; a page without lines is absent."""
    by_page: dict[int, list[dict[str, Any]]] = {}
    for line in lines:
        box = [round(s, 5) for s in (line.box.left, line.box.top, line.box.right, line.box.bottom)]
        stored: dict[str, Any] = {
            "text": line.text,
            "box": box,
            "score": round(line.score, 4),
            "quarter_turns": line.quarter_turns,
        }
        if line.start >= 0:
            stored["start"] = line.start
        by_page.setdefault(line.page, []).append(stored)
    return by_page


def lines_of(pages: Sequence[Page]) -> tuple[Line, ...] | None:
    """The lines of a document's pages in order; None where no page was ever read.

    A page without lines beside one with lines is empty: a document is read as a whole.
    """
    if all(page.lines is None for page in pages):
        return None
    return tuple(
        Line(
            text=str(line["text"]),
            box=Box(*line["box"]),
            score=float(line["score"]),
            page=page.index,
            quarter_turns=int(line.get("quarter_turns", 0)),
            start=int(line.get("start", -1)),
        )
        for page in sorted(pages, key=lambda page: page.index)
        for line in page.lines or ()
    )
