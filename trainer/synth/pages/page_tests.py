"""A page's pieces -> its unit tests in olmOCR-bench's form, of all six kinds.

    present   a sentence stands in the text          absent    a header or footer does not
    order     one sentence stands before another     table     a cell has these neighbours and heads
    math      a formula is set as on the page        baseline  the text is no loop and no gibberish

Every test holds of the truth. `extraction/unit_tests` runs them.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from extraction.unit_tests.normalise import normalise
from trainer.synth.pages.pieces import Piece, TableCell

Test = dict[str, Any]

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_LEAST_CHARACTERS = 12
_MOST_CHARACTERS = 160
_CHARACTERS_PER_DIFFERENCE = 50
_LEAST_FORMULA = 4
_DIRECTIONS = ("up", "down", "left", "right")


@dataclass(frozen=True, slots=True)
class TestCounts:
    """Most tests of each kind on one page; a page has fewer where it has less to ask for."""

    present: int = 8
    absent: int = 4
    order: int = 6
    table: int = 6
    math: int = 4


def page_tests(
    pieces: Sequence[Piece],
    running: Sequence[str],
    *,
    name: str,
    rng: random.Random,
    counts: TestCounts | None = None,
) -> list[Test]:
    """The tests of one page.

    Args:
        pieces: in reading order.
        running: texts of headers and footers.
        name: of the page; the tests' `pdf` is NAME.pdf, its page 1.
        rng: draws what is asked.
        counts: how many of each kind.
    """
    most = counts or TestCounts()
    whole = _folded("\n".join(piece.markdown for piece in pieces))
    sentences = _sentences(pieces, whole)
    made: dict[str, list[Test]] = {
        "present": [
            {"text": text, "max_diffs": len(text) // _CHARACTERS_PER_DIFFERENCE}
            for _, text in rng.sample(sentences, min(most.present, len(sentences)))
        ],
        "absent": [{"text": text} for text in dict.fromkeys(running) if _folded(text) not in whole][
            : most.absent
        ],
        "order": _order(sentences, rng, most.order),
        "table": _tables(pieces, rng, most.table),
        "math": _formulas(pieces, rng, most.math),
        "baseline": [{"max_repeats": 30, "check_disallowed_characters": True}],
    }
    return [
        {"pdf": f"{name}.pdf", "page": 1, "id": f"{name}_{kind}_{number:02}", "type": kind, **test}
        for kind, tests in made.items()
        for number, test in enumerate(tests)
    ]


def _sentences(pieces: Sequence[Piece], whole: str) -> list[tuple[int, str]]:
    """Sentences that the page has once, in reading order, each with its piece."""
    found = []
    for number, piece in enumerate(pieces):
        for run in piece.plain:
            for sentence in _SENTENCE_END.split(run):
                text = sentence[:_MOST_CHARACTERS].rstrip() if sentence else ""
                enough = len(text) >= _LEAST_CHARACTERS
                if enough and whole.count(_folded(text)) == 1:
                    found.append((number, text))
    return found


def _order(sentences: Sequence[tuple[int, str]], rng: random.Random, most: int) -> list[Test]:
    """Pairs of sentences; of different pieces, because those are what a reader can confuse."""
    pairs = [
        (first, second)
        for first in range(len(sentences))
        for second in range(first + 1, len(sentences))
    ]
    apart = [(a, b) for a, b in pairs if sentences[a][0] != sentences[b][0]] or pairs
    return [
        {
            "before": sentences[first][1],
            "after": sentences[second][1],
            "max_diffs": min(len(sentences[first][1]), len(sentences[second][1]))
            // _CHARACTERS_PER_DIFFERENCE,
        }
        for first, second in sorted(rng.sample(apart, min(most, len(apart))))
    ]


def _formulas(pieces: Sequence[Piece], rng: random.Random, most: int) -> list[Test]:
    formulas = dict.fromkeys(
        tex for piece in pieces for tex in piece.formulas if len(tex) >= _LEAST_FORMULA
    )
    chosen = rng.sample(list(formulas), min(most, len(formulas)))
    return [{"math": tex} for tex in chosen]


def _tables(pieces: Sequence[Piece], rng: random.Random, most: int) -> list[Test]:
    grids = [grid_of(piece.rows) for piece in pieces if piece.kind == "table"]
    asked = []
    for grid in grids:
        texts = [cell.text for row in grid for cell in dict.fromkeys(filter(None, row))]
        for y, row in enumerate(grid):
            for x, cell in enumerate(row):
                # A cell that stands twice would make the neighbours of either one right.
                if cell is None or cell.head or not cell.text or texts.count(cell.text) > 1:
                    continue
                relations = _relations(grid, y, x)
                if relations:
                    names = rng.sample(
                        sorted(relations), min(len(relations), rng.choice((1, 1, 2)))
                    )
                    asked.append({"cell": cell.text, **{n: relations[n] for n in sorted(names)}})
    return rng.sample(asked, min(most, len(asked)))


def _relations(grid: Sequence[Sequence[TableCell | None]], y: int, x: int) -> dict[str, str]:
    """What stands around the cell at row y and column x, where it is another cell with a text."""
    cell = grid[y][x]
    steps = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}
    found = {}
    for name in _DIRECTIONS:
        row, column = y + steps[name][0], x + steps[name][1]
        inside = 0 <= row < len(grid) and 0 <= column < len(grid[row])
        other = grid[row][column] if inside else None
        if other is not None and other is not cell and other.text and other.text != "":
            found[name] = other.text
    heads = [grid[row][x] for row in range(y) if x < len(grid[row])]
    if heads and (top := heads[0]) is not None and top.head and top.text:
        found["top_heading"] = top.text
    if (first := grid[y][0]) is not None and first.head and first.text and x > 0:
        found["left_heading"] = first.text
    return found


def grid_of(rows: Sequence[Sequence[TableCell]]) -> list[list[TableCell | None]]:
    """The table as HTML lays it out: a cell with spans stands in each place that it covers."""
    grid: list[list[TableCell | None]] = [[] for _ in rows]
    for y, row in enumerate(rows):
        x = 0
        for cell in row:
            while x < len(grid[y]) and grid[y][x] is not None:
                x += 1
            for down in range(min(cell.down, len(rows) - y)):
                line = grid[y + down]
                line += [None] * (x + cell.across - len(line))
                line[x : x + cell.across] = [cell] * cell.across
            x += cell.across
    return grid


def _folded(text: str) -> str:
    """As the checker compares, in small letters."""
    return normalise(text).casefold().strip()
