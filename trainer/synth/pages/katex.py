"""KaTeX for a page: the script and style that the unit tests ship, and here its typefaces."""

import base64
import re
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath

_CODE = "extraction.unit_tests"
_SOURCES = re.compile(r"src:url\((?P<woff2>[^)]+\.woff2)\)[^}]*")


@cache
def katex_script() -> str:
    """JavaScript that defines `katex`."""
    return files(_CODE).joinpath("katex", "katex.min.js").read_text(encoding="utf-8")


@cache
def katex_css() -> str:
    """The style sheet with its typefaces inside, so that a page without a network has them."""
    css = files(_CODE).joinpath("katex", "katex.min.css").read_text(encoding="utf-8")
    return _SOURCES.sub(lambda found: f"src:{_face(found['woff2'])}", css)


def _face(path: str) -> str:
    folder = files("trainer.synth.pages").joinpath("katex_fonts")
    content = folder.joinpath(PurePosixPath(path).name).read_bytes()
    return f"url(data:font/woff2;base64,{base64.b64encode(content).decode()}) format('woff2')"
