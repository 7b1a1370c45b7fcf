"""Keys that were found in force a moment ago, so that a busy caller costs no query each time.

A revoked key is refused by every process at the latest `REMEMBERED_SECONDS` after its revocation
was committed, an expired one on time. Unknown keys are never remembered: guessing fills nothing.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from db.queries.keys import hash_key
from db.tables import ApiKey

REMEMBERED_SECONDS = 2.0
_SWEEP_AT = 1024


class KnownKeys:
    """The rows of such keys, by the hash of their text.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rows: dict[bytes, tuple[ApiKey, float]] = {}

    def find(self, secret: str) -> ApiKey | None:
        """The key, where it was in force a moment ago and has not expired since."""
        row, until = self._rows.get(hash_key(secret), (None, 0.0))
        if row is None or until <= self._clock():
            return None
        if row.expires_at is not None and row.expires_at <= datetime.now(UTC):
            return None
        return row

    def remember(self, row: ApiKey) -> None:
        """The database has just found this key in force."""
        now = self._clock()
        if len(self._rows) >= _SWEEP_AT:
            self._rows = {key: held for key, held in self._rows.items() if held[1] > now}
        self._rows[row.key_sha256] = (row, now + REMEMBERED_SECONDS)
