"""One document under review: its pages on one side, its fields on the other."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth import Caller, require
from api.dependencies import DbSession
from api.pages.fields import Form, build_form
from api.pages.queue import FiltersDep
from api.pages.rendering import PageRoute, page
from api.pages.words import headline
from api.presentation import show_correction, show_prediction
from api.type_lookup import find_type
from db.queries.corrections import correction_history
from db.queries.documents import list_pages
from db.queries.leases import leases_of
from db.queries.predictions import get_prediction
from db.queries.review import Wanted, count_queue
from db.tables import Correction, HeldCorrection, Page, Prediction, Scope, State
from extraction.document_types.base import DocumentType
from extraction.errors import UnknownType
from extraction.extract import UNKNOWN_TYPE

router = APIRouter(route_class=PageRoute)

CallerDep = Annotated[Caller, Depends(require(Scope.EXTRACT))]


@router.get("/review/{prediction_id}")
async def show(
    prediction_id: UUID,
    request: Request,
    session: DbSession,
    caller: CallerDep,
    filters: FiltersDep,
) -> Response:
    """The document; scripts take the lease, keep drafts and send the verdict to POST /feedback."""
    prediction = await get_prediction(session, caller.tenant_id, prediction_id)
    pages = await list_pages(session, caller.tenant_id, prediction.document_id)
    history = await correction_history(session, caller.tenant_id, prediction_id)
    answer = show_prediction(prediction, pages, history)
    document_type = await type_of(session, prediction)
    record = answer.corrected_record or answer.record or {}
    form = Form()
    if document_type is not None and prediction.state is State.DONE:
        form = build_form(document_type, record, answer.fields, answer.checks)
    held = None
    if history:
        held = await session.get(HeldCorrection, history[-1].id)
    lease = (await leases_of(session, [prediction_id])).get(prediction_id)
    title, more = headline(prediction.document_type, record)
    unknown = prediction.document_type == UNKNOWN_TYPE
    return page(
        request,
        "review.html",
        caller,
        answer=answer,
        title="No type fits" if unknown else title,
        more=more,
        unknown=unknown,
        form=form,
        lines=_lines(pages),
        history=[show_correction(row) for row in history],
        held=held,
        lease=lease,
        mine=lease is not None and caller.page is not None and lease.session_id == caller.page.id,
        filters=filters,
        left=await count_queue(session, caller.tenant_id, filters.wanted()),
        known=_known(prediction, history),
        waiting=await count_queue(session, caller.tenant_id, Wanted()),
    )


async def type_of(session: AsyncSession, prediction: Prediction) -> DocumentType | None:
    """The type of a prediction with the fields that were asked; None where it is not known."""
    try:
        found = await find_type(
            session,
            prediction.tenant_id,
            prediction.document_type,
            prediction.document_type_version,
        )
    except UnknownType:
        return None
    return found.select(tuple(prediction.asked_fields or ()))


def _known(prediction: Prediction, history: list[Correction] | Any) -> dict[str, Any]:
    """What the scripts compare with: the model's record, and the word in force."""
    latest = history[-1] if history else None
    return {
        "id": str(prediction.id),
        "record": prediction.record or {},
        "corrections": len(history),
        "latest": None
        if latest is None
        else {
            "verdict": str(latest.verdict),
            "record": latest.record,
            "reviewer": latest.reviewer,
            "created_at": latest.created_at.isoformat(),
        },
    }


def _lines(pages: Any) -> list[dict[str, Any]]:
    """Pages with their lines, as the scripts draw them."""
    found: list[Page] = list(pages)
    return [
        {
            "index": each.index,
            "width": each.width_pixels,
            "height": each.height_pixels,
            "lines": [
                {"text": line["text"], "box": line["box"]}
                for line in each.lines or ()
                if isinstance(line, dict)
            ],
        }
        for each in found
    ]
