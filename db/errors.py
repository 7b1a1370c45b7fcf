"""What can go wrong between the code and its storage.

DocloopError
└── StorageError
    ├── NotFound                 no such row for this tenant
    ├── IdempotencyConflict      the key was used before, with another body
    ├── PromotionConflict        another promotion came first
    ├── CorrectionConflict       another person has spoken meanwhile
    ├── NothingToRollBackTo      no earlier champion is left
    ├── SamePerson               one's own correction is for another person to decide
    ├── WeakApiKey               a given key is too short to protect anything
    ├── BlobError
    │   ├── BlobMissing          no content under this key
    │   ├── BlobUnreadable       encrypted, and the configured key does not open it
    │   ├── BlobCorrupt          the content does not match its key
    │   └── BlobStoreFull        the disk has no room
    └── EmbeddedPostgresFailed   the embedded server does not start or stop
"""

from uuid import UUID

from extraction.errors import DocloopError


class StorageError(DocloopError):
    """Base of the errors of storage."""

    slug = "storage-error"


class NotFound(StorageError):
    """Nothing of that identity belongs to this tenant; whether another has it is not told.

    Args:
        what: the kind of thing, as "prediction".
        name: the identity that was asked for.
    """

    slug = "not-found"

    def __init__(self, what: str, name: str) -> None:
        self.what, self.name = what, name
        super().__init__(f"There is no {what} {name}.")


class IdempotencyConflict(StorageError):
    """An idempotency key came back with another request body.

    Args:
        prediction_id: the prediction that the key already stands for.
    """

    slug = "idempotency-conflict"

    def __init__(self, prediction_id: UUID) -> None:
        self.prediction_id = prediction_id
        super().__init__(
            "This Idempotency-Key was already used with another request body; "
            "use a new key for a new request."
        )


class PromotionConflict(StorageError):
    """The champion has changed since the caller read it.

    Args:
        expected: the generation that the caller read.
        found: the generation in force.
    """

    slug = "promotion-conflict"

    def __init__(self, expected: int, found: int) -> None:
        self.expected, self.found = expected, found
        super().__init__(
            f"The champion is at generation {found}, not {expected}; read it again and decide anew."
        )


class CorrectionConflict(StorageError):
    """A prediction was corrected since its reviewer read it.

    Args:
        expected: how many corrections the reviewer had seen.
        found: how many there are.
    """

    slug = "correction-conflict"

    def __init__(self, expected: int, found: int) -> None:
        self.expected, self.found = expected, found
        super().__init__(
            f"The prediction has {found} corrections, and you have seen {expected}; read "
            "GET /feedback/{prediction_id} and decide anew."
        )


class NothingToRollBackTo(StorageError):
    """There is no earlier champion that was not itself rolled back from.

    Args:
        current: the version that is served, None where there is none.
    """

    slug = "nothing-to-roll-back-to"

    def __init__(self, current: str | None) -> None:
        self.current = current
        super().__init__(
            f"There is no champion before {current} to go back to."
            if current
            else "There is no champion, and so none before it."
        )


class SamePerson(StorageError):
    """Whoever gave a correction, or holds the key that it came with, may not decide on it.

    Args:
        correction_id: the correction.
    """

    slug = "same-person"

    def __init__(self, correction_id: UUID) -> None:
        self.correction_id = correction_id
        super().__init__(
            "A correction that is held is decided by a second person, with another name and "
            "another API key than those that it came from. Make a key for that person: "
            "docloop keys create NAME --scope review."
        )


class WeakApiKey(StorageError):
    """An API key that was given, not generated, is too short.

    Args:
        length: its characters.
        minimum: the fewest accepted.
    """

    slug = "weak-api-key"

    def __init__(self, length: int, minimum: int) -> None:
        self.length, self.minimum = length, minimum
        super().__init__(f"The API key has {length} characters, and at least {minimum} are needed.")


class BlobError(StorageError):
    """Base of the errors of the blob store. Each has `key`, the blob's key."""

    slug = "blob-error"


class BlobMissing(BlobError):
    """No content is stored under this key."""

    slug = "blob-missing"

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(f"There is no blob {key}.")


class BlobUnreadable(BlobError):
    """The content is encrypted, and no or another encryption key is configured."""

    slug = "blob-unreadable"

    def __init__(self, key: str, why: str) -> None:
        self.key, self.why = key, why
        super().__init__(f"The blob {key} cannot be decrypted: {why}.")


class BlobCorrupt(BlobError):
    """The stored bytes are not those that were put."""

    slug = "blob-corrupt"

    def __init__(self, key: str, why: str) -> None:
        self.key, self.why = key, why
        super().__init__(f"The blob {key} is damaged: {why}. Restore it from a backup.")


class BlobStoreFull(BlobError):
    """The disk or its quota has no room for the content; nothing was stored.

    Args:
        key: the key that the content would have had.
        size_bytes: the size of the content.
    """

    slug = "blob-store-full"

    def __init__(self, key: str, size_bytes: int) -> None:
        self.key, self.size_bytes = key, size_bytes
        super().__init__(f"There is no room for a blob of {size_bytes} bytes; free some space.")


class EmbeddedPostgresFailed(StorageError):
    """The embedded PostgreSQL does not do what was asked.

    Args:
        why: what happened, with the end of the server's log where that helps.
    """

    slug = "embedded-postgres-failed"

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(f"The embedded PostgreSQL failed: {why}")
