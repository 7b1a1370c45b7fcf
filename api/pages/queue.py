"""The queue: what waits for a person, what teaches most first."""

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from api.auth import Caller, require
from api.dependencies import DbSession, ServicesDep
from api.pages.page_images import thumbnail
from api.pages.rendering import PageRoute, page
from api.pages.words import headline
from api.schemas import LONGEST_NAME, NO_NUL
from db.queries.leases import leases_of
from db.queries.quarantine import count_held
from db.queries.review import (
    Cause,
    Queued,
    Shelf,
    Wanted,
    count_shelves,
    known_values,
    list_queue,
    next_in_queue,
    pace,
)
from db.tables import Scope
from extraction.extract import UNKNOWN_TYPE

router = APIRouter(route_class=PageRoute)

CallerDep = Annotated[Caller, Depends(require(Scope.EXTRACT))]
Text = Annotated[str | None, Query(max_length=LONGEST_NAME, pattern=NO_NUL)]

_PAGE_ROWS = 50
_MOST_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class Filters:
    """What the address of a queue page says; empty texts are as good as none."""

    shelf: Shelf = Shelf.WAITING
    cause: Cause | None = None
    document_type: str | None = None
    model_version: str | None = None

    def wanted(self) -> Wanted:
        """The same as a question to the database."""
        return Wanted(
            self.shelf, self.cause, self.document_type or None, self.model_version or None
        )

    def query(self, **changes: Any) -> str:
        """The address's query with some of it changed; "" where nothing is left."""
        values = {
            "shelf": "" if self.shelf is Shelf.WAITING else str(self.shelf),
            "cause": "" if self.cause is None else str(self.cause),
            "document_type": self.document_type,
            "model_version": self.model_version,
            **changes,
        }
        kept = {name: value for name, value in values.items() if value}
        return f"?{urlencode(kept)}" if kept else ""


def read_filters(
    shelf: Shelf = Shelf.WAITING,
    cause: Annotated[Cause | str | None, Query(max_length=20)] = None,
    document_type: Text = None,
    model_version: Text = None,
) -> Filters:
    """A dependency: the filters of the address."""
    known = Cause(cause) if cause in set(Cause) else None
    return Filters(shelf, known, document_type, model_version)


FiltersDep = Annotated[Filters, Depends(read_filters)]


@router.get("/")
async def show(
    request: Request,
    session: DbSession,
    caller: CallerDep,
    filters: FiltersDep,
    offset: Annotated[int, Query(ge=0, le=_MOST_ROWS)] = 0,
) -> Response:
    """The queue with its filters and its pace."""
    wanted = filters.wanted()
    rows = await list_queue(session, caller.tenant_id, wanted, offset=offset, limit=_PAGE_ROWS + 1)
    leases = await leases_of(session, [row.prediction.id for row in rows])
    types, versions = await known_values(session, caller.tenant_id)
    mine = None if caller.page is None else caller.page.id
    return page(
        request,
        "queue.html",
        caller,
        rows=[
            _show(row)
            | {
                "busy": leases[row.prediction.id].reviewer
                if row.prediction.id in leases and leases[row.prediction.id].session_id != mine
                else None
            }
            for row in rows[:_PAGE_ROWS]
        ],
        filters=filters,
        offset=offset,
        more=len(rows) > _PAGE_ROWS,
        page_rows=_PAGE_ROWS,
        shelves=await count_shelves(session, caller.tenant_id, wanted),
        pace=await pace(session, caller.tenant_id),
        types=types,
        versions=versions,
        causes=list(Cause),
        held=await count_held(session, caller.tenant_id) if Scope.REVIEW in caller.scopes else 0,
    )


@router.get("/review/next")
async def read_next(
    session: DbSession, caller: CallerDep, filters: FiltersDep, after: UUID | None = None
) -> Response:
    """The document to go on with, as JSON; null where nothing is left."""
    found = None
    if caller.page is not None:
        found = await next_in_queue(
            session,
            caller.tenant_id,
            filters.wanted(),
            session_id=caller.page.id,
            after=after,
        )
    return JSONResponse({"id": None if found is None else str(found)})


@router.get("/review/{prediction_id}/thumbnail")
async def read_thumbnail(prediction_id: UUID, services: ServicesDep, caller: CallerDep) -> Response:
    """The first page, small."""
    return await thumbnail(services, caller, prediction_id)


def _show(row: Queued) -> dict[str, Any]:
    prediction = row.prediction
    title, more = headline(prediction.document_type, prediction.record)
    if prediction.state.value in {"queued", "running"}:
        title, more = "Is being read", ""
    if prediction.error is not None:
        title, more = str(prediction.error.get("title", "Failed")), ""
    return {
        "id": prediction.id,
        "title": "No type fits" if prediction.document_type == UNKNOWN_TYPE else title,
        "more": more,
        "document_type": prediction.document_type,
        "model_version": prediction.model_version,
        "confidence": prediction.lowest_confidence,
        "failed_checks": row.failed_checks,
        "disagrees": row.disagrees,
        "verdict": row.verdict,
        "reviewer": row.reviewer,
        "state": prediction.state,
        "error": (prediction.error or {}).get("detail"),
        "created_at": prediction.created_at,
    }
