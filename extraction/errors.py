"""Every way in which a document, a type, an answer or an engine can be wrong.

    DocloopError
    ├── UnreadableDocument          the bytes are no page that we can open
    │   ├── UnsupportedFormat       a format outside the list
    │   ├── EncryptedDocument       a password is needed
    │   └── DocumentTooLarge        bytes, pixels, frames or pages above the limit
    ├── InvalidType                 a caller's JSON Schema is outside the subset
    ├── UnknownType                 no document type of that name
    ├── UnknownField                a field that the type does not have
    ├── InvalidRecord               a human's record that its type refuses
    ├── UnparseableRecord           the model's answer is no record
    ├── InvalidMrz                  text that is no machine-readable zone
    ├── ModelCannotSee              no lines, and a model that reads nothing else
    ├── EngineRefused               (engine.py) the model server finds the request at fault
    ├── PromptTooLong               page and lines do not fit the model's context
    ├── BadModelFolder              (model_folder.py) a model version that must not be served
    ├── SwapFailed                  (api/engine/server.py) a version that did not come up
    └── EngineUnavailable           no engine can answer now; worth a retry
        └── VersionNotServed        (api/engine/server.py) another version answers now

An error carries facts as attributes; `api` maps the class to a status and a stable problem type.
The message is a sentence that says what to change. No message holds a value read from a document.
"""

from collections.abc import Mapping
from typing import ClassVar


class DocloopError(Exception):
    """Base of all errors that a caller can act on."""

    slug: ClassVar[str] = "error"

    def facts(self) -> Mapping[str, object]:
        """The attributes that describe this case; never a value read from a document."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}


class UnreadableDocument(DocloopError):
    """The bytes are empty, damaged, or no document at all."""

    slug = "unreadable-document"

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(f"The document cannot be opened: {why}.")


class UnsupportedFormat(UnreadableDocument):
    """The bytes are in a format that is not accepted."""

    slug = "unsupported-format"

    def __init__(self, found: str) -> None:
        super().__init__(f"{found} is not accepted; send JPEG, PNG, WebP, TIFF, HEIC or PDF")
        self.found = found


class EncryptedDocument(UnreadableDocument):
    """A PDF that opens only with a password."""

    slug = "encrypted-document"

    def __init__(self) -> None:
        super().__init__("it needs a password; remove the protection and send it again")


class DocumentTooLarge(UnreadableDocument):
    """A limit is exceeded; found before anything was decoded.

    Args:
        what: the measured thing with its unit, as "pixels" or "pages".
        found: how many there are.
        limit: how many are accepted.
    """

    slug = "document-too-large"

    def __init__(self, what: str, found: int, limit: int) -> None:
        super().__init__(f"it has {found} {what}, and at most {limit} are accepted")
        self.what, self.found, self.limit = what, found, limit


class InvalidType(DocloopError):
    """A JSON Schema outside the supported subset.

    Args:
        path: JSON pointer to the part at fault.
        why: what is wrong there and what is accepted instead.
    """

    slug = "invalid-document-type"

    def __init__(self, path: str, why: str) -> None:
        self.path, self.why = path, why
        super().__init__(f"The schema is not accepted at {path or '/'}: {why}.")


class UnknownType(DocloopError):
    """A document type that this tenant does not have."""

    slug = "unknown-document-type"

    def __init__(self, name: str, known: tuple[str, ...] = ()) -> None:
        self.name, self.known = name, known
        hint = f" Known are: {', '.join(known)}." if known else ""
        super().__init__(f"There is no document type named {name!r}.{hint}")


class UnknownField(DocloopError):
    """A field that the document type does not have."""

    slug = "unknown-field"

    def __init__(self, names: tuple[str, ...], document_type: str, known: tuple[str, ...]) -> None:
        self.names, self.document_type, self.known = names, document_type, known
        super().__init__(
            f"{document_type} has no field {', '.join(names)}. It has: {', '.join(known)}."
        )


class InvalidRecord(DocloopError):
    """A human's record that its document type refuses; every fault is named.

    Args:
        faults: field path -> what is wrong with it (never the value itself).
    """

    slug = "invalid-record"

    def __init__(self, faults: Mapping[str, str]) -> None:
        self.faults = dict(faults)
        listed = "; ".join(f"{path}: {why}" for path, why in self.faults.items())
        super().__init__(f"The record is not accepted: {listed}.")


class UnparseableRecord(DocloopError):
    """The model's completion holds no record of the asked type.

    Args:
        finish_reason: the engine's reason for stopping; "length" means that the answer was cut.
        why: what the parser met.
        model_version: that wrote it; None where only its text is known.
        document_type: name of the type that was asked for; None as above.
    """

    slug = "unparseable-record"

    def __init__(
        self,
        finish_reason: str,
        why: str,
        *,
        model_version: str | None = None,
        document_type: str | None = None,
    ) -> None:
        self.finish_reason, self.why = finish_reason, why
        self.model_version, self.document_type = model_version, document_type
        super().__init__(f"The model's answer is no record ({why}; finished by {finish_reason}).")


class InvalidMrz(DocloopError):
    """Text that does not have the shape of a machine-readable zone."""

    slug = "invalid-mrz"

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(f"Not a machine-readable zone: {why}.")


class PromptTooLong(DocloopError):
    """The document does not fit the model's context."""

    slug = "prompt-too-long"

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(f"The document does not fit the model: {why}. Send fewer pages or fields.")


class ModelCannotSee(DocloopError):
    """Without lines there is nothing that this model could read."""

    slug = "model-cannot-see"

    def __init__(self) -> None:
        super().__init__(
            "The served model reads a page through its OCR lines. Leave ocr on, or serve a model "
            "that sees images."
        )


class EngineUnavailable(DocloopError):
    """No engine can answer at the moment.

    Args:
        retry_after_seconds: when a retry is worth it.
    """

    slug = "engine-unavailable"

    def __init__(self, why: str, retry_after_seconds: int = 5) -> None:
        self.why, self.retry_after_seconds = why, retry_after_seconds
        super().__init__(f"The model cannot answer at the moment: {why}. Try again shortly.")
