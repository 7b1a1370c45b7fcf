"""The unit tests as their definition reads, without any of the short ways: oracle and baseline.

Every test normalises, parses and renders the page anew. A text is compared with each window of the
page, a near match is looked for in every cell of the distance table, a table is a dictionary of
places, and the characters of an equation are given in order with full backtracking.
"""

from collections.abc import Iterator

from rapidfuzz import fuzz

from extraction.unit_tests.baseline import Baseline
from extraction.unit_tests.cases import Case
from extraction.unit_tests.equations import equations_in
from extraction.unit_tests.html_tables import html_tables
from extraction.unit_tests.layout import Mark
from extraction.unit_tests.markdown_tables import markdown_tables
from extraction.unit_tests.math_case import Math
from extraction.unit_tests.normalise import normalise
from extraction.unit_tests.order import Order
from extraction.unit_tests.page import Page
from extraction.unit_tests.presence import Presence
from extraction.unit_tests.rendering import Rendering, render
from extraction.unit_tests.table_case import TableCell
from extraction.unit_tests.tables import Cell, Table

_TOLERANCE = 5.0
Grid = dict[tuple[int, int], Cell]


def passes(case: Case, content: str) -> bool:
    """The verdict of a test on a page's Markdown."""
    match case:
        case Presence():
            return _is_present(case, content) == (case.type == "present")
        case Order():
            return _is_in_order(case, content)
        case TableCell():
            return _has_cell(case, content)
        case Math():
            return _has_equation(case, content)
        case Baseline():
            return case.check(Page(content)).passed
        case _:
            raise TypeError(case.type)


def _is_present(case: Presence, content: str) -> bool:
    text, wanted = normalise(content), case.text
    if not case.case_sensitive:
        text, wanted = text.lower(), wanted.lower()
    begin = text[: case.first_n] if case.first_n else ""
    end = text[-case.last_n :] if case.last_n else ""
    text = begin + end if case.first_n or case.last_n else text
    if len(text) < len(wanted) - case.max_diffs:
        return False
    least = 1.0 - case.max_diffs / len(wanted)
    return partial_ratio(wanted, text) >= least


def partial_ratio(wanted: str, text: str) -> float:
    """The best normalised Indel similarity with a window of the text, shorter ones at its ends."""
    if not text:
        return 0.0
    if len(wanted) > len(text):
        wanted, text = text, wanted
    length = len(wanted)
    windows = [text[at : at + length] for at in range(len(text))]
    windows += [text[:at] for at in range(1, length)]
    best = max(fuzz.ratio(wanted, window) for window in windows)
    if len(wanted) == len(text):
        others = [wanted[at:] for at in range(length)] + [wanted[:at] for at in range(1, length)]
        best = max(best, *(fuzz.ratio(text, window) for window in others))
    return best / 100


def _is_in_order(case: Order, content: str) -> bool:
    text = normalise(content)
    before = near_starts(case.before, text, case.max_diffs)
    after = near_starts(case.after, text, case.max_diffs)
    return any(first < second for first in before for second in after)


def near_starts(wanted: str, text: str, most: int) -> list[int]:
    """Begins of the best of overlapping matches, from the whole table of distances."""
    if most == 0:
        return [at for at in range(len(text)) if text[at : at + len(wanted)] == wanted]
    matches = sorted(_near(wanted, text, most))
    groups: list[list[tuple[int, int, int]]] = []
    end = -1
    for match in matches:
        if not groups or match[0] >= end:
            groups.append([])
        groups[-1].append(match)
        end = max(end, match[1])
    return [min(group, key=lambda m: (m[2], m[0] - m[1]))[0] for group in groups]


def _near(wanted: str, text: str, most: int) -> Iterator[tuple[int, int, int]]:
    column = [(number, 0) for number in range(len(wanted) + 1)]
    for at, letter in enumerate(text, start=1):
        new = [(0, at)]
        for number, expected in enumerate(wanted, start=1):
            replaced, kept, dropped = column[number - 1], column[number], new[number - 1]
            new.append(
                min(
                    (replaced[0] + (expected != letter), replaced[1]),
                    (kept[0] + 1, kept[1]),
                    (dropped[0] + 1, dropped[1]),
                )
            )
        column = new
        distance, begin = column[-1]
        if distance <= most and begin < at:
            yield begin, at, distance


def _has_cell(case: TableCell, content: str) -> bool:
    tables = [] if case.ignore_markdown_tables else markdown_tables(content)
    return any(_table_has(case, table) for table in [*tables, *html_tables(content)])


def _table_has(case: TableCell, table: Table) -> bool:
    grid = grid_of(table)
    steps = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}
    for cell in table.cells:
        if not _like(case, case.cell, cell):
            continue
        found = {name: beside(grid, cell, *step) for name, step in steps.items()}
        found["top_heading"] = headings(grid, cell, -1, 0)
        found["left_heading"] = headings(grid, cell, 0, -1)
        if all(
            any(_like(case, getattr(case, name), other) for other in others)
            for name, others in found.items()
            if getattr(case, name)
        ):
            return True
    return False


