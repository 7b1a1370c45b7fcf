"""Read fields written by hand."""

from collections.abc import Mapping
from typing import Any

from extraction.evidence import ReadField, Source


def as_read(values: Mapping[str, Any]) -> dict[str, ReadField]:
    """Each value as the model would have read it, by path."""
    return {
        path: ReadField(path, value, str(value), 0.5, None, Source.MODEL)
        for path, value in values.items()
    }
