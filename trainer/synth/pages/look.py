"""How a page looks: size, typefaces, measures, colours."""

import random
from dataclasses import dataclass

from trainer.synth.dice import chance, weighted

PIXELS_PER_MM = 96 / 25.4
"""CSS pixels, of which 96 are an inch."""

# Paper in millimetres, upright.
SIZES = {
    "a4": (210.0, 297.0),
    "letter": (215.9, 279.4),
    "legal": (215.9, 355.6),
    "a5": (148.0, 210.0),
    "a6": (105.0, 148.0),
    "b5": (176.0, 250.0),
    "magazine": (213.0, 276.0),
}
_SIZES_OF = {
    "report": {"a4": 0.55, "letter": 0.45},
    "paper": {"a4": 0.5, "letter": 0.5},
    "invoice": {"a4": 0.6, "letter": 0.35, "a5": 0.05},
    "form": {"a4": 0.55, "letter": 0.3, "legal": 0.15},
    "magazine": {"magazine": 0.8, "a4": 0.2},
    "medical": {"a4": 0.6, "letter": 0.4},
    "leaflet": {"a6": 1.0},
    "book": {"a5": 0.5, "b5": 0.4, "letter": 0.1},
}
_LANDSCAPE = {"report": 0.12}
# A browser takes the first face that is installed, so the order decides, and none is required.
_SERIF = (
    "Liberation Serif", "DejaVu Serif", "FreeSerif", "Libertinus Serif", "Linux Libertine O",
    "EB Garamond", "Caladea", "PT Serif", "Vollkorn", "C059", "P052", "Nimbus Roman",
)  # fmt: skip
_SANS = (
    "Liberation Sans", "DejaVu Sans", "FreeSans", "Carlito", "Lato", "Open Sans", "Inter",
    "Roboto", "Cabin", "PT Sans", "Nimbus Sans", "Liberation Sans Narrow", "DejaVu Sans Condensed",
)  # fmt: skip
_MONO = ("Liberation Mono", "DejaVu Sans Mono", "FreeMono", "Hack", "Noto Sans Mono")
_ACCENTS = ("#1f3a5f", "#7a1f2b", "#245c3f", "#5b3a80", "#8a5a12", "#222222", "#0b6e75", "#444444")
_PAPERS = ("#ffffff", "#ffffff", "#ffffff", "#fdfbf4", "#f8f5ea", "#fafafa")


@dataclass(frozen=True, slots=True)
class Look:
    """Measures in CSS pixels, or in the unit that is named.

    Attributes:
        width: of the sheet.
        height: of the sheet.
        size: of the text's type.
        leading: line height in type sizes.
        side: margin left and right.
        above: margin at the head.
        below: margin at the foot.
        gap: between columns.
        indent: of a paragraph's first line, in type sizes.
        space: between paragraphs, in type sizes.
        align: justify or left.
        text_face: CSS list of families.
        head_face: CSS list of families.
        accent: colour of headings.
        paper: colour of the sheet.
        ink: colour of the text.
        css: further classes of the page.
    """

    width: int
    height: int
    size: float
    leading: float
    side: int
    above: int
    below: int
    gap: int
    indent: float
    space: float
    align: str
    text_face: str
    head_face: str
    accent: str
    paper: str
    ink: str
    css: str


def draw_look(rng: random.Random, style: str) -> Look:
    """One look for a style."""
    width, height = SIZES[weighted(rng, _SIZES_OF[style])]
    if chance(rng, _LANDSCAPE.get(style, 0.0)):
        width, height = height, width
    dense = {"paper": 0.92, "magazine": 0.95, "book": 1.08}.get(style, 1.0)
    serif = {"paper": 0.9, "book": 0.95, "magazine": 0.6, "report": 0.4}.get(style, 0.15)
    text = _faces(rng, "serif" if chance(rng, serif) else "sans")
    if style in {"invoice", "medical"} and chance(rng, 0.1):
        text = _faces(rng, "mono")
    indented = chance(rng, {"book": 0.95, "paper": 0.7}.get(style, 0.25))
    narrow = min(1.0, width / SIZES["a5"][0])
    classes = [name for name in ("ruled", "lines", "banner", "underlined") if chance(rng, 0.35)]
    return Look(
        width=round(width * PIXELS_PER_MM),
        height=round(height * PIXELS_PER_MM),
        size=round(rng.uniform(11.6, 15.2) * dense, 1),
        leading=round(rng.uniform(1.22, 1.55), 2),
        side=round(rng.randint(42, 92) * narrow),
        above=round(rng.randint(36, 76) * narrow),
        below=round(rng.randint(34, 70) * narrow),
        gap=rng.randint(18, 34),
        indent=1.4 if indented else 0.0,
        space=0.0 if indented else round(rng.uniform(0.5, 1.0), 2),
        align="justify" if chance(rng, 0.55) else "left",
        text_face=text,
        head_face=_faces(rng, "sans") if chance(rng, 0.5) else text,
        accent=rng.choice(_ACCENTS),
        paper=rng.choice(_PAPERS),
        ink=rng.choice(("#000000", "#111111", "#222222", "#2b2b33")),
        css=" ".join(classes),
    )


def _faces(rng: random.Random, family: str) -> str:
    names = {"serif": _SERIF, "sans": _SANS, "mono": _MONO}[family]
    generic = {"serif": "serif", "sans": "sans-serif", "mono": "monospace"}[family]
    shuffled = rng.sample(names, len(names))
    return ", ".join([*(f'"{name}"' for name in shuffled), generic])
