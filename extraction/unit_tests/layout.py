"""Where the characters of an equation stand: KaTeX's boxes, placed as its style sheet says.

What a browser does with `katex.css`, as far as it moves a character: inline boxes side by side,
stacks (`vlist`) whose children hang at a given height, alignment inside a stack, laps, sizes,
margins. Lengths are pixels, 24 of them a root em; x to the right, y down from the baseline.
"""

import re
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

# The style sheet: 1.21 times the text around it.
_FONT_SIZE = 24 * 1.21
# Sizes 1 to 11 of KaTeX, relative to size 6.
_SIZES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.44, 1.728, 2.074, 2.488)
_RESIZED = re.compile(r"reset-size(\d+) size(\d+)")
_NULL_DELIMITER_EM = 0.12
_BOX_PADDING_EM = {"boxpad": 0.3, "cancel-pad": 0.2, "x-arrow-pad": 0.5, "anglpad": 0.03889}
# The slash of `\not` is drawn over what follows; its metrics say nothing of its glyph.
_SLASH, _SLASH_EM = "\ue020", 0.778
# A character's box is as high as the font's ascent and descent; these are Times'.
_ASCENT_EM, _DESCENT_EM = 0.891, 0.216
_LINE_EM = 1.2

Align = Literal["left", "center", "right"]
_ALIGNED: dict[str, Align] = {
    "msupsub": "left",
    "svg-align": "left",
    "mfrac": "center",
    "op-limits": "center",
    "accent": "center",
    "x-arrow": "center",
    "mover": "center",
    "munder": "center",
    "col-align-c": "center",
    "col-align-l": "left",
    "col-align-r": "right",
}


@dataclass(frozen=True, slots=True)
class Mark:
    """A text in its place, in pixels.

    Attributes:
        text: one or more characters in a row.
        x: the left edge.
        y: the top edge.
        width: of all of it.
        height: of its font.
    """

    text: str
    x: float
    y: float
    width: float
    height: float


class _Laid(NamedTuple):
    """A box with its marks, from its own left edge and baseline."""

    width: float
    marks: list[Mark]


class _Box(NamedTuple):
    classes: str
    style: dict[str, str]
    text: str | None
    width: float
    children: list[list[Any]] | None


def lay_out(boxes: list[Any]) -> tuple[Mark, ...]:
    """The marks of KaTeX's HTML tree; lines of an equation are centred below each other."""
    lines: list[list[_Laid]] = [[]]
    tags: list[_Laid] = []
    for child in boxes[4]:
        names = child[0].split()
        if "newline" in names:
            lines.append([])
        else:
            laid = _lay(_Box(*child), _FONT_SIZE, "center")
            (tags if "tag" in names else lines[-1]).append(laid)
    rows = [_row(line) for line in lines]
    widest = max(row.width for row in rows)
    marks: list[Mark] = []
    y = 0.0
    for number, row in enumerate(rows):
        x, y = (widest - row.width) / 2, number * _LINE_EM * _FONT_SIZE
        if number:
            below = max((mark.y + mark.height for mark in marks), default=0.0)
            above = min((mark.y for mark in row.marks), default=0.0)
            y = max(y, below - above)
        marks += _moved(row.marks, x, y)
    for tag in tags:
        # At the right edge of the equation's own width, so that it lies over its end.
        marks += _moved(tag.marks, widest - tag.width, y)
    return tuple(marks)


def _lay(box: _Box, size: float, align: Align) -> _Laid:
    """A box with its margins."""
    names = box.classes.split()
    style = box.style
    if ("sizing" in names or "fontsize-ensurer" in names) and (
        found := _RESIZED.search(box.classes)
    ):
        size *= _SIZES[int(found[2]) - 1] / _SIZES[int(found[1]) - 1]
    for name in names:
        align = _ALIGNED.get(name, align)
    before = _length(style.get("marginLeft"), size) + _length(style.get("paddingLeft"), size)
    after = _length(style.get("marginRight"), size)
    pad = sum(em for name, em in _BOX_PADDING_EM.items() if name in names) * size
    if "root" in names:
        # The degree of a root: KaTeX's \r@@t.
        before, after = before + 5 / 18 * size, after - 10 / 18 * size
    inner = _inside(box, names, size, align)
    x = before + pad + _length(style.get("left"), size)
    y = _length(style.get("top"), size)
    marks = _moved(inner.marks, x, y) if x or y else inner.marks
    return _Laid(before + pad + inner.width + pad + after, marks)


