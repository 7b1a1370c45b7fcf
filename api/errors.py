"""What the edge itself refuses. Domain errors carry facts; `api.problems` gives each its status.

DocloopError
├── Unauthenticated           no key, or none in force
├── ForbiddenScope            the key does not allow this
├── CrossSite                 a page of another site speaks with the browser's session
├── InvalidRequest            parts of the request at fault, each named
│   └── UnsupportedMediaType  a body in another format
├── RequestTooLarge           more bytes than accepted
├── RateLimited               this key asks too often
├── QueueFull                 too many wait already
├── QueueTimeout              it waited, and its turn did not come
├── DatabaseUnavailable       worth a retry
├── Interrupted               the service stopped in the middle; worth a retry
├── ProcessingFailed          the document ended the process more than once
├── PredictionUnfinished      it has no answer to speak about yet
└── ClientGone                nobody waits for the answer any more
"""

from collections.abc import Mapping

from extraction.errors import DocloopError


class Unauthenticated(DocloopError):
    """The request carries no key that is in force."""

    slug = "unauthenticated"

    def __init__(self) -> None:
        super().__init__("Send a valid API key in the header `Authorization: Bearer dl_...`.")


class ForbiddenScope(DocloopError):
    """The key is valid, and does not allow this.

    Args:
        needed: the scope that the route asks for.
    """

    slug = "forbidden"

    def __init__(self, needed: str) -> None:
        self.needed_scope = needed
        super().__init__(f"This key lacks the scope {needed!r}; use a key that has it.")


class CrossSite(DocloopError):
    """A request rides on a browser's session without having come from one of our own pages."""

    slug = "cross-site"

    def __init__(self) -> None:
        super().__init__(
            "The request carries a session and does not come from a page of this service; "
            "open the page anew, or send an API key instead."
        )


class InvalidRequest(DocloopError):
    """Parts of the request are at fault; every one is named.

    Args:
        faults: where in the request -> what is wrong there (never the value itself).
    """

    slug = "invalid-request"

    def __init__(self, faults: Mapping[str, str]) -> None:
        self.faults = dict(faults)
        listed = "; ".join(f"{place}: {why}" for place, why in self.faults.items())
        super().__init__(f"The request is not accepted: {listed}.")


class UnsupportedMediaType(InvalidRequest):
    """The body is in a format, or packed in a way, that the route does not read.

    Args:
        accepted: what it reads.
        header: the one at fault.
    """

    slug = "unsupported-media-type"

    def __init__(self, accepted: str, header: str = "Content-Type") -> None:
        super().__init__({header: f"send {accepted}"})


class RequestTooLarge(DocloopError):
    """The body has more bytes than accepted; reading stopped there.

    Args:
        limit_bytes: how many are accepted.
    """

    slug = "request-too-large"

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        super().__init__(
            f"The request body is larger than {limit_bytes} bytes; send a smaller one."
        )


class RateLimited(DocloopError):
    """A key asks more often than it may.

    Args:
        requests_per_minute: how often it may.
        retry_after_seconds: when the next request passes.
    """

    slug = "rate-limited"

    def __init__(self, requests_per_minute: int, retry_after_seconds: int) -> None:
        self.requests_per_minute = requests_per_minute
        self.retry_after_seconds = retry_after_seconds
        super().__init__(
            f"This key may ask {requests_per_minute} times a minute; "
            f"try again in {retry_after_seconds} s."
        )


class QueueFull(DocloopError):
    """As many requests wait as are let in.

    Args:
        waiting: how many wait.
        retry_after_seconds: when there should be room, from how long requests took of late.
    """

    slug = "queue-full"

    def __init__(self, waiting: int, retry_after_seconds: int) -> None:
        self.waiting, self.retry_after_seconds = waiting, retry_after_seconds
        super().__init__(
            f"{waiting} requests wait already; try again in {retry_after_seconds} s, "
            "or send it with wait=false."
        )


class QueueTimeout(DocloopError):
    """The request was let in, and its turn did not come in time.

    Args:
        waited_seconds: how long it waited.
        retry_after_seconds: when to try again.
    """

    slug = "queue-timeout"

    def __init__(self, waited_seconds: float, retry_after_seconds: int) -> None:
        self.waited_seconds = round(waited_seconds, 1)
        self.retry_after_seconds = retry_after_seconds
        super().__init__(
            f"The turn of this request did not come within {waited_seconds:.0f} s; "
            f"try again in {retry_after_seconds} s."
        )


class DatabaseUnavailable(DocloopError):
    """The database does not answer now; it is asked again by itself.

    Args:
        why: what is known.
        retry_after_seconds: when a retry is worth it.
    """

    slug = "database-unavailable"

    def __init__(self, why: str = "it does not answer", retry_after_seconds: int = 5) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(f"The database cannot be used at the moment: {why}. Try again shortly.")


class ClientGone(DocloopError):
    """The client hung up; the work was stopped and its place is free."""

    slug = "client-gone"

    def __init__(self) -> None:
        super().__init__("The client closed the connection before the answer.")


class Interrupted(DocloopError):
    """The service stopped while it worked on a prediction.

    Args:
        retry_after_seconds: when a retry is worth it.
    """

    slug = "interrupted"

    def __init__(self, retry_after_seconds: int = 1) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(
            "The service was stopped before the answer was there; send the same request again."
        )


class ProcessingFailed(DocloopError):
    """Work on a document was begun several times and never ended.

    Args:
        attempts: how often it was begun.
    """

    slug = "processing-failed"

    def __init__(self, attempts: int) -> None:
        self.attempts = attempts
        super().__init__(
            f"Work on this document was begun {attempts} times and never came to an end; "
            "convert it to another format, or split it."
        )


class PredictionUnfinished(DocloopError):
    """A prediction has no answer that a person could speak about.

    Args:
        state: how far it is: queued, running or failed.
    """

    slug = "prediction-unfinished"

    def __init__(self, state: str) -> None:
        self.state = state
        super().__init__(f"The prediction is {state}; only one that is done takes feedback.")
