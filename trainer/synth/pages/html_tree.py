"""HTML as a browser serialises it -> a tree of elements and texts."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = frozenset(
    "area base br col embed hr img input link meta source track wbr".split()  # noqa: SIM905 a list
)


@dataclass(slots=True)
class Element:
    """One element.

    Attributes:
        tag: in small letters.
        attributes: names to values; a name without a value has "".
        children: elements and texts in order.
    """

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list["Element | str"] = field(default_factory=list)

    @property
    def classes(self) -> frozenset[str]:
        """The element's classes."""
        return frozenset(self.attributes.get("class", "").split())

    def text(self) -> str:
        """All text below it, as it stands in the source."""
        return "".join(child if isinstance(child, str) else child.text() for child in self.children)

    def elements(self) -> Iterator["Element"]:
        """All elements below it, in document order."""
        for child in self.children:
            if isinstance(child, Element):
                yield child
                yield from child.elements()


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("body")
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        for depth in range(len(self._open) - 1, 0, -1):
            if self._open[depth].tag == tag:
                del self._open[depth:]
                break

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)


def parse_html(html: str) -> Element:
    """The tree below a body.

    Args:
        html: what `innerHTML` of a browser gives: every element is closed and nested rightly.
    """
    builder = _Builder()
    builder.feed(html)
    builder.close()
    return builder.root
