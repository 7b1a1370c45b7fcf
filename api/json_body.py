"""JSON bodies, read strictly: no NaN, no endless nesting, no key that stands twice.

Python's parser takes NaN, the last of two equal keys, and ends deep nesting with a RecursionError;
each of them would become a wrong value, or a 500 far from its cause.
"""

import json
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from api.errors import InvalidRequest, UnsupportedMediaType

JSON = "application/json"

M = TypeVar("M", bound=BaseModel)


class _NotJson(ValueError):
    """Text that Python's parser would take and JSON does not allow."""


async def read_json(request: Request) -> Any:
    """The body of a request as JSON. Its size is bounded before, by `api.body_limit`.

    Raises:
        UnsupportedMediaType: it says that it is something else, or packed.
        InvalidRequest: it is no JSON, or nested too deeply.
    """
    refuse_packed(request)
    declared = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if declared != JSON and not declared.endswith("+json"):
        raise UnsupportedMediaType(JSON)
    content = parse_json(await request.body())
    if _holds_half_characters(content):
        raise InvalidRequest({"body": "a text holds half of a surrogate pair"})
    return content


def refuse_packed(request: Request) -> None:
    """Raise where the body is compressed: its limit counts the bytes that are sent.

    Raises:
        UnsupportedMediaType: `Content-Encoding` is another than identity.
    """
    if request.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
        raise UnsupportedMediaType("the body as it is, uncompressed", "Content-Encoding")


def parse_json(body: bytes) -> Any:
    """JSON text as a value.

    Raises:
        InvalidRequest: it is no JSON, or nested too deeply.
    """
    try:
        return json.loads(
            body, parse_constant=_refuse_constant, object_pairs_hook=_refuse_duplicates
        )
    except _NotJson as error:
        raise InvalidRequest({"body": str(error)}) from None
    except RecursionError:
        raise InvalidRequest({"body": "it is nested too deeply"}) from None
    except ValueError:
        raise InvalidRequest({"body": "it is no JSON in UTF-8"}) from None


def parse_model(model: type[M], content: Any) -> M:
    """The content as a model; every fault is named, no value is quoted.

    Raises:
        InvalidRequest: it does not fit.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        faults = {
            ".".join(str(part)[:200] for part in fault["loc"]) or "body": fault["msg"]
            for fault in error.errors(include_input=False, include_context=False, include_url=False)
        }
        raise InvalidRequest(faults) from None


def _holds_half_characters(content: Any) -> bool:
    """Whether a text cannot be written as UTF-8, as one half of a surrogate pair."""
    pending = [content]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending += [*value, *value.values()]
        elif isinstance(value, list):
            pending += value
        elif isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                return True
    return False


def _refuse_constant(name: str) -> Any:
    raise _NotJson(f"{name} is not JSON")


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise _NotJson("a key stands twice in one object")
    return content
