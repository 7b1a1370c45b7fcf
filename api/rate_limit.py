"""How often a key may ask: a token bucket per key, in the memory of this process.

Several processes count for themselves, so that the limit of a deployment is the limit times their
number. A restart forgives everybody.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from api.errors import RateLimited

_SECONDS_PER_MINUTE = 60.0
_SWEEP_AT = 4096


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


class RateLimiter:
    """A key may ask a minute's worth at once; the bucket fills evenly, and is full after a minute.

    Args:
        requests_per_minute: for a key without a limit of its own; 0 for none.
        clock: seconds that only grow.
    """

    def __init__(
        self, requests_per_minute: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._default = requests_per_minute
        self._clock = clock
        self._buckets: dict[UUID, _Bucket] = {}

    def take(self, key_id: UUID, requests_per_minute: int | None = None) -> None:
        """Count one request.

        Args:
            key_id: whose.
            requests_per_minute: the key's own limit, where it has one; 0 for none.

        Raises:
            RateLimited: the bucket is empty.
        """
        limit = self._default if requests_per_minute is None else requests_per_minute
        if limit == 0:
            return
        now = self._clock()
        per_second = limit / _SECONDS_PER_MINUTE
        bucket = self._buckets.get(key_id)
        if bucket is None:
            self._sweep(now)
            bucket = self._buckets[key_id] = _Bucket(float(limit), now)
        filled = (now - bucket.filled_at) * per_second
        bucket.tokens = min(float(limit), bucket.tokens + filled)
        bucket.filled_at = now
        if bucket.tokens < 1.0:
            raise RateLimited(limit, max(1, math.ceil((1.0 - bucket.tokens) / per_second)))
        bucket.tokens -= 1.0

    def _sweep(self, now: float) -> None:
        """Forgets keys that have not asked for a minute; their buckets are full."""
        if len(self._buckets) >= _SWEEP_AT:
            self._buckets = {
                key: bucket
                for key, bucket in self._buckets.items()
                if now - bucket.filled_at < _SECONDS_PER_MINUTE
            }
