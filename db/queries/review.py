"""The queue of the review pages: what waits for a person, in the order of what teaches most."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Float,
    Integer,
    Select,
    UnaryExpression,
    case,
    cast,
    exists,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from db.queries.corrections import in_force
from db.tables import Correction, Prediction, ReviewLease, ShadowAnswer, State, Verdict

S = TypeVar("S", bound=Select[*tuple[Any, ...]])

# A field without a confidence says as little as a coin.
_UNKNOWN_CONFIDENCE = 0.5
_DISAGREEMENT = 0.5
_FAILED_CHECK = 0.25
_MOST_CHECKS = 2
_FAILED = text("""'$[*] ? (@.verdict == "fail")'::jsonpath""")
# A longer pause than this was no work on the document.
_LONGEST_REVIEW_SECONDS = 600
_RECENT_HOURS = 2


class Shelf(StrEnum):
    """Which part of the predictions is looked at."""

    WAITING = "waiting"
    REVIEWED = "reviewed"
    UNFINISHED = "unfinished"
    FAILED = "failed"


class Cause(StrEnum):
    """Why a document is worth a look."""

    DOUBTFUL = "doubtful"
    CHECKS = "checks"
    DISAGREEMENT = "disagreement"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which documents to show; what is None does not restrict.

    Attributes:
        shelf: reviewed or not.
        cause: only those with it.
        document_type: only these.
        model_version: only those that it answered.
        doubtful_below: what "doubtful" means, as a confidence.
    """

    shelf: Shelf = Shelf.WAITING
    cause: Cause | None = None
    document_type: str | None = None
    model_version: str | None = None
    doubtful_below: float = 0.9


@dataclass(frozen=True, slots=True)
class Queued:
    """A prediction in the queue, and why it stands where it stands."""

    prediction: Prediction
    failed_checks: int
    disagrees: bool
    verdict: Verdict | None
    reviewer: str | None


@dataclass(frozen=True, slots=True)
class Pace:
    """How much is left and how fast it goes.

    Attributes:
        waiting: documents without a word of a person.
        last_hour: documents that somebody reviewed in the last hour.
        last_day: the same in 24 hours.
        median_seconds: between two of one person's reviews in the last two hours, pauses of more
            than ten minutes left out; None where there were none.
    """

    waiting: int
    last_hour: int
    last_day: int
    median_seconds: float | None


def failed_checks() -> ColumnElement[int]:
    """How many of a prediction's checks failed."""
    checks = func.coalesce(Prediction.checks, cast("[]", JSONB))
    return func.jsonb_array_length(func.jsonb_path_query_array(checks, _FAILED), type_=Integer)


def disagrees() -> ColumnElement[bool]:
    """Whether a version that was only tried out answered otherwise."""
    return exists().where(
        ShadowAnswer.tenant_id == Prediction.tenant_id,
        ShadowAnswer.prediction_id == Prediction.id,
        ShadowAnswer.record.is_not(None),
        cast(ShadowAnswer.record, JSONB) != cast(Prediction.record, JSONB),
    )


def worth() -> ColumnElement[float]:
    """What a person's word on a prediction teaches, as far as can be known before.

    (1 - the least confidence) + 0.5 where champion and shadow disagree + 0.25 for each failed
    check, two at most. Uncertainty sampling (Lewis & Gale 1994) with a committee's disagreement
    (Seung et al. 1992) on top; the weights are a choice, not a measurement.
    """
    doubt = 1 - func.coalesce(Prediction.lowest_confidence, _UNKNOWN_CONFIDENCE)
    disagreement = case((disagrees(), _DISAGREEMENT), else_=0.0)
    failed = _FAILED_CHECK * func.least(failed_checks(), _MOST_CHECKS)
    return cast(doubt + disagreement + failed, Float)


async def list_queue(
    session: AsyncSession, tenant_id: UUID, wanted: Wanted, *, offset: int = 0, limit: int = 50
) -> Sequence[Queued]:
    """The documents of a shelf: waiting ones by what they teach, others newest first."""
    spoken = (
        select(Correction.prediction_id, Correction.verdict, Correction.reviewer)
        .where(Correction.tenant_id == tenant_id, in_force())
        .subquery()
    )
    query = (
        _chosen(
            select(
                Prediction, failed_checks(), disagrees(), spoken.c.verdict, spoken.c.reviewer
            ).outerjoin(spoken, spoken.c.prediction_id == Prediction.id),
            tenant_id,
            wanted,
        )
        .order_by(*_order(wanted.shelf))
        .offset(offset)
        .limit(limit)
    )
    return [Queued(*row) for row in await session.execute(query)]


async def count_queue(session: AsyncSession, tenant_id: UUID, wanted: Wanted) -> int:
    """How many documents `list_queue` would list without a limit."""
    query = _chosen(select(func.count()).select_from(Prediction), tenant_id, wanted)
    return int((await session.execute(query)).scalar_one())


