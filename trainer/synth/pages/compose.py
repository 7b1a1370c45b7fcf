"""A seed -> the HTML of one page, whole and before anything is cut."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from trainer.synth.dice import weighted
from trainer.synth.pages.blocks import Layout
from trainer.synth.pages.look import Look, draw_look
from trainer.synth.pages.styles_forms import form, invoice, medical
from trainer.synth.pages.styles_text import book, leaflet, magazine, paper, report
from trainer.synth.pages.words_of import codes
from trainer.synth.pages.writer import Writer

if TYPE_CHECKING:
    from jinja2 import Environment

STYLES: Mapping[str, Callable[[Writer, Look], Layout]] = MappingProxyType(
    {
        "report": report,
        "paper": paper,
        "invoice": invoice,
        "form": form,
        "magazine": magazine,
        "medical": medical,
        "book": book,
        "leaflet": leaflet,
    }
)
_SHARES = {
    "report": 0.24,
    "paper": 0.22,
    "magazine": 0.16,
    "book": 0.14,
    "invoice": 0.09,
    "form": 0.07,
    "medical": 0.08,
    "leaflet": 0.1,
}
_ASKED_FOR = frozenset({"leaflet"})  # not drawn unless they are named
_ENGLISH_SHARE = 0.4


@dataclass(frozen=True, slots=True)
class PageSource:
    """One page before it is laid out.

    Attributes:
        key: makes it again, see `compose`.
        html: a whole document of one sheet.
        style: a key of `STYLES`.
        language: ISO 639-1.
        columns: of the running text.
        width: of the sheet in CSS pixels.
        height: of the sheet in CSS pixels.
        states_graph: whether every name on the page is marked as an entity.
    """

    key: str
    html: str
    style: str
    language: str
    columns: int
    width: int
    height: int
    states_graph: bool


def compose(
    key: str, *, styles: tuple[str, ...] = (), languages: tuple[str, ...] = ()
) -> PageSource:
    """The page of a key: the same for the same key, styles and languages.

    Args:
        key: seed, position and attempt, as "7/12/0".
        styles: to draw from; all but leaflets where there are none.
        languages: to draw from; all where there are none, and English for four in ten.
    """
    rng = random.Random(f"page/{key}")
    drawn = styles or tuple(name for name in STYLES if name not in _ASKED_FOR)
    style = weighted(rng, {name: _SHARES[name] for name in drawn})
    language = rng.choice(languages or codes())
    if not languages and rng.random() < _ENGLISH_SHARE:
        language = "en"
    writer = Writer(rng, language)
    look = draw_look(rng, style)
    layout = STYLES[style](writer, look)
    html = (
        _templates()
        .get_template(f"{style}.html")
        .render(
            layout=layout,
            look=look,
            style=style,
            language=language,
            width=look.width,
            height=look.height,
        )
    )
    return PageSource(
        key=key,
        html=html,
        style=style,
        language=language,
        columns=layout.columns,
        width=look.width,
        height=look.height,
        states_graph=layout.states_graph,
    )


@cache
def _templates() -> "Environment":
    from jinja2 import Environment, PackageLoader

    return Environment(
        loader=PackageLoader("trainer.synth.pages", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
