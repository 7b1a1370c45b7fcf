"""What a generator hands over: a page, its true lines and the true answer."""

from dataclasses import dataclass
from typing import Any

from PIL import Image

from extraction.lines import Box, Line

_PADDING_PIXELS = 2


@dataclass(frozen=True)
class SyntheticDocument:
    """One generated page with its truth.

    Attributes:
        document_type: "receipt" or "passport".
        image: the page, RGB, upright.
        lines: the text on the page in reading order, boxes as ratios of the page, score 1.0.
        record: the answer as printed, nested, with the keys of the document type. A field that is
            not printed has no key.
    """

    document_type: str
    image: Image.Image
    lines: list[Line]
    record: dict[str, Any]


def true_line(text: str, ink: tuple[float, float, float, float], width: int, height: int) -> Line:
    """The line of a text whose ink covers (left, top, right, bottom) pixels of a page of this size.

    The box is two pixels wider on each side, as a detector's is.
    """
    left, top, right, bottom = ink
    box = Box(
        left=max(0.0, (left - _PADDING_PIXELS) / width),
        top=max(0.0, (top - _PADDING_PIXELS) / height),
        right=min(1.0, (right + _PADDING_PIXELS) / width),
        bottom=min(1.0, (bottom + _PADDING_PIXELS) / height),
    )
    return Line(text=text.strip(), box=box, score=1.0, page=0)
