"""The page where documents are dropped; each goes to POST /extract, and a worker reads it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from api.auth import Caller, require
from api.dependencies import DbSession, ServicesDep
from api.pages.rendering import PageRoute, page
from db.queries.document_types import list_types
from db.tables import Scope
from extraction.document_types.catalogue import BUILT_IN

router = APIRouter(route_class=PageRoute)


@router.get("/upload")
async def show(
    request: Request,
    session: DbSession,
    services: ServicesDep,
    caller: Annotated[Caller, Depends(require(Scope.EXTRACT))],
) -> Response:
    """The drop zone."""
    own = await list_types(session, caller.tenant_id)
    limit = services.settings.max_upload_bytes
    return page(
        request,
        "upload.html",
        caller,
        types=[*BUILT_IN, *(row.name for row in own)],
        most_bytes=min(limit, caller.max_bytes or limit),
    )