async def next_in_queue(
    session: AsyncSession, tenant_id: UUID, wanted: Wanted, *, session_id: UUID, after: UUID | None
) -> UUID | None:
    """The first waiting document that nobody else looks at.

    Args:
        session: to ask.
        tenant_id: whose.
        wanted: which.
        session_id: of the browser that asks; what it holds itself is no obstacle.
        after: the document that is left now: the one behind it where it still waits (it was
            skipped), else the first.
    """
    taken = exists().where(
        ReviewLease.prediction_id == Prediction.id,
        ReviewLease.session_id != session_id,
        ReviewLease.expires_at > func.clock_timestamp(),
    )
    first = _chosen(select(Prediction.id, worth().label("worth")), tenant_id, wanted).where(~taken)
    order = _order(wanted.shelf)
    if after is None:
        return (await session.execute(first.order_by(*order).limit(1))).scalar()
    mark = select(worth()).where(Prediction.tenant_id == tenant_id, Prediction.id == after)
    here = (await session.execute(mark)).scalar()
    first = first.where(Prediction.id != after)
    if here is not None:
        behind = (worth() < here) | ((worth() == here) & (Prediction.id > after))
        found = (await session.execute(first.where(behind).order_by(*order).limit(1))).scalar()
        if found is not None:
            return found
    return (await session.execute(first.order_by(*order).limit(1))).scalar()


async def pace(session: AsyncSession, tenant_id: UUID) -> Pace:
    """How much is left and how fast it goes."""
    hour = Correction.created_at > func.now() - text("interval '1 hour'")
    day = Correction.created_at > func.now() - text("interval '1 day'")
    reviewed = func.count(Correction.prediction_id.distinct())
    counted = select(reviewed.filter(hour), reviewed).where(Correction.tenant_id == tenant_id, day)
    last_hour, last_day = (await session.execute(counted)).one()
    who = func.coalesce(Correction.reviewer, cast(Correction.api_key_id, Correction.reviewer.type))
    before = func.lag(Correction.created_at).over(partition_by=who, order_by=Correction.created_at)
    gaps = (
        select(func.extract("epoch", Correction.created_at - before).label("seconds"))
        .where(
            Correction.tenant_id == tenant_id,
            Correction.created_at > func.now() - text(f"interval '{_RECENT_HOURS} hours'"),
        )
        .subquery()
    )
    median = select(func.percentile_cont(0.5).within_group(gaps.c.seconds)).where(
        gaps.c.seconds < _LONGEST_REVIEW_SECONDS
    )
    seconds = (await session.execute(median)).scalar()
    waiting = await count_queue(session, tenant_id, Wanted())
    return Pace(waiting, last_hour, last_day, None if seconds is None else float(seconds))


async def count_shelves(session: AsyncSession, tenant_id: UUID, wanted: Wanted) -> dict[Shelf, int]:
    """How many documents are on each shelf, under the other restrictions of `wanted`."""
    return {
        shelf: await count_queue(
            session,
            tenant_id,
            Wanted(shelf, wanted.cause, wanted.document_type, wanted.model_version),
        )
        for shelf in Shelf
    }


async def known_values(session: AsyncSession, tenant_id: UUID) -> tuple[list[str], list[str]]:
    """Document types and model versions of a tenant's predictions, for filters."""
    types = select(Prediction.document_type).where(Prediction.tenant_id == tenant_id).distinct()
    versions = (
        select(Prediction.model_version)
        .where(Prediction.tenant_id == tenant_id, Prediction.model_version.is_not(None))
        .distinct()
    )
    found_types = (await session.execute(types.order_by(Prediction.document_type))).scalars()
    found = (await session.execute(versions.order_by(Prediction.model_version))).scalars()
    return list(found_types), [version for version in found if version is not None]


def _order(shelf: Shelf) -> tuple[UnaryExpression[Any], ...]:
    if shelf is Shelf.WAITING:
        return worth().desc(), Prediction.id.asc()
    return (Prediction.id.desc(),)


def _chosen(query: S, tenant_id: UUID, wanted: Wanted) -> S:
    reviewed = exists().where(Correction.prediction_id == Prediction.id)
    query = query.where(Prediction.tenant_id == tenant_id)
    match wanted.shelf:
        case Shelf.WAITING:
            query = query.where(Prediction.state == State.DONE, ~reviewed)
        case Shelf.REVIEWED:
            query = query.where(Prediction.state == State.DONE, reviewed)
        case Shelf.FAILED:
            query = query.where(Prediction.state == State.FAILED)
        case Shelf.UNFINISHED:
            query = query.where(Prediction.state.in_([State.QUEUED, State.RUNNING]))
    match wanted.cause:
        case Cause.DOUBTFUL:
            query = query.where(Prediction.lowest_confidence < wanted.doubtful_below)
        case Cause.CHECKS:
            query = query.where(failed_checks() > 0)
        case Cause.DISAGREEMENT:
            query = query.where(disagrees())
    if wanted.document_type is not None:
        query = query.where(Prediction.document_type == wanted.document_type)
    if wanted.model_version is not None:
        query = query.where(Prediction.model_version == wanted.model_version)
    return query
