"""Document types: the list, and a schema edited in place with a live check against a sample."""

import asyncio
import json
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from api.auth import Caller, require
from api.dependencies import DbSession, ServicesDep
from api.json_body import parse_model, read_json
from api.pages.page_images import read_blob
from api.pages.rendering import PageRoute, page
from api.pages.words import headline, label
from api.presentation import show_type
from api.routes.document_types import NamePath
from api.type_lookup import as_type
from db.page_lines import lines_of
from db.queries.document_types import get_type, list_types
from db.queries.documents import list_pages
from db.queries.predictions import Filter, get_prediction, list_predictions
from db.tables import Scope, State
from extraction.document_types.base import DocumentType, FieldSpec, Kind, leaves
from extraction.document_types.catalogue import BUILT_IN
from extraction.document_types.custom import type_from_schema
from extraction.errors import InvalidRecord, InvalidType
from extraction.extract import ExtractRequest
from extraction.human_record import validate_human_record
from extraction.pages import load_pages

router = APIRouter(route_class=PageRoute)
steps = APIRouter()

ReaderDep = Annotated[Caller, Depends(require(Scope.EXTRACT))]
AdminDep = Annotated[Caller, Depends(require(Scope.ADMIN))]

_SAMPLES = 12
_LONGEST_NAME = 64
_STARTER: dict[str, Any] = {
    "type": "object",
    "description": "A delivery note.",
    "properties": {
        "note_number": {"type": "string", "x-kind": "code", "description": "Number of the note"},
        "delivered_on": {"type": "string", "format": "date"},
        "items": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "quantity": {"type": "number"}},
            },
        },
    },
}
_STARTER_SAMPLE = {
    "note_number": "DN-1042",
    "delivered_on": "25/12/2018",
    "items": [{"name": "Milk", "quantity": "2"}],
}


_EXAMPLES: dict[Kind, Any] = {
    Kind.MONEY: "12.50",
    Kind.NUMBER: "2",
    Kind.INTEGER: "2",
    Kind.RATE: "6%",
    Kind.DATE: "25/12/2018",
    Kind.TIME: "20:13",
    Kind.COUNTRY: "MYS",
    Kind.CURRENCY: "MYR",
    Kind.BOOLEAN: True,
    Kind.CODE: "A-1042",
}


class CheckBody(BaseModel):
    """A schema that is being written, and a sample of its records."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    name: str = Field(max_length=_LONGEST_NAME)
    draft: dict[str, Any]
    sample: dict[str, Any] | None = None


class TryBody(BaseModel):
    """A schema that is being written, and a document to read with it."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    name: str = Field(max_length=_LONGEST_NAME)
    draft: dict[str, Any]
    prediction_id: UUID


@router.get("/types")
async def show_all(request: Request, session: DbSession, caller: ReaderDep) -> Response:
    """Built-in types and the tenant's own."""
    stored = await list_types(session, caller.tenant_id)
    shown = [show_type(found) for found in BUILT_IN.values()]
    shown += [show_type(as_type(row), row) for row in stored]
    return page(request, "types.html", caller, types=shown)


@router.get("/types/-/new")
async def begin(request: Request, session: DbSession, caller: AdminDep) -> Response:
    """The editor with a type to start from."""
    return await _editor(request, session, caller, "", _STARTER, _STARTER_SAMPLE, version=0)


@router.get("/types/{name}")
async def edit(request: Request, name: NamePath, session: DbSession, caller: ReaderDep) -> Response:
    """The editor; a built-in type is shown and not changed."""
    if name in BUILT_IN:
        built_in = show_type(BUILT_IN[name])
        fields = field_rows(BUILT_IN[name])
        return page(request, "type.html", caller, shown=built_in, fields=fields)
    stored = await get_type(session, caller.tenant_id, name)
    sample = await _sample(session, caller, name)
    return await _editor(
        request, session, caller, name, stored.json_schema, sample, version=stored.version
    )


