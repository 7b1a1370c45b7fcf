"""The OpenAPI document: what /docs teaches, and the problems that every route can answer with."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.problems import MEDIA_TYPE

DESCRIPTION = """
Send a document, get a validated record; send corrections, get a better model.

1. Make a key: `docloop keys create`. Send it as `Authorization: Bearer dl_...`.
2. `POST /extract` with a file. The answer has the record, and for each field its value as printed,
   a calibrated confidence, where it stands on the page, and the verdicts of checks.
3. `POST /feedback` with what was wrong. Only the corrected fields are needed.

Types `receipt` and `passport` are built in, `auto` decides between them, and
`PUT /document-types/{name}` adds your own from a JSON Schema.

Errors are problem documents (RFC 9457): `type` is stable and leads to a page that explains it,
`detail` says what to change, `request_id` is in the response header `X-Request-ID` and in the log.
429 and 503 carry `Retry-After`.
"""

TAGS = [
    {"name": "extraction", "description": "Documents in, records out."},
    {"name": "predictions", "description": "What was answered, with its pages."},
    {"name": "feedback", "description": "What a human says about an answer."},
    {"name": "document types", "description": "What can be read, and types of your own."},
    {"name": "models", "description": "Versions, and the one that is served."},
    {"name": "service", "description": "Health, readiness, metrics, problem types."},
]

_PROBLEM: dict[str, Any] = {
    "title": "Problem",
    "description": "An RFC 9457 problem document; some types carry more facts.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "request_id"],
    "properties": {
        "type": {"type": "string", "description": "Stable; leads to an explanation."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What to change."},
        "request_id": {"type": ["string", "null"]},
        "faults": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "Where in the request, and what is wrong there.",
        },
        "retry_after_seconds": {"type": "integer"},
    },
    "additionalProperties": True,
}
# What any route may answer; with a key, and with a body, there is more.
_ALWAYS = {
    "400": "The request cannot be read.",
    "404": "There is no such thing.",
    "413": "The request is too large.",
    "422": "A part of the request is at fault; each is named.",
    "500": "A fault of the service; the request id leads to it in the log.",
    "503": "The database or the model cannot answer now; see Retry-After.",
}
_WITH_KEY = {
    "401": "No valid key.",
    "403": "The key lacks a scope.",
    "429": "Too many requests; see Retry-After.",
}
_WITH_BODY = {
    "409": "It contradicts an earlier request.",
    "415": "A format that is not accepted.",
    "507": "The storage is full.",
}
_NEVER_FAILS = frozenset({"/healthz", "/metrics"})


def install_openapi(app: FastAPI) -> None:
    """Document problem responses on every route of the app."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign] # the way that FastAPI documents


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=app.description,
        tags=app.openapi_tags,
        routes=app.routes,
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = _PROBLEM
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if path not in _NEVER_FAILS:
                _add_problems(operation, method)
    # FastAPI's own shape of a validation error is never sent.
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    return document


def _add_problems(operation: dict[str, Any], method: str) -> None:
    wanted = dict(_ALWAYS)
    if operation.get("security"):
        wanted |= _WITH_KEY
    if method in {"post", "put", "patch"}:
        wanted |= _WITH_BODY
    responses = operation.setdefault("responses", {})
    problem = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for status, description in wanted.items():
        is_default_validation = status == "422" and "HTTPValidationError" in str(
            responses.get(status)
        )
        if status not in responses or is_default_validation:
            responses[status] = {"description": description, "content": problem}
        else:
            responses[status].setdefault("content", {}).update(problem)
        if status in {"429", "503"}:
            responses[status].setdefault("headers", {})["Retry-After"] = {
                "description": "Seconds after which a retry is worth it.",
                "schema": {"type": "integer"},
            }
