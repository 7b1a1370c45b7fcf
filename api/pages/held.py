"""Corrections that wait for a second person, with what they change and why they are held."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from api.auth import Caller, require
from api.cursors import Cursor, cut_page, read_cursor
from api.dependencies import DbSession
from api.pages.fields import text_of
from api.pages.rendering import PageRoute, page
from api.pages.words import headline, label
from api.presentation import human_leaves
from api.routes.quarantine import show_held
from db.queries.predictions import get_prediction
from db.queries.quarantine import Held, count_held, list_held
from db.tables import Prediction, QuarantineState, Scope

router = APIRouter(route_class=PageRoute)

_PAGE_ROWS = 20
_MOST_CHANGES = 30


@router.get("/held")
async def show(
    request: Request,
    session: DbSession,
    caller: Annotated[Caller, Depends(require(Scope.REVIEW))],
    state: QuarantineState = QuarantineState.WAITING,
    cursor: Cursor = None,
) -> Response:
    """The list; the decision goes to POST /quarantine/{correction_id}."""
    found = await list_held(session, caller.tenant_id, state, read_cursor(cursor), _PAGE_ROWS + 1)
    shown = [(show_held(item), item) for item in found]
    kept, next_cursor = cut_page([answer for answer, _ in shown], _PAGE_ROWS)
    items = []
    for answer, item in shown[: len(kept)]:
        prediction = await get_prediction(session, caller.tenant_id, answer.prediction_id)
        items.append(_card(item, prediction, caller) | {"answer": answer})
    counts = {each: await count_held(session, caller.tenant_id, each) for each in QuarantineState}
    return page(
        request,
        "held.html",
        caller,
        items=items,
        state=state,
        counts=counts,
        next_cursor=next_cursor,
    )


def _card(item: Held, prediction: Prediction, caller: Caller) -> dict[str, Any]:
    correction = item.correction
    title, more = headline(prediction.document_type, prediction.record)
    own = correction.api_key_id == caller.key_id
    changes = [
        {"label": label(path.replace(".", " ")), "before": before, "after": text_of(value)}
        for path, value in human_leaves(correction.record or {})
        if (before := text_of(_at(prediction.record or {}, path))) != text_of(value)
    ]
    return {
        "title": title,
        "more": more,
        "document_type": prediction.document_type,
        "own": own,
        "changes": changes[:_MOST_CHANGES],
        "more_changes": max(0, len(changes) - _MOST_CHANGES),
        "prediction_id": UUID(str(prediction.id)),
    }


def _at(record: Any, path: str) -> Any:
    """The value at a path of a record; None where nothing is."""
    for part in path.split("."):
        if isinstance(record, dict):
            record = record.get(part)
        elif isinstance(record, list) and part.isdigit() and int(part) < len(record):
            record = record[int(part)]
        else:
            return None
    return record
