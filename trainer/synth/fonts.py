"""Typefaces of this machine, by family; DejaVu from matplotlib where nothing else is installed.

Variety comes from these Debian packages, of which none is required: fonts-anonymous-pro,
fonts-b612, fonts-cabin, fonts-cantarell, fonts-cmu, fonts-comic-neue, fonts-courier-prime,
fonts-crosextra-caladea, fonts-crosextra-carlito, fonts-dancingscript, fonts-dejavu,
fonts-ebgaramond, fonts-fantasque-sans, fonts-firacode, fonts-freefont-ttf, fonts-go, fonts-hack,
fonts-hermit, fonts-inconsolata, fonts-inter, fonts-jetbrains-mono, fonts-jura, fonts-lato,
fonts-liberation, fonts-linuxlibertine, fonts-mononoki, fonts-noto-mono, fonts-ocr-b (the
machine-readable zone), fonts-open-sans, fonts-paratype, fonts-play, fonts-quicksand,
fonts-roboto-unhinted, fonts-sil-gentium-basic, fonts-urw-base35, fonts-vollkorn.

Which of them exist changes the pictures, so the same seed gives the same bytes only among machines
with the same fonts. `python -m trainer.synth.fonts` prints the files in use, one a line: copied to
~/.fonts of another machine they give it the same faces.
"""

import random
from functools import cache
from pathlib import Path

import matplotlib as mpl
from matplotlib.ft2font import FT2Font
from PIL import ImageFont

_FOLDERS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "/Library/Fonts",
    "~/.fonts",
    "~/.local/share/fonts",
)
# File name without its weight. A name with a bar is the regular face's stem and the bold one's.
_MONO = (
    *("LiberationMono", "DejaVuSansMono", "FreeMono", "Hack", "NotoSansMono", "NotoMono"),
    *("Anonymous Pro", "B612Mono", "Courier Prime", "Courier Prime Code", "FantasqueSansMono"),
    *("FiraCode", "Go-Mono", "Hermit-medium|Hermit-bold", "Inconsolata", "JetBrainsMono"),
    *("mononoki", "NimbusMonoPS", "PTM55F|PTM75F", "cmuntt|cmuntb"),
)
_SANS = (
    *("LiberationSans", "LiberationSansNarrow", "DejaVuSans", "DejaVuSansCondensed", "FreeSans"),
    *("B612", "Cabin", "Cantarell", "Carlito", "Go", "Inter", "Jura-Medium|Jura-Bold", "Lato"),
    *("LinBiolinum_R|LinBiolinum_RB", "NimbusSans", "NimbusSansNarrow", "OpenSans", "Play"),
    *("PTS55F|PTS75F", "PTN57F|PTN77F", "Quicksand-Medium|Quicksand-Bold", "Roboto"),
    *("RobotoCondensed", "URWGothic-Book|URWGothic-Demi", "cmunss|cmunsx"),
)
_SERIF = (
    *("LiberationSerif", "DejaVuSerif", "FreeSerif", "C059-Roman|C059-Bold", "Caladea"),
    *("EBGaramond12", "GenBasR|GenBasB", "GenBkBasR|GenBkBasB", "LinLibertine_R|LinLibertine_RB"),
    *("NimbusRoman", "P052-Roman|P052-Bold", "PTF55F|PTF75F", "URWBookman-Light|URWBookman-Demi"),
    *("Vollkorn", "cmunrm|cmunbx"),
)
_ITALIC = (
    *("LiberationSerif-Italic|LiberationSerif-BoldItalic", "DejaVuSans-Oblique", "Lato-Italic"),
    *("LiberationSans-Italic|LiberationSans-BoldItalic", "OpenSans-Italic|OpenSans-BoldItalic"),
    *("Carlito-Italic|Carlito-BoldItalic", "P052-Italic|P052-BoldItalic", "cmunti|cmunbi"),
    *("EBGaramond12-Italic", "NimbusRoman-Italic|NimbusRoman-BoldItalic", "Vollkorn-Italic"),
)
_HAND = ("ComicNeue", "DancingScript", "Z003-MediumItalic", "LinLibertine_RI")
_OCR_B = ("OCRB", "OCRBS")
_FAMILIES = {"mono": _MONO, "sans": _SANS, "serif": _SERIF, "italic": _ITALIC, "hand": _HAND}
_REGULAR = ("-Regular", "")
_BOLD = ("-Bold", "Bold", " Bold")
# Without these a face cannot write a receipt; accents may be left off.
_NEEDED = (
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!\"#$%&'()*+,-./:;<=>?@[]_£€éüñÅ"
)
# What the names, places and labels of the generated documents hold besides.
_EUROPEAN = (
    "¥°ºÀÁÂÃÄÅÆÇÈÉÊËÍÏÑÒÓÔÕÖØÚÛÜÝßàáâãäåæçèéêëìíîïñòóôõöøùúûüýĀāĂăĄąĆćČčĎďĐđĒēĖėĘęĚěĞğĢģ"
    "ĪīİıĶķĻļĽľŁłŃńŅņŇňŐőŘřŚśŞşŠšŤťŪūŮůŰűŹźŻżŽžȘșȚț"
)
_NEEDED_IN_ZONE = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789<"


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
def characters(path: str) -> frozenset[str]:
    """The characters that the face maps to a glyph."""
    return frozenset(map(chr, FT2Font(path).get_charmap()))


@cache
def _faces(family: str, needed: str) -> tuple[tuple[str, str], ...]:
    """(regular, bold) paths of a family's installed faces that have all `needed` characters.

    The regular face stands for a bold one that is not installed.
    """
    installed = _installed()
    faces = []
    for name in _FAMILIES[family]:
        stem, _, heavy = name.partition("|")
        regular = next((installed[stem + s] for s in _REGULAR if stem + s in installed), None)
        names = (heavy,) if heavy else tuple(stem + s for s in _BOLD)
        bold = next((installed[n] for n in names if n in installed), regular)
        if regular and bold and characters(regular) & characters(bold) >= set(needed):
            faces.append((regular, bold))
    return tuple(faces)


def choose_face(rng: random.Random, family: str, *, all_accents: bool = True) -> tuple[str, str]:
    """(regular, bold) paths of one face of `family`.

    Args:
        rng: the only source of randomness.
        family: "mono", "sans", "serif", "italic" or "hand"; the last two are sans where no such
            face is installed.
        all_accents: only faces with the letters of every European language that has Latin script.
    """
    needed = _NEEDED + _EUROPEAN if all_accents else _NEEDED
    return rng.choice(_faces(family, needed) or _faces("sans", needed))


def ocr_b(rng: random.Random) -> str:
    """Path of an OCR-B face for the machine-readable zone; a monospaced one where there is none."""
    installed = _installed()
    faces = [installed[name] for name in _OCR_B if name in installed]
    faces = [path for path in faces if characters(path) >= set(_NEEDED_IN_ZONE)]
    return rng.choice(faces) if faces else choose_face(rng, "mono")[0]


@cache
def font(path: str, size_pixels: int) -> ImageFont.FreeTypeFont:
    """The loaded face at a size in pixels."""
    return ImageFont.truetype(path, size_pixels)


def files() -> list[str]:
    """Every font file that the generators may draw with, sorted."""
    faces = {path for family in _FAMILIES for pair in _faces(family, _NEEDED) for path in pair}
    installed = _installed()
    return sorted(faces | {installed[name] for name in _OCR_B if name in installed})


if __name__ == "__main__":
    print("\n".join(files()))