def _like(case: TableCell, expected: str, cell: Cell) -> bool:
    least = max(0.5, 1.0 - case.max_diffs / (len(expected) or 1))
    return fuzz.ratio(expected, normalise(cell.text)) / 100 >= least


def grid_of(table: Table) -> Grid:
    """Each place with the cell that covers it; a later cell ends an earlier one in its columns."""
    grid: Grid = {}
    for cell in table.cells:
        columns = range(cell.column, cell.column + cell.columns)
        grid = {
            place: other
            for place, other in grid.items()
            if place[1] not in columns or place[0] < cell.row
        }
        for row in range(cell.row, cell.row + cell.rows):
            grid.update({(row, column): cell for column in columns})
    return grid


def beside(grid: Grid, cell: Cell, down: int, right: int) -> set[Cell]:
    """The next other cell from each place of a cell, in a direction."""
    height = max(row for row, _ in grid) + 1
    width = max(column for _, column in grid) + 1
    rows = range(cell.row, cell.row + cell.rows)
    columns = range(cell.column, cell.column + cell.columns)
    found = set()
    for row in rows:
        for column in columns:
            y, x = row + down, column + right
            while 0 <= y < height and 0 <= x < width:
                other = grid.get((y, x))
                is_outside = y not in rows or x not in columns
                if other is not None and other is not cell and is_outside:
                    found.add(other)
                    break
                y, x = y + down, x + right
    return found


def headings(grid: Grid, cell: Cell, down: int, right: int) -> set[Cell]:
    """All headings on all ways to the edge, or the cells at the edge."""
    marked, edge = set(), set()

    def walk(current: Cell) -> None:
        others = beside(grid, current, down, right)
        if current is not cell:
            if current.heading:
                marked.add(current)
            if not others:
                edge.add(current)
        for other in others:
            walk(other)

    walk(cell)
    return marked or edge


def _has_equation(case: Math, content: str) -> bool:
    sources = equations_in(content, dollars=not case.ignore_dollar_delimited)
    if case.math in sources:
        return True
    draw = render.__wrapped__
    return bool(sources) and any(
        seen_in(draw(case.math), draw(source))
        for source in sorted(sources, key=lambda source: -fuzz.ratio(source, case.math))
    )


def seen_in(reference: Rendering, hypothesis: Rendering) -> bool:
    """The original's comparison, step by step."""
    if reference.error is not None:
        return True
    if hypothesis.error is None and reference.mathml in hypothesis.mathml:
        return True
    wanted, found = _letters(reference), _letters(hypothesis)
    wanted_beside, found_beside = _neighbours(wanted), _neighbours(found)
    texts = [mark.text for mark in wanted], [mark.text for mark in found]
    return _give({}, texts, (wanted_beside, found_beside))


def _give(
    given: dict[int, int],
    texts: tuple[list[str], list[str]],
    besides: tuple[list[tuple[int | None, ...]], list[tuple[int | None, ...]]],
) -> bool:
    """Gives the next character a place, and those after it."""
    wanted, found = texts
    number = len(given)
    if number == len(wanted):
        return True
    for place, text in enumerate(found):
        if text != wanted[number] or place in given.values():
            continue
        given[number] = place
        pairs = zip(besides[0][number], besides[1][place], strict=True)
        keeps = all(
            mine is None
            or (
                theirs is not None
                and wanted[mine] == found[theirs]
                and given.get(mine, theirs) == theirs
            )
            for mine, theirs in pairs
        )
        if keeps and _give(given, texts, besides):
            return True
        del given[number]
    return False


def _letters(rendering: Rendering) -> list[Mark]:
    letters = []
    for mark in rendering.marks:
        width = mark.width / len(mark.text)
        letters += [
            Mark(text, mark.x + number * width, mark.y, width, mark.height)
            for number, text in enumerate(mark.text)
            if mark.text != "\u200b"
        ]
    return letters


def _neighbours(letters: list[Mark]) -> list[tuple[int | None, ...]]:
    centres = [(mark.x + mark.width / 2, mark.y + mark.height / 2) for mark in letters]
    found = []
    for x, y in centres:
        ways: list[dict[int, float]] = [{}, {}, {}, {}]
        for number, (other_x, other_y) in enumerate(centres):
            right, down = other_x - x, other_y - y
            if abs(right) <= _TOLERANCE and down:
                ways[0 if down < 0 else 1][number] = abs(down)
            if abs(down) <= _TOLERANCE and right:
                ways[2 if right < 0 else 3][number] = abs(right)
        found.append(tuple(min(way, key=way.__getitem__) if way else None for way in ways))
    return found
