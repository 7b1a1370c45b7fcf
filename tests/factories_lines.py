"""Lines and completions written by hand."""

from collections.abc import Sequence

from extraction.engine import Completion, Token
from extraction.lines import Box, Line

# Doc 9303's specimen.
UPPER = "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<"
LOWER = "L898902C36UTO7408122F1204159ZE184226B<<<<<10"


def page_of(
    *rows: str | Sequence[str], page: int = 0, score: float = 0.9, top: float = 0.02
) -> list[Line]:
    """Rows of a page from top to bottom; a row of several texts is spread from left to right."""
    lines: list[Line] = []
    for number, row in enumerate(rows):
        texts = [row] if isinstance(row, str) else list(row)
        width = 0.9 / len(texts)
        for column, text in enumerate(texts):
            left, upper = 0.05 + column * width, top + number * 0.03
            box = Box(left, upper, left + width - 0.02, upper + 0.02)
            lines.append(Line(text, box, score, page))
    return lines


def completion(text: str, finish_reason: str = "stop", logprob: float = -0.01) -> Completion:
    """An answer of one token a character, and the one that ends it."""
    tokens = (*(Token(letter, logprob) for letter in text), Token("", logprob))
    return Completion(text, tokens, finish_reason, "fake-1", 7, len(tokens), 0.01)
