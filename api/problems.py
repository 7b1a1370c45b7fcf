"""Every error as an RFC 9457 problem document, with a stable type and a sentence on what to change.

`KINDS` is the one table from an error's class to its status. A message of a `DocloopError` holds no
value of a document, so it may go out; of any other exception nothing goes out but the request id,
under which the log has its type and its stack.
"""

import http
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy.exc
import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import Request

import api.errors as edge
import db.errors as storage
import extraction.errors as domain
from api.engine.server import SmokeFailed, SwapFailed, VersionNotServed
from api.logs import request_id
from api.routing import AlreadyServed
from extraction.engine import EngineRefused
from extraction.model_folder import BadModelFolder

MEDIA_TYPE = "application/problem+json"
_RESERVED = frozenset({"type", "title", "status", "detail", "instance", "request_id"})
_SERVER_ERROR = 500
_TOO_MANY = 429
_UNAVAILABLE = 503

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """What all problems of one type share.

    Attributes:
        status: the HTTP status.
        title: a short name of the type, always the same.
        advice: what a caller does about it; shown at /problems/{slug}.
    """

    status: int
    title: str
    advice: str


KINDS: Mapping[type[BaseException], ProblemKind] = {
    domain.UnreadableDocument: ProblemKind(
        422,
        "Unreadable document",
        "Send the file as it came from the scanner or camera, undamaged.",
    ),
    domain.UnsupportedFormat: ProblemKind(
        415, "Unsupported format", "Convert the file to JPEG, PNG, WebP, TIFF, HEIC or PDF."
    ),
    domain.EncryptedDocument: ProblemKind(
        422, "Encrypted document", "Remove the password and send the file again."
    ),
    domain.DocumentTooLarge: ProblemKind(
        413, "Document too large", "Scale the image down, or split the document."
    ),
    domain.InvalidType: ProblemKind(
        422, "Invalid document type", "Change the schema at `path`; `why` says what is accepted."
    ),
    domain.UnknownType: ProblemKind(
        404, "Unknown document type", "Use one of `known`, or PUT /document-types/{name} first."
    ),
    domain.UnknownField: ProblemKind(422, "Unknown field", "Ask for fields of `known` only."),
    domain.InvalidRecord: ProblemKind(
        422, "Invalid record", "Correct each field that `faults` names."
    ),
    domain.UnparseableRecord: ProblemKind(
        422,
        "No record in the answer",
        "The model found no record in this document. Ask for fewer fields, or send a better image.",
    ),
    domain.InvalidMrz: ProblemKind(
        422, "Invalid machine-readable zone", "Send the zone's lines as they are printed."
    ),
    domain.PromptTooLong: ProblemKind(
        422, "Document too long for the model", "Send fewer pages, or ask for fewer fields."
    ),
    domain.ModelCannotSee: ProblemKind(
        422, "Nothing to read by", "Leave `ocr` on: this model reads a page through its lines."
    ),
    domain.EngineUnavailable: ProblemKind(
        503, "Model unavailable", "Send the same request again after Retry-After."
    ),
    EngineRefused: ProblemKind(
        422, "Refused by the model server", "Simplify the document type; a retry does not help."
    ),
    edge.Unauthenticated: ProblemKind(
        401, "No valid API key", "Send `Authorization: Bearer dl_...` with a key that is in force."
    ),
    edge.ForbiddenScope: ProblemKind(403, "Not allowed", "Use a key that has `needed_scope`."),
    edge.CrossSite: ProblemKind(
        403, "Not from this site", "Open the page anew; programs send an API key."
    ),
    edge.InvalidRequest: ProblemKind(
        422, "Invalid request", "Change each part of the request that `faults` names."
    ),
    edge.UnsupportedMediaType: ProblemKind(
        415, "Unsupported media type", "Send the body in the format that `faults` names."
    ),
    edge.RequestTooLarge: ProblemKind(
        413, "Request too large", "Send at most `limit_bytes` bytes."
    ),
    edge.RateLimited: ProblemKind(429, "Too many requests", "Wait for Retry-After, then go on."),
    edge.QueueFull: ProblemKind(
        429, "Queue full", "Send it again after Retry-After, or with wait=false."
    ),
    edge.QueueTimeout: ProblemKind(503, "Queue timeout", "Send it again after Retry-After."),
    edge.DatabaseUnavailable: ProblemKind(
        503, "Database unavailable", "Send it again after Retry-After."
    ),
    edge.Interrupted: ProblemKind(
        503, "Interrupted", "Send the same request again, with the same Idempotency-Key."
    ),
    edge.ProcessingFailed: ProblemKind(
        422, "Processing failed", "Convert the document to another format, or split it."
    ),
    edge.PredictionUnfinished: ProblemKind(
        409, "Prediction unfinished", "Wait until its state is done, or extract it again."
    ),
    edge.ClientGone: ProblemKind(
        499, "Client gone", "The connection was closed before the answer; send it again."
    ),
    storage.NotFound: ProblemKind(
        404, "Not found", "Check the identity; another tenant's things are not visible."
    ),
    storage.IdempotencyConflict: ProblemKind(
        409, "Idempotency conflict", "Use a new Idempotency-Key for another request."
    ),
    storage.CorrectionConflict: ProblemKind(
        409, "Corrected meanwhile", "Read the corrections and decide anew."
    ),
    storage.PromotionConflict: ProblemKind(
        409, "Promotion conflict", "Read the champion again (`found` is its generation) and decide."
    ),
    storage.NothingToRollBackTo: ProblemKind(
        409, "Nothing to roll back to", "Promote the version that you want."
    ),
    storage.SamePerson: ProblemKind(
        409,
        "Second person needed",
        "Let somebody else decide, with a key of theirs: docloop keys create NAME --scope review.",
    ),
    AlreadyServed: ProblemKind(409, "Already served", "Name a version that is not the champion."),
    # A swap answers no request; these stand in the log, and where a version is asked by its name.
    SwapFailed: ProblemKind(
        503, "Version did not come up", "The one before it serves on; the log says why."
    ),
    SmokeFailed: ProblemKind(
        503, "Version failed its test", "The one before it serves on; train another."
    ),
    VersionNotServed: ProblemKind(
        503, "Version not loaded", "Send the same request again after Retry-After."
    ),
    BadModelFolder: ProblemKind(
        409, "Version cannot be served", "Nothing has changed. Mend the folder, or choose another."
    ),
    storage.WeakApiKey: ProblemKind(422, "Weak API key", "Choose a longer key."),
    storage.BlobStoreFull: ProblemKind(
        507, "Storage full", "Nothing was stored. The operator has to free some space."
    ),
    storage.StorageError: ProblemKind(
        500, "Storage error", "The operator finds the cause in the log under the request id."
    ),
    domain.DocloopError: ProblemKind(400, "Request not accepted", "See `detail`."),
}