def _inside(box: _Box, names: list[str], size: float, align: Align) -> _Laid:
    """A box without its margins."""
    if box.text is not None:
        seen = _SLASH_EM if box.text == _SLASH else box.width
        marks = _marks(box.text, seen * size, size) if names or box.style else []
        return _Laid(box.width * size, marks)
    if "vlist-t" in names:
        return _stack(box, size, align)
    if "nulldelimiter" in names:
        return _Laid(_NULL_DELIMITER_EM * size, [])
    if "rule" in names:
        return _Laid(_length(box.style.get("borderRightWidth"), size), [])
    laid = _contents([_Box(*child) for child in box.children or ()], size, align)
    return _lapped(laid, names, box.style.get("width") or box.style.get("minWidth"), size)


def _contents(children: list[_Box], size: float, align: Align) -> _Laid:
    if children and all(child.text is not None and _is_bare(child) for child in children):
        # Letters without a look of their own are the text of their parent.
        width = sum(child.width for child in children) * size
        return _Laid(width, _marks("".join(child.text or "" for child in children), width, size))
    return _row([_lay(child, size, align) for child in children])


def _lapped(laid: _Laid, names: list[str], fixed: str | None, size: float) -> _Laid:
    """Boxes that take no room, or a given one, whatever is in them."""
    if "llap" in names:
        return _Laid(0.0, _moved(laid.marks, -laid.width, 0.0))
    if "clap" in names:
        return _Laid(0.0, _moved(laid.marks, -laid.width / 2, 0.0))
    if "rlap" in names or ("accent-body" in names and "accent-full" not in names):
        return _Laid(0.0, laid.marks)
    return laid if fixed is None else _Laid(_length(fixed, size), laid.marks)


def _stack(box: _Box, size: float, align: Align) -> _Laid:
    """Children above and below each other: each hangs from its strut by its `top`."""
    laid: list[tuple[_Laid, float, Align]] = []
    for wrapper in _Box(*(_Box(*(box.children or [])[0]).children or [])[0]).children or ():
        content = _Box(*wrapper)
        strut, parts = 0.0, []
        aligned: Align = "left" if "svg-align" in content.classes else align
        for child in content.children or ():
            if child[0] == "pstrut":
                strut = _length(child[1].get("height"), size)
            else:
                parts.append(_lay(_Box(*child), size, aligned))
        row = _row(parts)
        before = _length(content.style.get("marginLeft"), size)
        width = before + row.width + _length(content.style.get("marginRight"), size)
        y = _length(content.style.get("top"), size) + strut
        laid.append((_Laid(width, _moved(row.marks, before, y)), y, aligned))
    widest = max((row.width for row, _, _ in laid), default=0.0)
    share = {"left": 0.0, "center": 0.5, "right": 1.0}
    marks: list[Mark] = []
    for row, _, aligned in laid:
        # What is wider than its line begins at the line's begin.
        marks += _moved(row.marks, max(0.0, widest - row.width) * share[aligned], 0.0)
    return _Laid(widest, marks)


def _row(laid: list[_Laid]) -> _Laid:
    x, marks = 0.0, []
    for item in laid:
        marks += _moved(item.marks, x, 0.0)
        x += item.width
    return _Laid(x, marks)


def _moved(marks: list[Mark], x: float, y: float) -> list[Mark]:
    if not (x or y):
        return marks
    return [replace(mark, x=mark.x + x, y=mark.y + y) for mark in marks]


def _marks(text: str, width: float, size: float) -> list[Mark]:
    if not text.strip():
        return []
    height = (_ASCENT_EM + _DESCENT_EM) * size
    return [Mark(text.strip(), 0.0, -_ASCENT_EM * size, width, height)]


def _is_bare(box: _Box) -> bool:
    return not box.classes and not box.style


def _length(text: str | None, size: float) -> float:
    """A length of a style; em alone occurs, besides a few pixels and shares."""
    if not text:
        return 0.0
    if text.endswith("em"):
        return float(text[:-2]) * size
    return float(text[:-2]) if text.endswith("px") else 0.0
