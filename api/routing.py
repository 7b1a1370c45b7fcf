"""Which version answers a prediction: the champion, or for a share of them the canary.

The share is chosen by a hash of the prediction's id, so that every process, and every retry,
chooses the same. `api.champion_watch` keeps these facts as the database has them and the engine can
serve them; each prediction reads them once.
"""

import hashlib
from dataclasses import dataclass
from uuid import UUID

from extraction.errors import DocloopError

_HASH_BYTES = 8
_HASH_COUNT = float(1 << (8 * _HASH_BYTES))


@dataclass(frozen=True, slots=True)
class Canary:
    """A version that answers a share of the predictions.

    Attributes:
        version: its name; it is loaded beside the champion.
        ratio: of the new predictions, 0 to 1.
    """

    version: str
    ratio: float


@dataclass(slots=True)
class Routing:
    """Who answers now, as far as this process has followed the database.

    Attributes:
        champion: the version to serve; None until the database was read.
        generation: of the champion pointer as it was last read.
        canary: answers its share; None where there is none, or it is not loaded.
        shadow: answers too, for the record only; None as above.
        problem: why the champion, the canary or the shadow is not what the database says; "" where
            all is well. Holds no secret and no value of a document.
    """

    champion: str | None = None
    generation: int = 0
    canary: Canary | None = None
    shadow: str | None = None
    problem: str = ""

    def canary_for(self, prediction_id: UUID) -> str | None:
        """The canary where it is to answer this prediction; None for the champion."""
        canary = self.canary
        if canary is None or not is_chosen(prediction_id, canary.ratio):
            return None
        return canary.version


def is_chosen(prediction_id: UUID, ratio: float) -> bool:
    """Whether a prediction belongs to a share of all; the same answer everywhere and always.

    A larger share contains every smaller one, so that raising it moves predictions one way only.

    Args:
        prediction_id: whose first 64 bits of SHA-256 are taken for a number from 0 to 1. The id
            itself begins with the time, which would put neighbours on one side.
        ratio: 0 chooses none, 1 all.
    """
    digest = hashlib.sha256(prediction_id.bytes).digest()[:_HASH_BYTES]
    return int.from_bytes(digest, "big") < ratio * _HASH_COUNT


class AlreadyServed(DocloopError):
    """A version that is the champion cannot be tried beside it.

    Args:
        version: the champion.
    """

    slug = "already-served"

    def __init__(self, version: str) -> None:
        self.version = version
        super().__init__(f"{version} is the champion itself; name another version, or none.")
