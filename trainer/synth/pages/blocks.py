"""What a page is made of; `templates/blocks.html` has a macro for each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from markupsafe import Markup

Text = str | Markup


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of level 1 to 4."""

    kind: ClassVar[str] = "heading"
    text: Text
    level: int = 2
    css: str = ""


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph; one without markup may be cut where the page ends."""

    kind: ClassVar[str] = "paragraph"
    text: Text
    css: str = ""


@dataclass(frozen=True, slots=True)
class Items:
    """A list; with numbers from `first` where it is ordered."""

    kind: ClassVar[str] = "items"
    rows: Sequence[Text]
    ordered: bool = False
    first: int = 1


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table that covers `across` columns and `down` rows."""

    text: Text
    head: bool = False
    across: int = 1
    down: int = 1
    css: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells as HTML counts them, with a caption above where there is one."""

    kind: ClassVar[str] = "table"
    rows: Sequence[Sequence[Cell]]
    caption: Text = ""
    css: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing, what it shows in words, and the caption that is printed below it."""

    kind: ClassVar[str] = "figure"
    svg: Markup
    alt: str
    caption: Text = ""


@dataclass(frozen=True, slots=True)
class Formula:
    """A displayed formula with its number where it has one."""

    kind: ClassVar[str] = "formula"
    tex: str
    number: str = ""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Labels with values: one under the other, in two columns, or boxed as on a form."""

    kind: ClassVar[str] = "pairs"
    rows: Sequence[tuple[str, Text]]
    css: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """A question with boxes to tick; `ticked` is the index of the answer."""

    kind: ClassVar[str] = "choice"
    question: str
    answers: Sequence[str]
    ticked: int | None


@dataclass(frozen=True, slots=True)
class Quote:
    """A passage set apart."""

    kind: ClassVar[str] = "quote"
    text: Text


@dataclass(frozen=True, slots=True)
class Aside:
    """A box beside the text with a title and a few paragraphs."""

    kind: ClassVar[str] = "aside"
    title: str
    paragraphs: Sequence[Text]


Block = Heading | Paragraph | Items | Table | Figure | Formula | Pairs | Choice | Quote | Aside


@dataclass(frozen=True, slots=True)
class Note:
    """A footnote; it stays on the page while its mark does."""

    mark: str
    text: Text


@dataclass(frozen=True, slots=True)
class Layout:
    """The parts of a page from top to bottom.

    Attributes:
        flow: fills the columns; what does not fit is cut off.
        top: over the full width above the columns.
        bottom: over the full width below them.
        notes: footnotes.
        header: running header, left, middle and right.
        footer: running footer, left, middle and right.
        columns: how many.
        css: classes of the page.
        states_graph: whether every name on the page is marked as an entity.
    """

    flow: Sequence[Block]
    top: Sequence[Block] = ()
    bottom: Sequence[Block] = ()
    notes: Sequence[Note] = ()
    header: tuple[str, str, str] = ("", "", "")
    footer: tuple[str, str, str] = ("", "", "")
    columns: int = 1
    css: str = ""
    states_graph: bool = False


def inline_math(tex: str) -> Markup:
    """A formula within a line."""
    return Markup('<span class="math">{}</span>').format(tex)


def note_mark(mark: str) -> Markup:
    """The mark of a footnote, `Note.mark`, in the text."""
    return Markup('<sup class="mark" data-note="{}">{}</sup>').format(mark, mark)