@steps.post("/types/check")
async def check(request: Request, caller: AdminDep) -> Response:
    """Whether a schema would be accepted, what it asks for, and whether a sample fits it."""
    _ = caller
    body = parse_model(CheckBody, await read_json(request))
    try:
        found = type_from_schema(body.name or "draft", body.draft, 1)
    except InvalidType as error:
        return JSONResponse({"fits": False, "path": error.path, "why": error.why, "fields": []})
    answer: dict[str, Any] = {"fits": True, "fields": field_rows(found), "sample": None}
    if body.sample is not None:
        try:
            answer["sample"] = {"record": validate_human_record(found, body.sample), "faults": {}}
        except InvalidRecord as error:
            answer["sample"] = {"record": None, "faults": error.facts().get("faults", {})}
    return JSONResponse(answer)


@steps.post("/types/try")
async def read_document(
    request: Request, session: DbSession, services: ServicesDep, caller: AdminDep
) -> Response:
    """What the served model reads from a stored document with a draft; nothing is kept."""
    body = parse_model(TryBody, await read_json(request))
    found = type_from_schema(body.name or "draft", body.draft, 1)
    prediction = await get_prediction(session, caller.tenant_id, body.prediction_id)
    stored = await list_pages(session, caller.tenant_id, prediction.document_id)
    images = [await read_blob(services, caller, prediction.id, each.index) for each in stored[:1]]
    pages = [each for image in images for each in await asyncio.to_thread(load_pages, image)]
    async with services.admission.place():
        extraction = await services.extractor.extract(
            ExtractRequest(content=b"", document_type=found), pages, lines=lines_of(stored) or ()
        )
    return JSONResponse(
        {
            "record": json.loads(json.dumps(dict(extraction.record), default=str)),
            "model_version": extraction.model_version,
            "warnings": list(extraction.warnings),
        }
    )


def field_rows(document_type: DocumentType) -> list[dict[str, str]]:
    """Every leaf of a type, for a table."""
    return [
        {"path": path, "kind": str(spec.kind), "description": spec.description or label(spec.name)}
        for path, spec in leaves(document_type.fields)
    ]


async def _editor(
    request: Request,
    session: DbSession,
    caller: Caller,
    name: str,
    schema: dict[str, Any],
    sample: dict[str, Any],
    *,
    version: int,
) -> Response:
    recent = await list_predictions(
        session, caller.tenant_id, Filter(state=State.DONE), limit=_SAMPLES
    )
    return page(
        request,
        "type_editor.html",
        caller,
        name=name,
        version=version,
        schema=json.dumps(schema, indent=2, ensure_ascii=False),
        sample=json.dumps(sample, indent=2, ensure_ascii=False),
        documents=[
            {
                "id": row.id,
                "title": " · ".join(filter(None, headline(row.document_type, row.record))),
            }
            for row in recent
        ],
    )


async def _sample(session: DbSession, caller: Caller, name: str) -> dict[str, Any]:
    """The newest record of the type, as something to check a change against."""
    found = await list_predictions(
        session, caller.tenant_id, Filter(document_type=name, state=State.DONE), limit=1
    )
    if found and found[0].record:
        return dict(found[0].record)
    stored = await get_type(session, caller.tenant_id, name)
    return _example(as_type(stored).fields)


def _example(specs: tuple[FieldSpec, ...]) -> dict[str, Any]:
    """A record that fits, where none was read yet."""
    made: dict[str, Any] = {}
    for spec in specs:
        if spec.children:
            inside = _example(spec.children)
            made[spec.name] = [inside] if spec.kind is Kind.LIST else inside
        elif spec.kind is Kind.LIST:
            made[spec.name] = [_EXAMPLES.get(spec.element, "text")]
        else:
            made[spec.name] = spec.choices[0] if spec.choices else _EXAMPLES.get(spec.kind, "text")
    return made
