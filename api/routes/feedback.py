"""What people say about predictions."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from api.auth import Caller, require
from api.cursors import Cursor, Limit, cut_page, read_cursor
from api.dependencies import DbSession, ServicesDep
from api.errors import InvalidRequest, PredictionUnfinished
from api.json_body import JSON, parse_model, read_json
from api.presentation import human_leaves, show_correction
from api.schemas import CorrectionAnswer, CorrectionHistory, CorrectionList, FeedbackBody
from api.type_lookup import find_type
from db.queries.corrections import (
    NewCorrection,
    add_correction_once,
    correction_history,
    list_corrections,
)
from db.queries.predictions import get_prediction
from db.tables import Scope, State, Verdict
from extraction.document_types.catalogue import as_asked
from extraction.errors import InvalidRecord
from extraction.extract import UNKNOWN_TYPE
from extraction.human_record import validate_human_record

router = APIRouter(tags=["feedback"])

CallerDep = Annotated[Caller, Depends(require(Scope.FEEDBACK))]

_REQUEST_BODY = {
    "required": True,
    "content": {JSON: {"schema": FeedbackBody.model_json_schema()}},
}


@router.post(
    "/feedback",
    status_code=201,
    summary="Say whether a prediction is right",
    responses={200: {"description": "It was said before.", "model": CorrectionAnswer}},
    openapi_extra={"requestBody": _REQUEST_BODY},
)
async def give(
    request: Request,
    response: Response,
    session: DbSession,
    services: ServicesDep,
    caller: CallerDep,
) -> CorrectionAnswer:
    """Store a verdict; `corrected` carries the corrected fields, the others no record.

    `correct` confirms every field, `corrected` those that it names, and with `confirms_rest` the
    others too: only what is confirmed is learnt from.

    A later correction supersedes the one in force as a whole; the history stays. The same from the
    same reviewer again changes nothing. With `expected_corrections` it is stored only where nobody
    else has spoken since.
    """
    body = parse_model(FeedbackBody, await read_json(request))
    verdict = Verdict(body.verdict)
    if (verdict is Verdict.CORRECTED) != (body.record is not None):
        wanted = "send the corrected fields" if body.record is None else "only with corrected"
        raise InvalidRequest({"record": wanted})
    if body.confirms_rest and verdict is not Verdict.CORRECTED:
        raise InvalidRequest({"confirms_rest": "only with corrected"})
    prediction = await get_prediction(session, caller.tenant_id, body.prediction_id)
    if prediction.state is not State.DONE:
        raise PredictionUnfinished(str(prediction.state))
    record = None
    if body.record is not None:
        if prediction.document_type == UNKNOWN_TYPE:
            raise InvalidRecord({"": "the document has no known type; extract it as one first"})
        document_type = await find_type(
            session,
            caller.tenant_id,
            prediction.document_type,
            prediction.document_type_version,
        )
        asked = as_asked(document_type, prediction.options)
        record = validate_human_record(asked, body.record)
    new = NewCorrection(
        prediction_id=prediction.id,
        verdict=verdict,
        record=record,
        reviewer=body.reviewer or caller.reviewer or None,
        comment=body.comment or None,
        api_key_id=caller.key_id,
        confirms_rest=body.confirms_rest,
    )
    added = await add_correction_once(session, caller.tenant_id, new, body.expected_corrections)
    if added.is_new:
        services.metrics.watching.observe_review(
            prediction.document_type,
            prediction.model_version,
            verdict,
            prediction.fields or {},
            record,
        )
        for path, _ in human_leaves(record or {}):
            services.metrics.count_correction(
                prediction.document_type, path, prediction.model_version
            )
    else:
        response.status_code = 200
    return show_correction(added.correction)


@router.get("/feedback", summary="List corrections in force")
async def list_all(
    session: DbSession,
    caller: CallerDep,
    verdict: Verdict | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> CorrectionList:
    """Newest first, in pages; superseded ones are in a prediction's own history."""
    before = read_cursor(cursor)
    rows = await list_corrections(
        session, caller.tenant_id, verdict=verdict, before=before, limit=limit + 1
    )
    kept, next_cursor = cut_page(rows, limit)
    return CorrectionList(
        corrections=[show_correction(row) for row in kept], next_cursor=next_cursor
    )


@router.get("/feedback/{prediction_id}", summary="Read the corrections of one prediction")
async def read(prediction_id: UUID, session: DbSession, caller: CallerDep) -> CorrectionHistory:
    """From the first to the one in force."""
    await get_prediction(session, caller.tenant_id, prediction_id)
    history = await correction_history(session, caller.tenant_id, prediction_id)
    return CorrectionHistory(
        prediction_id=prediction_id, corrections=[show_correction(row) for row in history]
    )
