"""What can be read: built-in types, and a tenant's own from a JSON Schema."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from api.auth import Caller, require
from api.dependencies import DbSession
from api.json_body import JSON, read_json
from api.presentation import show_type
from api.schemas import DocumentTypeAnswer, DocumentTypeList
from api.type_lookup import as_type
from db.queries.audit import record_event
from db.queries.document_types import get_type, list_types, put_type, retire_type
from db.tables import Scope
from extraction.document_types.catalogue import BUILT_IN
from extraction.document_types.custom import type_from_schema
from extraction.errors import InvalidType, UnknownType

router = APIRouter(tags=["document types"])

NamePath = Annotated[
    str, Path(min_length=1, max_length=64, pattern="^[a-z][a-z0-9_]*$", examples=["delivery_note"])
]
ReaderDep = Annotated[Caller, Depends(require(Scope.EXTRACT))]
AdminDep = Annotated[Caller, Depends(require(Scope.ADMIN))]

_GREATEST_VERSION = 2**31 - 1
_SCHEMA_EXAMPLE = {
    "type": "object",
    "description": "A delivery note.",
    "properties": {
        "note_number": {"type": "string", "x-kind": "code"},
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
_REQUEST_BODY: dict[str, Any] = {
    "required": True,
    "content": {JSON: {"schema": {"type": "object"}, "example": _SCHEMA_EXAMPLE}},
}


@router.get("/document-types", summary="List document types")
async def list_all(session: DbSession, caller: ReaderDep) -> DocumentTypeList:
    """Built-in types, then the tenant's own that are in use, by name."""
    stored = await list_types(session, caller.tenant_id)
    return DocumentTypeList(
        document_types=[
            *(show_type(document_type) for document_type in BUILT_IN.values()),
            *(show_type(as_type(row), row) for row in stored),
        ]
    )


@router.get("/document-types/{name}", summary="Read a document type")
async def read(
    name: NamePath,
    session: DbSession,
    caller: ReaderDep,
    version: Annotated[
        int | None,
        Query(ge=1, le=_GREATEST_VERSION, description="A certain one, retired or not."),
    ] = None,
) -> DocumentTypeAnswer:
    """With the JSON Schema of its records in responses."""
    if name in BUILT_IN:
        if version not in {None, BUILT_IN[name].version}:
            raise UnknownType(name)
        return show_type(BUILT_IN[name])
    stored = await get_type(session, caller.tenant_id, name, version)
    return show_type(as_type(stored), stored)


@router.put(
    "/document-types/{name}",
    summary="Add or change a document type of your own",
    responses={201: {"description": "A new version.", "model": DocumentTypeAnswer}},
    openapi_extra={"requestBody": _REQUEST_BODY},
)
async def put(
    name: NamePath, request: Request, response: Response, session: DbSession, caller: AdminDep
) -> DocumentTypeAnswer:
    """The body is a JSON Schema; what is outside of the accepted subset is refused with its path.

    The same schema again is the same version. It can be used at once in `/extract`. Needs the scope
    `admin`.
    """
    schema = await read_json(request)
    if not isinstance(schema, dict):
        raise InvalidType("", "a JSON Schema of an object is expected")
    type_from_schema(name, schema, 1)
    added = await put_type(session, caller.tenant_id, name, schema)
    if added.is_new:
        response.status_code = 201
        await record_event(
            session,
            caller.tenant_id,
            actor=caller.actor,
            action="document_type.put",
            subject=name,
            details={"version": added.stored.version},
        )
    return show_type(as_type(added.stored), added.stored)


@router.delete("/document-types/{name}", summary="Retire a document type of your own")
async def retire(name: NamePath, session: DbSession, caller: AdminDep) -> DocumentTypeAnswer:
    """No document is read with it any more; predictions that were made with it keep it.

    Putting a schema under the name brings it back. Needs the scope `admin`.
    """
    if name in BUILT_IN:
        raise InvalidType("", f"{name} is built in and stays")
    stored = await retire_type(session, caller.tenant_id, name)
    await record_event(
        session,
        caller.tenant_id,
        actor=caller.actor,
        action="document_type.retire",
        subject=name,
        details={"version": stored.version},
    )
    return show_type(as_type(stored), stored)
