"""The form in which texts are compared: without emphasis, one kind of space, quote and hyphen."""

import re
import unicodedata

_LINE_BREAK = re.compile(r"<br/?>")
_BOLD_STARS = re.compile(r"\*\*(.*?)\*\*")
_BOLD_DASHES = re.compile(r"__(.*?)__")
_EMPHASIS_TAG = re.compile(r"</?[bi]>")
_ITALICS = re.compile(r"(\*|_)(.*?)\1")
_SPACE = re.compile(r"\s+")

# Typographic characters that a page may have in place of the plain one, and the micro sign, which
# looks like the Greek letter.
_PLAIN = str.maketrans(
    {
        "\u2018": "'",
        "\u2019": "'",
        "\u201a": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u201e": '"',
        "\uff3f": "_",
        "\u2013": "-",
        "\u2014": "-",
        "\u2011": "-",
        "\u2012": "-",
        "\u2212": "-",
        "\u00b5": "\u03bc",
    }
)


def normalise(text: str) -> str:
    """The text without bold and italics, with single spaces, in NFC, with plain quotes and hyphens.

    Emphasis ends on the line on which it begins, so that the bullets of a list are none. Only
    `<br>` and `<br/>` are breaks; other tags stay.
    """
    text = _LINE_BREAK.sub(" ", text)
    text = _BOLD_STARS.sub(r"\1", text)
    text = _BOLD_DASHES.sub(r"\1", text)
    text = _EMPHASIS_TAG.sub("", text)
    text = _ITALICS.sub(r"\2", text)
    text = _SPACE.sub(" ", text)
    return unicodedata.normalize("NFC", text).translate(_PLAIN)
