"""Tables of `<table>`, read as leniently as a model writes HTML."""

import html
from dataclasses import dataclass, field
from html.parser import HTMLParser

from extraction.unit_tests.tables import Source, Table

# Elements that have no end tag.
_VOID = frozenset(
    [
        "area",
        "base",
        "basefont",
        "bgsound",
        "br",
        "col",
        "command",
        "embed",
        "frame",
        "hr",
        "image",
        "img",
        "input",
        "isindex",
        "keygen",
        "link",
        "menuitem",
        "meta",
        "nextid",
        "param",
        "source",
        "spacer",
        "track",
        "wbr",
    ]
)
# Their text is not the page's.
_SILENT = frozenset({"script", "style", "template", "rt", "rp"})
_CELLS = frozenset({"td", "th"})
# Tables inside each other; a model that opens more has lost its way, and each row counts for all.
_MOST_NESTED = 8


def html_tables(content: str) -> list[Table]:
    """Every table with a cell, in the order in which they begin; a nested one's rows count twice.

    Headings are `<th>` and the cells in `<thead>`. A row takes the cells that are its direct
    children, so that a cell whose end tag is missing swallows the next.
    """
    if "<table" not in content.lower():
        return []
    reader = _Reader()
    try:
        reader.feed(content)
        reader.close()
    except AssertionError:
        # html.parser gives up on some declarations. The page has no tables then.
        return []
    tables = (Table(reader.sources(rows)) for rows in reader.tables)
    return [table for table in tables if table.cells]


@dataclass(slots=True)
class _Written:
    """A cell while it is read: where in the page's pieces of text it begins and ends."""

    name: str
    row_span: str | None
    column_span: str | None
    begin: int
    end: int | None = None


@dataclass(slots=True)
class _Row:
    in_head: bool
    cells: list[_Written] = field(default_factory=list)


class _Reader(HTMLParser):
    """Keeps the rows of each table. An end tag closes what is open inside, and nothing else."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.tables: list[list[_Row]] = []
        self._pieces: list[str] = []
        # Each open element with what it holds.
        self._open: list[tuple[str, list[_Row] | _Row | _Written | None]] = []
        self._counts: dict[str, int] = {}
        # Void elements whose needless end tag may still come.
        self._closed_void: list[str] = []

    def sources(self, rows: list[_Row]) -> list[list[Source]]:
        """The cells of a table's rows."""
        return [
            [
                Source(
                    "".join(self._pieces[cell.begin : cell.end]).strip(),
                    _row_span(cell.row_span, len(rows) - number),
                    _span(cell.column_span),
                    cell.name == "th" or row.in_head,
                )
                for cell in row.cells
            ]
            for number, row in enumerate(rows)
        ]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "br" and self._counts.get("td", 0) + self._counts.get("th", 0):
            self._pieces.append("\n")
        if tag in _VOID:
            self._closed_void.append(tag)
            return
        held: list[_Row] | _Row | _Written | None = None
        if tag == "table":
            if self._counts.get("table", 0) < _MOST_NESTED:
                held = []
                self.tables.append(held)
        elif tag == "tr":
            held = _Row(in_head=self._counts.get("thead", 0) > 0)
            for _, table in self._open:
                if isinstance(table, list):
                    table.append(held)
        elif tag in _CELLS:
            spans = dict(attrs)
            held = _Written(tag, spans.get("rowspan"), spans.get("colspan"), len(self._pieces))
            parent = self._open[-1][1] if self._open else None
            if isinstance(parent, _Row):
                parent.cells.append(held)
        self._open.append((tag, held))
        self._counts[tag] = self._counts.get(tag, 0) + 1

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag in _VOID:
            self._closed_void.pop()
        else:
            self._close(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._closed_void:
            self._closed_void.remove(tag)
        else:
            self._close(tag)

    def handle_data(self, data: str) -> None:
        if not any(self._counts.get(name) for name in _SILENT):
            self._pieces.append(data)

    def handle_charref(self, name: str) -> None:
        self.handle_data(html.unescape(f"&#{name};"))

    def handle_entityref(self, name: str) -> None:
        written = f"&{name};"
        character = html.unescape(written)
        # An unknown one is text; its semicolon is lost.
        self.handle_data(character if character != written else written[:-1])

    def unknown_decl(self, data: str) -> None:
        # A CDATA section is text.
        if data.upper().startswith("CDATA["):
            self.handle_data(data[len("CDATA[") :])

    def _close(self, tag: str) -> None:
        while self._counts.get(tag):
            name, held = self._open.pop()
            self._counts[name] -= 1
            if isinstance(held, _Written):
                held.end = len(self._pieces)
            if name == tag:
                return


def _row_span(written: str | None, rows_left: int) -> int:
    """0 reaches to the table's end."""
    if written is not None and written.strip() == "0":
        return max(1, rows_left)
    return _span(written)


def _span(written: str | None) -> int:
    """A positive number, 1 for anything else."""
    try:
        return max(1, int(written or 1))
    except ValueError:
        return 1