_BY_STATUS: Mapping[int, tuple[str, str]] = {
    400: ("bad-request", "Send a request of the form that /docs shows."),
    404: ("no-such-route", "Use a path that /docs shows."),
    405: ("method-not-allowed", "Use a method that the header Allow names."),
    500: (
        "internal-error",
        "This is a fault of the service. The operator finds it in the log under the request id.",
    ),
}


@dataclass(frozen=True, slots=True)
class ProblemDocument:
    """One problem, ready to be sent or stored."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)

    def response(self) -> JSONResponse:
        """As an HTTP response."""
        return JSONResponse(self.body, self.status, self.headers, media_type=MEDIA_TYPE)


def problem_of(error: BaseException, *, asked_id: str | None = None) -> ProblemDocument:
    """The problem that an error stands for; a 500 without details where it is none that we know.

    Args:
        error: what was raised; of a group, the first known error counts.
        asked_id: the request id; that of the current request where None.
    """
    known = _known(error)
    identity = asked_id if asked_id is not None else request_id()
    if known is None:
        slug, _ = _BY_STATUS[_SERVER_ERROR]
        detail = "Something went wrong here; the request id leads to it in the log."
        return _document(slug, _SERVER_ERROR, "Internal error", detail, identity=identity)
    kind = kind_of(type(known))
    facts = {k: v for k, v in known.facts().items() if k not in _RESERVED}
    if kind.status == _SERVER_ERROR:
        facts = {}
    return _document(
        known.slug, kind.status, kind.title, str(known), identity=identity, facts=facts
    )


def kind_of(error: type[BaseException]) -> ProblemKind:
    """What the table says of an error's class, or of the nearest one above it."""
    return next(KINDS[parent] for parent in error.__mro__ if parent in KINDS)


def explanations() -> dict[str, ProblemKind]:
    """Every problem type by its slug."""
    found = {
        error.slug: kind_of(error) for error in (*_all_errors(domain.DocloopError), *_listed())
    }
    for status, (slug, advice) in _BY_STATUS.items():
        found[slug] = ProblemKind(status, http.HTTPStatus(status).phrase, advice)
    return dict(sorted(found.items()))


def install_handlers(app: FastAPI) -> None:
    """Answer every error of the app as a problem; those that nobody expects go to `api.trace`."""
    app.add_exception_handler(domain.DocloopError, _on_error)
    app.add_exception_handler(sqlalchemy.exc.SQLAlchemyError, _on_error)
    app.add_exception_handler(ExceptionGroup, _on_error)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)


