"""What a review needs beside the API: the lease of a document, and a region that is read again."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from api.auth import Caller, require
from api.dependencies import DbSession, ServicesDep
from api.errors import InvalidRequest
from api.json_body import parse_model, read_json
from api.pages.page_images import read_region
from db.queries.corrections import count_corrections
from db.queries.leases import release_lease, take_lease
from db.queries.predictions import get_prediction
from db.tables import PageSession, Scope
from extraction.lines import Box

router = APIRouter()

CallerDep = Annotated[Caller, Depends(require(Scope.EXTRACT))]
Ratio = Annotated[float, Field(ge=0, le=1)]

_MOST_PAGES = 10_000
_LEAST_SIDE = 0.002


class LeaseBody(BaseModel):
    """Whether to take a document that another person has."""

    model_config = ConfigDict(extra="forbid")

    by_force: bool = False


class RegionBody(BaseModel):
    """A box on a page, as ratios of the page."""

    model_config = ConfigDict(extra="forbid")

    page: int = Field(ge=0, le=_MOST_PAGES)
    box: tuple[Ratio, Ratio, Ratio, Ratio]


@router.post("/review/{prediction_id}/lease")
async def take(
    prediction_id: UUID, request: Request, session: DbSession, caller: CallerDep
) -> Response:
    """Take or renew the lease; who has it, and how many corrections there are now."""
    body = parse_model(LeaseBody, await read_json(request))
    holder = _page(caller)
    await get_prediction(session, caller.tenant_id, prediction_id)
    held = await take_lease(session, holder, prediction_id, by_force=body.by_force)
    counts = await count_corrections(session, caller.tenant_id, [prediction_id])
    return JSONResponse(
        {
            "mine": held.session_id == holder.id,
            "reviewer": held.reviewer,
            "taken_at": held.taken_at.isoformat(),
            "corrections": counts.get(prediction_id, 0),
        }
    )


@router.delete("/review/{prediction_id}/lease", status_code=204)
async def release(prediction_id: UUID, session: DbSession, caller: CallerDep) -> None:
    """Give the lease back."""
    await get_prediction(session, caller.tenant_id, prediction_id)
    await release_lease(session, _page(caller), prediction_id)


@router.post("/review/{prediction_id}/region")
async def read_again(
    prediction_id: UUID, request: Request, services: ServicesDep, caller: CallerDep
) -> Response:
    """The text in a box, read anew by the line reader."""
    body = parse_model(RegionBody, await read_json(request))
    box = Box(*body.box)
    if box.width < _LEAST_SIDE or box.height < _LEAST_SIDE:
        raise InvalidRequest({"box": "it is too small; draw it around the text"})
    lines = await read_region(services, caller, prediction_id, body.page, box)
    if lines is None:
        raise InvalidRequest({"box": "this service reads no lines; type the value"})
    return JSONResponse({"text": " ".join(line.text for line in lines), "lines": _show(lines)})


def _show(lines: Any) -> list[dict[str, Any]]:
    return [
        {
            "text": line.text,
            "box": [line.box.left, line.box.top, line.box.right, line.box.bottom],
            "score": round(line.score, 4),
        }
        for line in lines
    ]


def _page(caller: Caller) -> PageSession:
    if caller.page is None:
        raise InvalidRequest({"Cookie": "a lease belongs to a browser that is signed in"})
    return caller.page
