"""Opaque cursors of keyset pages: where the page before ended."""

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, Protocol, TypeVar
from uuid import UUID

from fastapi import Query

from api.errors import InvalidRequest

_MARK = b"\x01"
_BYTES = 16
MOST_ROWS = 200

Cursor = Annotated[
    str | None,
    Query(max_length=64, description="`next_cursor` of the page before; none: the first page."),
]
Limit = Annotated[int, Query(ge=1, le=MOST_ROWS, description="Most entries of the page.")]


class _Row(Protocol):
    @property
    def id(self) -> UUID: ...


R = TypeVar("R", bound=_Row)


def read_cursor(cursor: str | None) -> UUID | None:
    """The last id of the page before.

    Raises:
        InvalidRequest: it is none of ours.
    """
    if cursor is None:
        return None
    try:
        content = base64.b64decode(cursor.encode("ascii") + b"==", altchars=b"-_", validate=False)
    except (binascii.Error, ValueError):
        content = b""
    if len(content) != 1 + _BYTES or content[:1] != _MARK:
        raise InvalidRequest({"cursor": "send next_cursor of the page before, unchanged"})
    return UUID(bytes=content[1:])


def cut_page(rows: Sequence[R], limit: int) -> tuple[Sequence[R], str | None]:
    """The rows of one page, and the cursor of the next one.

    Args:
        rows: one more than fits, where there are more.
        limit: most rows of the page.
    """
    if len(rows) <= limit:
        return rows, None
    kept = rows[:limit]
    text = base64.urlsafe_b64encode(_MARK + kept[-1].id.bytes).decode("ascii")
    return kept, text.rstrip("=")