async def _on_error(request: Request, error: Exception) -> JSONResponse:
    problem = problem_of(error)
    if isinstance(error, domain.UnknownType) and error.name not in request.path_params.values():
        # Named in the body, not by the path: the route is there, the request is at fault.
        problem.body["status"] = 422
        problem = ProblemDocument(422, problem.body, problem.headers)
    log_problem(problem, error)
    forget_frames(error)
    return problem.response()


async def _on_validation(_request: Request, error: Exception) -> JSONResponse:
    """FastAPI's own findings, without the input that it quotes."""
    found = error.errors() if isinstance(error, RequestValidationError) else ()
    # `msg` may quote what was sent (as in "Input should be 'a' or 'b'": fine; a value error of a
    # validator: ours), `input` and `ctx` always do, so only the place and the message are taken.
    faults = {_place(fault["loc"]): str(fault["msg"]) for fault in found}
    return problem_of(edge.InvalidRequest(faults)).response()


async def _on_http(_request: Request, error: Exception) -> JSONResponse:
    """Errors of the framework: unknown routes, methods, bodies that are none."""
    status = error.status_code if isinstance(error, HTTPException) else _SERVER_ERROR
    headers = dict((isinstance(error, HTTPException) and error.headers) or {})
    phrase = http.HTTPStatus(status).phrase
    slug, advice = _BY_STATUS.get(status, (phrase.lower().replace(" ", "-"), f"{phrase}."))
    problem = _document(slug, status, phrase, advice, identity=request_id())
    problem.headers.update(headers)
    return problem.response()


def log_problem(problem: ProblemDocument, error: BaseException) -> None:
    """A line for what is our fault; a caller's fault is in the access line."""
    if problem.status >= _SERVER_ERROR:
        unexpected = problem.status not in {_UNAVAILABLE, http.HTTPStatus.INSUFFICIENT_STORAGE}
        log = logger.error if unexpected else logger.warning
        log("problem", status=problem.status, problem=problem.body["type"], exc_info=error)


def forget_frames(error: BaseException) -> None:
    """Let go of what the ended frames of an error hold: the document, its pages.

    A task, its error and the frame that awaits it hold each other. The collector frees such a ring
    by the count of its objects, which are few; their bytes are many.
    """
    pending: list[BaseException | None] = [error]
    while pending:
        current = pending.pop()
        if current is None or current.__traceback__ is None:
            continue
        traceback.clear_frames(current.__traceback__)
        current.__traceback__ = None
        pending += [current.__cause__, current.__context__]
        if isinstance(current, BaseExceptionGroup):
            pending += current.exceptions


def _known(error: BaseException) -> domain.DocloopError | None:
    """The domain error that this is, or stands for."""
    if isinstance(error, domain.DocloopError):
        return error
    if isinstance(error, BaseExceptionGroup):
        return next(filter(None, map(_known, error.exceptions)), None)
    if isinstance(error, sqlalchemy.exc.DataError):
        # A value that no column can hold, as a NUL in a filter: the caller's.
        return edge.InvalidRequest({"value": "the database cannot hold it"})
    lost = isinstance(error, sqlalchemy.exc.DBAPIError) and error.connection_invalidated
    gone = (
        sqlalchemy.exc.OperationalError,
        sqlalchemy.exc.InterfaceError,
        sqlalchemy.exc.TimeoutError,
    )
    if lost or isinstance(error, gone):
        return edge.DatabaseUnavailable()
    return None


def _document(
    slug: str,
    status: int,
    title: str,
    detail: str,
    *,
    identity: str | None,
    facts: Mapping[str, Any] | None = None,
) -> ProblemDocument:
    body = {
        "type": f"/problems/{slug}",
        "title": title,
        "status": status,
        "detail": detail,
        "request_id": identity,
        **{name: _jsonable(value) for name, value in (facts or {}).items()},
    }
    headers = {}
    if status in {_TOO_MANY, _UNAVAILABLE}:
        headers["retry-after"] = str(body.get("retry_after_seconds", 5))
    if status == http.HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    return ProblemDocument(status, body, headers)


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_jsonable(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)


def _place(location: tuple[str | int, ...] | list[str | int]) -> str:
    """Where a fault is: "body.record.total", "query.limit"."""
    return ".".join(str(part) for part in location) or "body"


def _all_errors(parent: type[domain.DocloopError]) -> list[type[domain.DocloopError]]:
    return [error for child in parent.__subclasses__() for error in (child, *_all_errors(child))]


def _listed() -> list[type[domain.DocloopError]]:
    return [error for error in KINDS if issubclass(error, domain.DocloopError)]
