"""Corrections that wait for a second person before anything is learnt from them."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from api.auth import Caller, require
from api.cursors import Cursor, Limit, cut_page, read_cursor
from api.dependencies import DbSession
from api.json_body import JSON, parse_model, read_json
from api.schemas import LONGEST_COMMENT, NO_NUL, Answer
from db.queries.corrections import get_correction
from db.queries.quarantine import Held, decide, list_held
from db.tables import QuarantineState, Scope, Verdict

router = APIRouter(tags=["feedback"])

CallerDep = Annotated[Caller, Depends(require(Scope.REVIEW))]

_COMMENT = "comment"


class HoldReason(Answer):
    """Why a correction waits."""

    rule: str = Field(description="A stable slug.", examples=["contradicts-page"])
    detail: str = Field(description="Fields, counts and figures; no value of the document.")


class HeldAnswer(Answer):
    """A correction that waits, or waited, for a second person."""

    id: UUID = Field(description="The correction's.")
    prediction_id: UUID
    verdict: Verdict
    record: dict[str, Any] | None = Field(description="The corrected fields.")
    reviewer: str | None = Field(description="Who gave it.")
    state: QuarantineState
    reasons: list[HoldReason]
    comment: str | None = Field(description="What the second person wrote.")
    decided_by: str | None = Field(description="The second person's key.")
    decided_at: datetime | None
    created_at: datetime = Field(description="When it was held.")


class HeldList(Answer):
    """Held corrections, newest first."""

    held: list[HeldAnswer]
    next_cursor: str | None = Field(description="For the page that follows; null on the last one.")


class DecisionBody(BaseModel):
    """A second person's word."""

    model_config = ConfigDict(extra="forbid")

    decision: Literal["accept", "reject"] = Field(
        description="Whether it may be learnt from. The last decision counts."
    )
    comment: str | None = Field(default=None, max_length=LONGEST_COMMENT, pattern=NO_NUL)


_REQUEST_BODY = {"required": True, "content": {JSON: {"schema": DecisionBody.model_json_schema()}}}


@router.get("/quarantine", summary="List corrections that wait for a second person")
async def list_all(
    session: DbSession,
    caller: CallerDep,
    state: QuarantineState = QuarantineState.WAITING,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> HeldList:
    """Newest first, in pages. The trainer learns nothing from them unless they are accepted.

    Needs the scope `review`.
    """
    before = read_cursor(cursor)
    found = await list_held(session, caller.tenant_id, state, before, limit + 1)
    kept, next_cursor = cut_page([show_held(item) for item in found], limit)
    return HeldList(held=list(kept), next_cursor=next_cursor)


@router.post(
    "/quarantine/{correction_id}",
    summary="Accept or reject a held correction",
    openapi_extra={"requestBody": _REQUEST_BODY},
)
async def decide_one(
    correction_id: UUID, request: Request, session: DbSession, caller: CallerDep
) -> HeldAnswer:
    """An accepted correction is learnt from with the next cycle, a rejected one never is.

    Whoever gave the correction cannot decide on it (409): another key is needed than the one that
    it came with, as of `docloop keys create NAME --scope review`. Needs the scope `review`.
    """
    body = parse_model(DecisionBody, await read_json(request))
    held = await decide(
        session,
        caller.tenant_id,
        correction_id,
        accept=body.decision == "accept",
        actor=caller.actor,
        api_key_id=caller.key_id,
    )
    # With the correction, so that an erasure takes it too; the audit trail would keep it.
    said = [] if not body.comment else [{"rule": _COMMENT, "detail": body.comment}]
    held.reasons = [*(part for part in held.reasons if part["rule"] != _COMMENT), *said]
    await session.flush()
    correction = await get_correction(session, caller.tenant_id, correction_id)
    return show_held(Held(held, correction))


def show_held(item: Held) -> HeldAnswer:
    """A held correction, and what was said of it."""
    held, correction = item.held, item.correction
    comments = [part["detail"] for part in held.reasons if part["rule"] == _COMMENT]
    return HeldAnswer(
        id=correction.id,
        prediction_id=correction.prediction_id,
        verdict=correction.verdict,
        record=correction.record,
        reviewer=correction.reviewer,
        state=held.state,
        reasons=[HoldReason(**part) for part in held.reasons if part["rule"] != _COMMENT],
        comment=comments[0] if comments else None,
        decided_by=held.decided_by,
        decided_at=held.decided_at,
        created_at=held.created_at,
    )
