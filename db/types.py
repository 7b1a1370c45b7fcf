"""What goes into columns: ids that sort by time, text and JSON that PostgreSQL can hold."""

import json
import os
import time
from collections.abc import Mapping
from datetime import date
from datetime import time as clock_time
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Dialect, Text
from sqlalchemy.types import TypeDecorator

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
SIGN_BIT = 1 << 63


def uuid7() -> UUID:
    """A UUID of version 7 (RFC 9562, 5.7), so that ids sort by the time of their making.

    The 12 bits after the milliseconds hold the fraction of the millisecond (6.2, method 3), so that
    ids made in one process more than 0.25 microseconds apart sort correctly; 62 bits are random.
    """
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    fraction = rest * 4096 // 1_000_000
    random = int.from_bytes(os.urandom(8), "big") >> 2
    return UUID(int=milliseconds << 80 | 7 << 76 | fraction << 64 | 0b10 << 62 | random)


def signed64(number: int) -> int:
    """An unsigned 64-bit hash as the bigint of the same bits."""
    return number - (1 << 64) if number & SIGN_BIT else number


def clean_text(text: str) -> str:
    """`text` with what PostgreSQL cannot store, NUL and lone surrogates, as U+FFFD."""
    return "".join(
        REPLACEMENT if char == "\0" or "\ud800" <= char <= "\udfff" else char for char in text
    )


def _clean(value: Any) -> Any:
    match value:
        case str():
            return value if value.isascii() and "\0" not in value else clean_text(value)
        case Mapping():
            return {_clean(str(key)): _clean(item) for key, item in value.items()}
        case list() | tuple():
            return [_clean(item) for item in value]
        case Decimal() | UUID():
            return str(value)
        case date() | clock_time():
            return value.isoformat()
        case _:
            return value


def dump_json(value: Any) -> str:
    """JSON for a JSONB column: money and ids as strings, dates in ISO 8601, no NUL.

    Raises:
        ValueError: NaN or infinity, which are no JSON.
        TypeError: a value of another kind.
    """
    return json.dumps(_clean(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


class CleanText(TypeDecorator[str]):
    """Text that comes from documents, models and people; see `clean_text`."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Clean on the way in."""
        return None if value is None else clean_text(value)
