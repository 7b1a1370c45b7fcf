"""A fast imitation of what OCR makes of true lines, for where a real reading costs too much time.

The kinds of error and their shares follow RapidOCR (PP-OCRv6) on these pages: neighbours of one row
run together, spaces beside punctuation vanish, accents are lost, O and 0 are confused.
"""

import random
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace

from extraction.lines import Box, Line, rows
from trainer.synth.dice import chance, weighted

# What may be read for a character.
_CONFUSED = {
    "O": "0Q",
    "0": "OD",
    "I": "1l",
    "1": "Il",
    "l": "1I",
    "S": "5",
    "5": "S",
    "B": "8",
    "8": "B3",
    "Z": "2",
    "2": "Z",
    "G": "6C",
    "6": "G",
    "D": "O",
    "M": "N",
    "N": "M",
    "U": "V",
    "V": "U",
    "E": "F",
    "C": "G",
    "e": "c",
    "n": "m",
    "a": "o",
    "7": "1",
    "9": "g",
    ",": ".",
    ".": ",",
    ":": ".;",
    "<": "K",
}
_SPLIT_LENGTH = 12
# Of the page's height: smaller print is missed more often.
_SMALL_RATIO = 0.011
_NEAR_RATIO = 0.06


def misread(lines: Sequence[Line], rng: random.Random, rate: float) -> list[Line]:
    """The lines as an OCR might read them.

    Args:
        lines: true lines in reading order.
        rng: the only source of randomness.
        rate: about the share of lines that come out wrong, 0 to 1; 0.1 is a clean scan, 0.3 a bad
            one.

    Returns:
        New lines with plausible scores in reading order; fewer than before where lines were missed
        or joined, more where one was split. Never empty unless `lines` is.
    """
    read: list[Line] = []
    for row in rows(lines):
        for line in _joined(row, rng, rate):
            small = line.box.height < _SMALL_RATIO
            if chance(rng, rate * (0.08 if small else 0.025)):
                continue
            read.extend(_split(line, rng) if chance(rng, rate * 0.05) else (line,))
    read = [_misread_line(line, rng, rate) for line in read]
    return [line for line in read if line.text] or list(lines)


def _joined(row: Sequence[Line], rng: random.Random, rate: float) -> list[Line]:
    """Neighbours that stand close run into one line."""
    merged: list[Line] = []
    for line in row:
        near = bool(merged) and line.box.left - merged[-1].box.right < _NEAR_RATIO
        if near and chance(rng, rate * 0.9):
            joint = rng.choice((" ", " ", " ", ""))
            merged[-1] = replace(
                merged[-1],
                text=merged[-1].text + joint + line.text,
                box=merged[-1].box.union(line.box),
            )
        else:
            merged.append(line)
    return merged


def _split(line: Line, rng: random.Random) -> tuple[Line, ...]:
    """One line seen as two, cut at a space."""
    spaces = [index for index, sign in enumerate(line.text) if sign == " "]
    if len(line.text) < _SPLIT_LENGTH or not spaces:
        return (line,)
    cut, box = rng.choice(spaces), line.box
    middle = box.left + (box.right - box.left) * cut / len(line.text)
    left = replace(line, text=line.text[:cut], box=Box(box.left, box.top, middle, box.bottom))
    right = replace(
        line, text=line.text[cut + 1 :], box=Box(middle, box.top, box.right, box.bottom)
    )
    return (left, right)


def _misread_line(line: Line, rng: random.Random, rate: float) -> Line:
    if not chance(rng, rate):
        return replace(line, score=round(rng.uniform(0.95, 1.0), 3))
    text = line.text
    for _ in range(rng.choice((1, 1, 1, 2))):
        text = weighted(rng, _KINDS)(text, rng)
    return replace(
        line, text=" ".join(text.split()), score=round(rng.triangular(0.6, 0.99, 0.95), 3)
    )


def _tighten(text: str, rng: random.Random) -> str:
    """A space is not seen, first beside punctuation."""
    spaces = [index for index, sign in enumerate(text) if sign == " "]
    beside = [
        index
        for index in spaces
        if not (text[index - 1 : index] + text[index + 1 : index + 2]).isalnum()
    ]
    choices = beside or spaces
    if not choices:
        return text
    cut = rng.choice(choices)
    return text[:cut] + text[cut + 1 :]


def _confuse(text: str, rng: random.Random) -> str:
    """One character for another of similar shape; in a word of letters mostly O and I suffer."""
    places = [index for index, sign in enumerate(text) if sign in _CONFUSED]
    if not places:
        return text
    place = rng.choice(places)
    return text[:place] + rng.choice(_CONFUSED[text[place]]) + text[place + 1 :]


def _drop_accents(text: str, rng: random.Random) -> str:
    """Accents lost; where there are none, a misread character."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return unicodedata.normalize("NFC", plain) if plain != text else _confuse(text, rng)


def _drop(text: str, rng: random.Random) -> str:
    """A character missing, mostly at an end."""
    place = rng.choice((0, len(text) - 1, rng.randrange(len(text)))) if text else 0
    return text[:place] + text[place + 1 :]


def _flip_case(text: str, rng: random.Random) -> str:
    place = rng.randrange(len(text)) if text else 0
    return text[:place] + text[place : place + 1].swapcase() + text[place + 1 :]


def _double(text: str, rng: random.Random) -> str:
    place = rng.randrange(len(text)) if text else 0
    return text[:place] + text[place : place + 1] + text[place:]


_KINDS: dict[Callable[[str, random.Random], str], float] = {
    _tighten: 4.0,
    _confuse: 3.0,
    _drop_accents: 1.5,
    _drop: 0.6,
    _flip_case: 0.3,
    _double: 0.2,
}
