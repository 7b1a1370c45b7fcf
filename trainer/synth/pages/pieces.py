"""A page's HTML -> its pieces in reading order: text, lists, tables, formulas, drawings.

Headers, footers and navigation are left out, as olmOCR's truth leaves them out (arXiv 2502.18443).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trainer.synth.pages.html_tree import Element

Figures = Sequence[tuple[int, int, int, int]]
"""Left, top, width and height of each drawing in pixels of the page's image, in document order."""

_LEFT_OUT = frozenset("header footer nav script style template head title".split())  # noqa: SIM905
_BLOCKS = frozenset(
    "address article aside blockquote body center dd details div dl dt fieldset figcaption "  # noqa: SIM905
    "figure form h1 h2 h3 h4 h5 h6 hr li main ol p pre section summary table ul".split()
)
_RAISED = str.maketrans("0123456789+-=()n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿ")
_LOWERED = str.maketrans("0123456789+-=()", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎")
_CUT = "\0"
"""Stands in plain text where something stands that is not plain."""


@dataclass(frozen=True, slots=True)
class TableCell:
    """One cell of a table's source with its spans."""

    text: str
    head: bool
    across: int
    down: int


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of a page.

    Attributes:
        kind: heading, text, item, caption, note, table, formula, figure.
        markdown: as it stands in the truth.
        plain: its runs of plain text, without markup, formulas and marks.
        formulas: TeX of its formulas.
        rows: of a table.
    """

    kind: str
    markdown: str
    plain: tuple[str, ...] = ()
    formulas: tuple[str, ...] = ()
    rows: tuple[tuple[TableCell, ...], ...] = ()


def read_pieces(body: Element, figures: Figures = ()) -> list[Piece]:
    """The pieces of a page in document order, which is the reading order of a page of columns."""
    return list(_Reader(figures).block(body))


def running_texts(body: Element) -> list[str]:
    """What headers and footers say, each part by itself."""
    found = []
    for element in body.elements():
        if element.tag in {"header", "footer"}:
            spans = [part for part in element.elements() if not _has_elements(part)] or [element]
            found += [" ".join(part.text().split()) for part in spans]
    return [text for text in found if text]


def _has_elements(element: Element) -> bool:
    return any(isinstance(child, Element) for child in element.children)


class _Reader:
    """Walks one page; counts its drawings."""

    def __init__(self, figures: Figures) -> None:
        self._figures = iter(figures)

    def block(self, element: Element, kind: str = "text") -> Iterator[Piece]:
        """The pieces of a block's children; loose text between blocks is a paragraph."""
        loose: list[Element | str] = []
        for child in element.children:
            if isinstance(child, Element) and child.tag in _LEFT_OUT:
                continue
            if isinstance(child, Element) and (child.tag in _BLOCKS or _is_displayed(child)):
                yield from _paragraph(loose, kind)
                loose = []
                yield from self._element(child)
            elif isinstance(child, Element) and child.tag == "img":
                yield from _paragraph(loose, kind)
                loose = []
                yield self._drawing(child.attributes.get("alt", ""))
            else:
                loose.append(child)
        yield from _paragraph(loose, kind)

    def _element(self, element: Element) -> Iterator[Piece]:
        tag, classes = element.tag, element.classes
        if "drawing" in classes:
            yield self._drawing(element.attributes.get("aria-label", ""))
        elif "formula" in classes or _is_displayed(element):
            yield _formula(element)
        elif re.fullmatch("h[1-6]", tag):
            yield from _paragraph(element.children, "heading", prefix="#" * int(tag[1]) + " ")
        elif tag in {"ul", "ol"}:
            yield _list(element)
        elif tag == "table":
            yield from _table(element)
        elif tag == "dl":
            yield _pairs(element)
        elif tag == "blockquote":
            yield from _quoted(self.block(element))
        elif tag == "hr":
            return
        else:
            kind = next((name for name in ("caption", "note") if name in classes), "text")
            yield from self.block(element, "caption" if tag == "figcaption" else kind)

    def _drawing(self, alt: str) -> Piece:
        box = next(self._figures, None)
        target = "figure.png" if box is None else f"page_{'_'.join(map(str, box))}.png"
        return Piece("figure", f"![{alt}]({target})")


def _is_displayed(element: Element) -> bool:
    return element.classes >= {"math", "display"}


def _paragraph(children: Sequence[Element | str], kind: str, prefix: str = "") -> Iterator[Piece]:
    inline = _Inline()
    inline.add(children)
    markdown = inline.markdown()
    if markdown:
        yield Piece(kind, prefix + markdown, inline.plain(), tuple(inline.formulas))


def _formula(element: Element) -> Piece:
    tex = next(
        (part.text() for part in (element, *element.elements()) if "math" in part.classes), ""
    ).strip()
    number = next((part.text() for part in element.elements() if "number" in part.classes), "")
    return Piece("formula", f"\\[ {tex} \\] {number}".strip(), formulas=(tex,))


def _list(element: Element, depth: int = 0) -> Piece:
    rows: list[str] = []
    plain: list[str] = []
    formulas: list[str] = []
    number = int(element.attributes.get("start") or 1)
    for item in element.children:
        if not isinstance(item, Element) or item.tag != "li":
            continue
        own = [c for c in item.children if isinstance(c, str) or c.tag not in {"ul", "ol"}]
        inline = _Inline()
        inline.add(own)
        sign = f"{number}." if element.tag == "ol" else "-"
        rows.append(f"{'   ' * depth}{sign} {inline.markdown()}")
        plain += inline.plain()
        formulas += inline.formulas
        for child in item.children:
            if isinstance(child, Element) and child.tag in {"ul", "ol"}:
                inner = _list(child, depth + 1)
                rows.append(inner.markdown)
                plain += inner.plain
        number += 1
    return Piece("item", "\n".join(rows), tuple(plain), tuple(formulas))


def _pairs(element: Element) -> Piece:
    rows: list[str] = []
    plain: list[str] = []
    for part in element.elements():
        if part.tag not in {"dt", "dd"}:
            continue
        inline = _Inline()
        inline.add(part.children)
        if part.tag == "dt":
            rows.append(inline.markdown())
        elif rows:
            rows[-1] = f"{rows[-1]} {inline.markdown()}".strip()
        plain += inline.plain()
    return Piece("pairs", "\n".join(rows), tuple(plain))


def _quoted(pieces: Iterator[Piece]) -> Iterator[Piece]:
    for piece in pieces:
        rows = [f"> {row}" for row in piece.markdown.splitlines()]
        yield Piece("text", "\n".join(rows), piece.plain, piece.formulas)


def _table(element: Element) -> Iterator[Piece]:
    for part in element.elements():
        if part.tag == "caption":
            yield from _paragraph(part.children, "caption")
    rows = []
    for row in (part for part in element.elements() if part.tag == "tr"):
        cells = [c for c in row.children if isinstance(c, Element) and c.tag in {"td", "th"}]
        rows.append(tuple(_cell(cell) for cell in cells))
    written = "\n".join(f"<tr>{''.join(map(_cell_html, row))}</tr>" for row in rows)
    if written:
        yield Piece("table", f"<table>\n{written}\n</table>", rows=tuple(rows))


def _cell(cell: Element) -> TableCell:
    inline = _Inline()
    inline.add(cell.children)
    return TableCell(
        text=inline.markdown().replace("\n", "<br>"),
        head=cell.tag == "th",
        across=_span(cell, "colspan"),
        down=_span(cell, "rowspan"),
    )


def _span(cell: Element, name: str) -> int:
    value = cell.attributes.get(name, "1")
    return max(1, int(value)) if value.isdigit() else 1


def _cell_html(cell: TableCell) -> str:
    tag = "th" if cell.head else "td"
    across = f' colspan="{cell.across}"' if cell.across > 1 else ""
    down = f' rowspan="{cell.down}"' if cell.down > 1 else ""
    text = cell.text.replace("&", "&amp;").replace("<", "&lt;").replace("&lt;br>", "<br>")
    return f"<{tag}{across}{down}>{text}</{tag}>"


class _Inline:
    """Collects a line of text as Markdown and as plain runs at once."""

    def __init__(self) -> None:
        self._markdown: list[str] = []
        self._plain: list[str] = []
        self.formulas: list[str] = []

    def markdown(self) -> str:
        """One paragraph; a line break of the source is one here."""
        rows = "".join(self._markdown).split("\n")
        return "\n".join(" ".join(row.split()) for row in rows).strip()

    def plain(self) -> tuple[str, ...]:
        """Runs of at least one letter or digit."""
        runs = (" ".join(run.split()) for run in "".join(self._plain).split(_CUT))
        return tuple(run for run in runs if any(map(str.isalnum, run)))

    def add(self, children: Sequence[Element | str]) -> None:
        """Texts and inline elements in order."""
        for child in children:
            if isinstance(child, str):
                text = re.sub(r"\s+", " ", child)
                self._put(text, text)
            elif child.tag not in _LEFT_OUT:
                self._element(child)

    def _element(self, element: Element) -> None:
        tag, classes = element.tag, element.classes
        if "math" in classes:
            tex = element.text().strip()
            self.formulas.append(tex)
            self._put(f"\\( {tex} \\)", _CUT)
        elif "box" in classes:
            self._put("[x]" if "ticked" in classes else "[ ]", _CUT)
        elif tag == "br":
            self._put("\n", _CUT)
        elif tag in {"sup", "sub"}:
            text = " ".join(element.text().split())
            self._put(text.translate(_RAISED if tag == "sup" else _LOWERED), _CUT)
        elif tag in {"strong", "b", "em", "i"}:
            sign = "**" if tag in {"strong", "b"} else "*"
            self._put(sign, "")
            self.add(element.children)
            self._put(sign, "")
        elif tag in {"svg", "img"}:
            return
        else:
            self.add(element.children)

    def _put(self, markdown: str, plain: str) -> None:
        self._markdown.append(markdown)
        self._plain.append(plain)
