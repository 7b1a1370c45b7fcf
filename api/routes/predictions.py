"""What was answered: lists, single predictions, page images, erasure."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import structlog
from fastapi import APIRouter, Depends, Header, Path, Query, Response
from pydantic import BeforeValidator

from api.auth import Caller, require
from api.cursors import Cursor, Limit, cut_page, read_cursor
from api.dependencies import DbSession, ServicesDep
from api.presentation import show_lineage, show_prediction, summarise
from api.schemas import LONGEST_NAME, NO_NUL, PredictionAnswer, PredictionList
from api.schemas_models import LineageAnswer
from db.errors import NotFound
from db.queries.blobs import sweep_blobs
from db.queries.corrections import correction_history, count_corrections
from db.queries.documents import get_page, list_pages
from db.queries.predictions import Filter, erase_prediction, get_prediction, list_predictions
from db.queries.runs import lineage
from db.queries.shadow import own_corrections
from db.tables import Scope, State

router = APIRouter(tags=["predictions"])
logger = structlog.get_logger(__name__)

_MOST_PAGES = 10_000
_IMAGE_SECONDS = 300
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def _no_bare_number(given: Any) -> Any:
    """Pydantic takes a number for seconds since 1970, whatever the caller meant by it."""
    if isinstance(given, str) and not _DATE.match(given):
        raise ValueError("write it as 2018-12-25T20:13:39Z")
    return given


CallerDep = Annotated[Caller, Depends(require(Scope.EXTRACT))]
Text = Annotated[str | None, Query(max_length=LONGEST_NAME, pattern=NO_NUL)]
Moment = Annotated[datetime | None, BeforeValidator(_no_bare_number)]


@router.get("/predictions", summary="List predictions")
async def list_all(
    session: DbSession,
    caller: CallerDep,
    document_type: Text = None,
    state: State | None = None,
    model_version: Text = None,
    created_after: Annotated[Moment, Query(description="Not before.")] = None,
    created_before: Annotated[Moment, Query(description="Exclusive.")] = None,
    has_correction: bool | None = None,
    max_confidence: Annotated[
        float | None,
        Query(ge=0, le=1, description="Only with a field of less confidence than this."),
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> PredictionList:
    """Newest first, in pages; a page stays the same while new predictions come."""
    chosen = Filter(
        document_type=document_type,
        state=state,
        model_version=model_version,
        created_from=_aware(created_after),
        created_until=_aware(created_before),
        has_correction=has_correction,
        confidence_below=max_confidence,
    )
    before = read_cursor(cursor)
    rows = await list_predictions(session, caller.tenant_id, chosen, before=before, limit=limit + 1)
    kept, next_cursor = cut_page(rows, limit)
    counts = await count_corrections(session, caller.tenant_id, [row.id for row in kept])
    return PredictionList(
        predictions=[summarise(row, counts.get(row.id, 0)) for row in kept],
        next_cursor=next_cursor,
    )


@router.get("/predictions/{prediction_id}", summary="Read one prediction")
async def read(prediction_id: UUID, session: DbSession, caller: CallerDep) -> PredictionAnswer:
    """The prediction with its corrections over it: their fields have the source `human`."""
    prediction = await get_prediction(session, caller.tenant_id, prediction_id)
    pages = await list_pages(session, caller.tenant_id, prediction.document_id)
    history = await correction_history(session, caller.tenant_id, prediction_id)
    return show_prediction(prediction, pages, history)


@router.get("/predictions/{prediction_id}/lineage", summary="Read what is behind a prediction")
async def read_lineage(prediction_id: UUID, session: DbSession, caller: CallerDep) -> LineageAnswer:
    """The version that made it, the run that made that, the corrections that the run learnt from.

    And so on back to the first version. Corrections of other tenants are counted and not named.
    """
    await get_prediction(session, caller.tenant_id, prediction_id)
    found = await lineage(session, prediction_id)
    behind = [correction for step in found.steps for correction in step.correction_ids]
    own = await own_corrections(session, caller.tenant_id, behind)
    return show_lineage(prediction_id, found, own)


@router.get(
    "/predictions/{prediction_id}/pages/{index}",
    summary="Read a page image",
    response_class=Response,
    responses={
        200: {
            "description": "The upright page, as JPEG.",
            "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}},
            "headers": {"ETag": {"schema": {"type": "string"}}},
        },
        304: {"description": "The image is the one that If-None-Match names."},
    },
)
async def read_page(
    prediction_id: UUID,
    index: Annotated[int, Path(ge=0, le=_MOST_PAGES)],
    services: ServicesDep,
    caller: CallerDep,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """The page as the model was given it, without the sent file's metadata."""
    async with services.sessions.begin() as session:
        prediction = await get_prediction(session, caller.tenant_id, prediction_id)
        page = await get_page(session, caller.tenant_id, prediction.document_id, index)
    if not page.has_image:
        raise NotFound("page image", str(index))
    headers = {
        "ETag": f'"{page.blob_key[:32]}"',
        # A shared cache would outlive an erasure and know no tenant.
        "Cache-Control": f"private, max-age={_IMAGE_SECONDS}",
        "Vary": "Authorization, Cookie",
        "X-Content-Type-Options": "nosniff",
    }
    if if_none_match is not None and _matches(if_none_match, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    image = await services.blobs.get(page.blob_key)
    return Response(image, headers=headers, media_type="image/jpeg")


@router.delete(
    "/predictions/{prediction_id}", status_code=204, summary="Erase a prediction for good"
)
async def erase(
    prediction_id: UUID,
    services: ServicesDep,
    caller: Annotated[Caller, Depends(require(Scope.ADMIN))],
) -> None:
    """Its rows, corrections and, where nothing else uses them, file and page images are gone.

    An audit event stays, with ids and counts. Needs the scope `admin`.
    """
    async with services.sessions.begin() as session:
        await erase_prediction(session, caller.tenant_id, prediction_id, actor=caller.actor)
    try:
        async with services.sessions.begin() as session:
            await sweep_blobs(session, services.blobs)
    except Exception as error:
        logger.warning("blobs not swept", exc_info=error)


def _aware(moment: datetime | None) -> datetime | None:
    """A time without an offset is UTC."""
    if moment is None or moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=UTC)


def _matches(if_none_match: str, etag: str) -> bool:
    """The weak comparison of RFC 9110, 13.1.2."""
    given = [part.strip().removeprefix("W/") for part in if_none_match.split(",")]
    return etag in given or "*" in given
