"""What a recogniser of many scripts reads wrongly on a page of one: mended before anyone reads it.

    lines -> look-alikes of other scripts -> full-width signs -> zeros within words -> stray accents

PP-OCR knows some 18,000 characters. On a Latin page a P comes out as the Greek capital rho, a colon
as its full-width twin, an O as a zero, an A with an accent that nobody printed. Each is mended only
where the word or the page around it says so; lines of other scripts stay as they are.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

# Greek and Cyrillic letters that look like Latin ones, capitals and small, pair by pair.
_PAIRS = (
    "ΑA ΒB ΕE ΖZ ΗH ΙI ΚK ΜM ΝN ΟO ΡP ΤT ΥY ΧX οo νv ρp υu ιi αa κk χx "  # noqa: RUF001
    "АA ВB ЕE КK МM НH ОO РP СC ТT УY ХX ІI ЅS ЈJ аa еe оo рp сc уy хx іi ѕs јj"  # noqa: RUF001
)
LOOKALIKES = {pair[0]: pair[1] for pair in _PAIRS.split()}
_TO_LATIN = str.maketrans(LOOKALIKES)
_WORD = re.compile(r"[^\W_]+")
_LATIN_LETTER = re.compile(r"[A-Za-z]")
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_IDEOGRAPH = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
# "S0ON", "H00K", and Oct; "G30", "RM0.20" and "P0S022" are none.
_ZERO_IN_WORD = re.compile(
    r"(?<![^\W_])[^\W\d_]+0{1,2}[^\W\d_]+(?![^\W_])|(?<!\S)0ct\b", re.IGNORECASE
)
_FILLERS = frozenset("<«‹〈《＜く")  # noqa: RUF001
# Words of a till in English; three of them make the page an English one, where accents are rare.
_ENGLISH = frozenset(
    {"cash", "change", "tax", "invoice", "gst", "receipt", "amount", "price", "qty", "total"}
    | {"rounding", "item", "thank", "cashier"}
)
_LEAST_ENGLISH, _MOST_STRAYS = 3, 2


class _Line(Protocol):
    """What has a text; `extraction.lines.Line`, which imports this."""

    @property
    def text(self) -> str: ...


L = TypeVar("L", bound=_Line)


def mended(lines: Sequence[L]) -> list[L]:
    """The lines of one page with what was surely misread put right; order and places stay.

    A line with a filler of a machine-readable zone has its own repairs, and keeps everything but
    the look-alikes.
    """
    texts = [_mended(line.text) for line in lines]
    if _has_stray_accents(texts):
        texts = [_without_accents(text) for text in texts]
    return [
        line if text == line.text else replace(line, text=text)  # type: ignore[type-var]
        for line, text in zip(lines, texts, strict=True)
    ]


def _mended(text: str) -> str:
    if text.isascii() and "0" not in text:
        return text
    text = _WORD.sub(_in_latin, text)
    if _FILLERS & set(text):
        return text
    if not _IDEOGRAPH.search(text):
        text = text.translate(_FULL_WIDTH)
    return _ZERO_IN_WORD.sub(_with_letters, text)


def _in_latin(match: re.Match[str]) -> str:
    """A word with Latin letters in it has no others; one with a letter of its own stays Greek."""
    word = match[0]
    if word.isascii() or not _LATIN_LETTER.search(word):
        return word
    own = (c for c in word if not c.isascii() and c.isalpha() and c not in LOOKALIKES)
    if not all(unicodedata.name(character, "").startswith("LATIN") for character in own):
        return word
    return word.translate(_TO_LATIN)


def _with_letters(match: re.Match[str]) -> str:
    word = match[0]
    if not _LATIN_LETTER.search(word):
        return word
    if word[0] == "0":
        return f"O{word[1:]}"
    small = sum(character.islower() for character in word) * 2 > len(word)
    return word.replace("0", "o" if small else "O")


def _has_stray_accents(texts: Sequence[str]) -> bool:
    marked = sum(map(_is_marked, "".join(texts)))
    if not 0 < marked <= _MOST_STRAYS:
        return False
    words = {word for text in texts for word in _WORD.findall(text.casefold())}
    return len(words & _ENGLISH) >= _LEAST_ENGLISH


def _is_marked(character: str) -> bool:
    if character.isascii() or not character.isalpha():
        return False
    parts = unicodedata.normalize("NFD", character)
    return len(parts) > 1 and parts[0].isascii()


def _without_accents(text: str) -> str:
    return "".join(
        unicodedata.normalize("NFD", character)[0] if _is_marked(character) else character
        for character in text
    )
