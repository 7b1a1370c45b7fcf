"""POST /extract: a document in, a validated record out."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import JSONResponse

from api.auth import Caller, require
from api.dependencies import Services, ServicesDep
from api.logs import request_id
from api.predict import Begun, begin, follow
from api.presentation import prediction_url, show_prediction
from api.problems import ProblemDocument
from api.schemas import ExtractBody, PredictionAnswer, SplitAnswer
from api.upload import Upload, read_upload
from db.queries.corrections import correction_history
from db.queries.documents import list_pages
from db.tables import Correction, Prediction, Scope, State
from extraction.pages import Page
from extraction.plain_text import MOST_CHARACTERS

router = APIRouter(tags=["extraction"])

_SPLIT_AT_ONCE = 2
_JPEG_QUALITY = 95
_POLL_AFTER_SECONDS = "1"
_RETRY_STATUSES = frozenset({429, 503})

_FORM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "oneOf": [{"required": ["file"]}, {"required": ["text"]}],
    "properties": {
        "file": {
            "type": "string",
            "format": "binary",
            "description": "JPEG, PNG, WebP, TIFF, HEIC or PDF.",
        },
        "text": {
            "type": "string",
            "minLength": 1,
            "maxLength": MOST_CHARACTERS,
            "description": "A plain text in place of the file.",
        },
        "document_type": {"type": "string", "default": "auto", "maxLength": 64, "minLength": 1},
        "fields": {
            "type": "string",
            "description": "Top-level fields to answer, separated by commas, or sent repeatedly; "
            "none: all.",
        },
        "entity_types": {
            "type": "string",
            "description": "Of a `graph`: the types that entities may have, at least one.",
        },
        "relation_types": {
            "type": "string",
            "description": "Of a `graph`: the types that relations may have.",
        },
        "reasoning": {"type": "boolean", "default": False},
        "format": {"type": "string", "enum": ["json", "entity_tokens"], "default": "json"},
        "ocr": {"type": "string", "enum": ["on", "off"], "default": "on"},
        "split": {"type": "string", "enum": ["none", "pages"], "default": "none"},
    },
    "additionalProperties": False,
}
_REQUEST_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {"schema": _FORM_SCHEMA},
        "application/json": {"schema": ExtractBody.model_json_schema()},
    },
}
_ACCEPTED = {
    "description": "Stored; a worker answers it, or it takes longer than a request may. "
    "`GET` its Location until it is finished.",
    "headers": {
        "Location": {"schema": {"type": "string"}},
        "Retry-After": {"schema": {"type": "integer"}},
    },
    "model": PredictionAnswer | SplitAnswer,
}


@router.post(
    "/extract",
    summary="Read a document",
    response_model=PredictionAnswer | SplitAnswer,
    responses={202: _ACCEPTED},
    openapi_extra={"requestBody": _REQUEST_BODY},
)
async def extract(
    request: Request,
    response: Response,
    services: ServicesDep,
    caller: Annotated[Caller, Depends(require(Scope.EXTRACT))],
    wait: Annotated[
        bool, Query(description="false: answer 202 at once, and a worker computes it.")
    ] = True,
    # Read by `read_upload`, which also serves a JSON body; here for /docs.
    idempotency_key: Annotated[  # noqa: ARG001
        str | None,
        Header(
            description="The same key with the same document and options gives the same answer, "
            "computed once. A failed one is computed again. 1 to 200 printable ASCII characters."
        ),
    ] = None,
) -> Any:
    """Read one document: multipart with a `file`, or JSON with `content_base64`; or a `text`.

    The prediction is stored before the answer leaves. When it fails, the problem names the
    prediction that keeps it. With `split=pages`, every page is a document of its own, and the
    answer is a list of predictions; a page that failed says so in its place. A `graph` needs
    `entity_types`.
    """
    limit = services.settings.max_upload_bytes
    upload = await read_upload(request, min(limit, caller.max_bytes or limit))
    if upload.split_pages:
        return await _extract_pages(services, caller, upload, response, wait=wait)
    begun = await begin(services, caller.tenant_id, upload, wait=wait)
    prediction = await _finished(services, caller, begun, wait=wait)
    if prediction.state is State.FAILED:
        return _problem(prediction).response()
    if prediction.state is not State.DONE:
        _accept(response, prediction_url(prediction.id))
    return await _show(services, caller, begun, prediction)


async def _extract_pages(
    services: Services, caller: Caller, upload: Upload, response: Response, *, wait: bool
) -> SplitAnswer | JSONResponse:
    pages = await services.extractor.decode(upload.content)
    contents = await asyncio.to_thread(_page_images, pages)
    slots = asyncio.Semaphore(_SPLIT_AT_ONCE)

    async def extract_page(index: int, content: bytes) -> tuple[Begun, Prediction]:
        async with slots:
            begun = await begin(services, caller.tenant_id, upload.page(index, content), wait=wait)
            return begun, await _finished(services, caller, begun, wait=wait)

    # Every page is carried to its end before an error of one is told.
    results = await asyncio.gather(
        *(extract_page(index, content) for index, content in enumerate(contents)),
        return_exceptions=True,
    )
    answered: list[tuple[Begun, Prediction]] = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        answered.append(result)
    predictions = [prediction for _, prediction in answered]
    if all(prediction.state is State.FAILED for prediction in predictions):
        return _problem(predictions[0]).response()
    if any(prediction.finished_at is None for prediction in predictions):
        _accept(response, prediction_url(predictions[0].id))
    return SplitAnswer(
        predictions=[await _show(services, caller, begun, found) for begun, found in answered]
    )


def _page_images(pages: Sequence[Page]) -> list[bytes]:
    return [page.jpeg_bytes(quality=_JPEG_QUALITY) for page in pages]


async def _finished(services: Services, caller: Caller, begun: Begun, *, wait: bool) -> Prediction:
    if begun.prediction.finished_at is not None or not wait:
        return begun.prediction
    seconds = services.settings.wait_timeout_seconds
    return await follow(services, caller.tenant_id, begun, seconds)


async def _show(
    services: Services, caller: Caller, begun: Begun, prediction: Prediction
) -> PredictionAnswer:
    """The answer; the pages are read anew where another request has begun the prediction."""
    pages, corrections = begun.pages, list[Correction]()
    if not pages:
        async with services.sessions.begin() as session:
            pages = await list_pages(session, caller.tenant_id, prediction.document_id)
            history: Sequence[Correction] = await correction_history(
                session, caller.tenant_id, prediction.id
            )
            corrections = list(history)
    return show_prediction(prediction, pages, corrections)


def _accept(response: Response, url: str) -> None:
    response.status_code = 202
    response.headers["location"] = url
    response.headers["retry-after"] = _POLL_AFTER_SECONDS


def _problem(prediction: Prediction) -> ProblemDocument:
    """The stored problem of a failed prediction, as an answer to this request."""
    stored = prediction.error or {}
    body = {**stored, "request_id": request_id(), "prediction_id": str(prediction.id)}
    status = int(stored.get("status", 500))
    headers = {}
    if status in _RETRY_STATUSES:
        headers["retry-after"] = str(stored.get("retry_after_seconds", 5))
    return ProblemDocument(status, body, headers)
