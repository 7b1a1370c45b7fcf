"""Typefaces of this machine, by family; DejaVu from matplotlib where nothing else is installed.

Variety comes from the Debian packages fonts-liberation, fonts-freefont-ttf, fonts-hack,
fonts-noto-mono, fonts-dejavu and, for the machine-readable zone, fonts-ocr-b. None is required.
Which of them exist changes the pictures, so the same seed gives the same bytes only among machines
with the same fonts.
"""

import random
from functools import cache
from pathlib import Path

import matplotlib as mpl
from PIL import ImageFont

_FOLDERS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "/Library/Fonts",
    "~/.fonts",
    "~/.local/share/fonts",
)
_MONO = ("LiberationMono", "DejaVuSansMono", "FreeMono", "Hack", "NotoSansMono", "NotoMono")
_SANS = ("LiberationSans", "LiberationSansNarrow", "DejaVuSans", "DejaVuSansCondensed", "FreeSans")
_SERIF = ("LiberationSerif", "DejaVuSerif", "FreeSerif")
_OCR_B = ("OCRB", "OCRBS")
_FAMILIES = {"mono": _MONO, "sans": _SANS, "serif": _SERIF}
_REGULAR = ("-Regular", "")
_BOLD = ("-Bold", "Bold")


@cache
def _installed() -> dict[str, str]:
    """Font file stem -> path; matplotlib's own copy of DejaVu is always there."""
    found: dict[str, str] = {}
    folders = [
        Path(mpl.get_data_path()) / "fonts" / "ttf",
        *(Path(f).expanduser() for f in _FOLDERS),
    ]
    for folder in folders:
        for path in sorted(folder.rglob("*.[to]tf")):
            found.setdefault(path.stem, str(path))
    return found


@cache
def _faces(family: str) -> tuple[tuple[str, str], ...]:
    """(regular, bold) paths of every face of a family that this machine has both weights of."""
    installed = _installed()
    faces = []
    for name in _FAMILIES[family]:
        regular = next((installed[name + s] for s in _REGULAR if name + s in installed), None)
        bold = next((installed[name + s] for s in _BOLD if name + s in installed), regular)
        if regular and bold:
            faces.append((regular, bold))
    return tuple(faces)


def choose_face(rng: random.Random, family: str) -> tuple[str, str]:
    """(regular, bold) paths of one face of `family`: "mono", "sans" or "serif"."""
    return rng.choice(_faces(family))


def ocr_b(rng: random.Random) -> str:
    """Path of an OCR-B face for the machine-readable zone; a monospaced one where there is none."""
    installed = _installed()
    faces = [installed[name] for name in _OCR_B if name in installed]
    return rng.choice(faces) if faces else choose_face(rng, "mono")[0]


@cache
def font(path: str, size_pixels: int) -> ImageFont.FreeTypeFont:
    """The loaded face at a size in pixels."""
    return ImageFont.truetype(path, size_pixels)
