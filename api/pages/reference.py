"""/docs: the HTTP reference from the OpenAPI document, as one page that needs no network."""

import contextlib
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from markdown_it import MarkdownIt
from markupsafe import Markup

from api.auth import identify
from api.dependencies import ServicesDep
from api.pages.rendering import PageRoute, page
from extraction.errors import DocloopError

router = APIRouter(route_class=PageRoute)

_METHODS = ("get", "post", "put", "patch", "delete")
_DEEPEST = 3
_SAFE = {"get", "head"}


@router.get("/docs")
async def show(request: Request, services: ServicesDep) -> Response:
    """Anyone may read it, as anyone may read /openapi.json."""
    document = request.app.openapi()
    caller = None
    with contextlib.suppress(DocloopError):
        caller = await identify(request, services, None)
    return page(
        request,
        "docs.html",
        caller,
        title=document["info"]["title"],
        version=document["info"]["version"],
        summary=document["info"].get("summary", ""),
        description=prose(document["info"].get("description", "")),
        groups=_groups(document),
    )


@router.get("/redoc")
async def redirect() -> Response:
    """An earlier address."""
    return RedirectResponse("/docs", 308)


def prose(text: str) -> Markup:
    """Markdown of our own as HTML; HTML in it is shown as text."""
    return Markup(_markdown().render(text))  # noqa: S704 - rendered with HTML switched off


@lru_cache(maxsize=1)
def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False})


def _groups(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Tags in their order, each with its operations."""
    groups = {
        tag["name"]: {"name": tag["name"], "about": tag.get("description", ""), "operations": []}
        for tag in document.get("tags", ())
    }
    for path, operations in document["paths"].items():
        for method in _METHODS:
            if method in operations:
                operation = operations[method]
                tag = (operation.get("tags") or ["service"])[0]
                group = groups.setdefault(tag, {"name": tag, "about": "", "operations": []})
                group["operations"].append(_operation(document, path, method, operation))
    return [group for group in groups.values() if group["operations"]]


def _operation(
    document: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any]
) -> dict[str, Any]:
    bodies = []
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        schema = _resolved(document, content.get("schema", {}))
        example = content.get("example") or next(iter(schema.get("examples", [])), None)
        bodies.append({"kind": kind, "rows": _properties(document, schema), "example": example})
    responses = []
    for status, response in operation.get("responses", {}).items():
        schema = next((part.get("schema", {}) for part in response.get("content", {}).values()), {})
        rows = _properties(document, schema) if status.startswith("2") else []
        responses.append({"status": status, "about": response.get("description", ""), "rows": rows})
    return {
        "id": f"{method}{path}".replace("/", "-").replace("{", "").replace("}", ""),
        "method": method.upper(),
        "path": path,
        "summary": operation.get("summary", ""),
        "about": prose(operation.get("description", "")),
        "keyed": bool(operation.get("security")),
        "parameters": [_parameter(part) for part in operation.get("parameters", ())],
        "bodies": bodies,
        "responses": responses,
        "curl": _curl(path, method, operation, bodies),
    }


def _parameter(given: Mapping[str, Any]) -> dict[str, Any]:
    schema = given.get("schema", {})
    return {
        "name": given["name"],
        "place": given["in"],
        "required": bool(given.get("required")),
        "kind": _kind(schema),
        "about": given.get("description") or schema.get("description", ""),
    }


def _properties(
    document: Mapping[str, Any], schema: Mapping[str, Any], prefix: str = "", depth: int = 0
) -> list[dict[str, Any]]:
    """Rows of a schema's properties, those of objects within it below them."""
    schema = _resolved(document, schema)
    if "anyOf" in schema:
        options = [_resolved(document, option) for option in schema["anyOf"]]
        schema = next((option for option in options if option.get("properties")), {})
    required = set(schema.get("required", ()))
    rows = []
    for name, part in schema.get("properties", {}).items():
        full = _resolved(document, part)
        rows.append(
            {
                "name": f"{prefix}{name}",
                "kind": _kind(full),
                "required": name in required,
                "about": part.get("description") or full.get("description", ""),
            }
        )
        inner = _resolved(document, full.get("items", full))
        if depth + 1 < _DEEPEST and inner.get("properties"):
            mark = "[]." if "items" in full else "."
            rows += _properties(document, inner, f"{prefix}{name}{mark}", depth + 1)
    return rows


def _resolved(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A schema with its reference followed; the words beside the reference win."""
    reference = schema.get("$ref", "")
    if not reference.startswith("#/"):
        return schema
    found: Any = document
    for part in reference[2:].split("/"):
        found = found.get(part, {})
    return {**found, **{name: value for name, value in schema.items() if name != "$ref"}}


def _kind(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(option) for option in schema["anyOf"]))
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "enum" in schema:
        return " | ".join(str(choice) for choice in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    kind = schema.get("type", "any")
    form = schema.get("format")
    return f"{kind} ({form})" if form else str(kind)


def _curl(
    path: str, method: str, operation: Mapping[str, Any], bodies: list[dict[str, Any]]
) -> str:
    """The same request on a command line."""
    parts = ["curl"]
    if method not in _SAFE and not (method == "post" and bodies):
        parts.append(f"-X {method.upper()}")
    if operation.get("security"):
        parts.append('-H "Authorization: Bearer $DOCLOOP_API_KEY"')
    kinds = {body["kind"]: body for body in bodies}
    if "multipart/form-data" in kinds:
        parts.append("-F file=@document.jpg")
    elif "application/json" in kinds:
        example = kinds["application/json"]["example"]
        parts.append('-H "Content-Type: application/json"')
        parts.append(f"-d '{json.dumps(example if example is not None else {})}'")
    parts.append(f'"$DOCLOOP_URL{path}"')
    return " \\\n  ".join(parts)
