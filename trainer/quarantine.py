"""Screening: corrections that came in -> those that wait for a second person, in one transaction.

Late evidence counts: a flood that is recognised at its fiftieth correction holds the forty-nine
before it too, and so does a reviewer who turns out to disagree. What a second person has accepted
stays accepted.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from db.queries.corrections import correction_history
from db.queries.documents import get_document, list_pages
from db.queries.learning import Learnable, list_learnable, list_unscreened
from db.queries.predictions import get_prediction
from db.queries.quarantine import hold, list_held, mark_screened
from db.tables import Correction, QuarantineState, Verdict
from trainer.changes import Case
from trainer.profile import Profile, QuarantineSection
from trainer.quarantine_crowds import Context, screen
from trainer.type_lookup import Types, find_types, type_key

# How long what was screened before is looked at beside what is new.
_MEMORY = timedelta(days=30)
_AT_ONCE = 5000


@dataclass(frozen=True, slots=True)
class ScreenReport:
    """What a screening did.

    Attributes:
        screened_count: corrections looked at for the first time.
        held_count: those of them that wait now.
        held_later_count: corrections that had passed before and wait now.
        rules: how often each rule was a reason.
    """

    screened_count: int = 0
    held_count: int = 0
    held_later_count: int = 0
    rules: Mapping[str, int] = field(default_factory=dict)

    def plus(self, other: "ScreenReport") -> "ScreenReport":
        """Both together."""
        return ScreenReport(
            self.screened_count + other.screened_count,
            self.held_count + other.held_count,
            self.held_later_count + other.held_later_count,
            dict(sorted((Counter(self.rules) + Counter(other.rules)).items())),
        )


async def screen_new(session: AsyncSession, profile: Profile) -> ScreenReport:
    """Screen every correction that was not screened yet. Flushes; the caller commits.

    Done again at once it does nothing. A correction of a type that is not known any more passes:
    nothing can be learnt from it.

    Args:
        session: of one transaction.
        profile: its section `quarantine` says when.
    """
    report = ScreenReport()
    while new := await list_unscreened(session, _AT_ONCE):
        report = report.plus(await _screen(session, new, profile.quarantine))
    return report


async def _screen(
    session: AsyncSession, new: Sequence[Learnable], section: QuarantineSection
) -> ScreenReport:
    earliest = min(item.correction.created_at for item in new)
    accepted = await list_held(session, None, QuarantineState.ACCEPTED, limit=_AT_ONCE)
    decided = {item.held.correction_id for item in accepted}
    before = await list_learnable(session, after=earliest - _MEMORY)
    window = earliest - timedelta(seconds=section.flood_seconds)
    known = [*before, *await _waiting(session, new, window)]
    types = await find_types(session, [*new, *known])
    cases = _cases([*new, *known], types)
    superseded = _cases(await _superseded(session, [*new, *before]), types)
    context = Context.of(cases, section, superseded)
    fresh = {item.correction.id for item in new}
    late = {item.correction.id for item in before} - decided
    rules: Counter[str] = Counter()
    held = Counter[bool]()
    for case in cases:
        correction = case.learnable.correction
        is_new = correction.id in fresh
        if not is_new and correction.id not in late:
            continue
        # What its own document says of it has not changed since.
        reasons = screen(case, context) if is_new else context.crowd(case)
        if reasons:
            await hold(session, correction, [reason.as_json() for reason in reasons])
            rules.update({reason.rule for reason in reasons})
            held[is_new] += 1
    await mark_screened(session, fresh)
    return ScreenReport(len(new), held[True], held[False], dict(sorted(rules.items())))


async def _waiting(
    session: AsyncSession, new: Sequence[Learnable], since: datetime
) -> list[Learnable]:
    """What of the same keys waits since then: a flood that goes on is one flood."""
    keys = {(item.tenant_id, item.correction.api_key_id) for item in new}
    found = []
    for item in await list_held(session, None, QuarantineState.WAITING, limit=_AT_ONCE):
        correction = item.correction
        if correction.created_at < since:
            continue
        if (correction.tenant_id, correction.api_key_id) in keys:
            found.append(await _learnable_of(session, correction))
    return found


async def _learnable_of(session: AsyncSession, correction: Correction) -> Learnable:
    tenant_id = correction.tenant_id
    prediction = await get_prediction(session, tenant_id, correction.prediction_id)
    document = await get_document(session, tenant_id, prediction.document_id)
    return Learnable(
        tenant_id=tenant_id,
        document_id=document.id,
        content_sha256=document.content_sha256,
        perceptual_hash=document.perceptual_hash,
        holdout=document.holdout,
        prediction=prediction,
        correction=correction,
        pages=list(await list_pages(session, tenant_id, document.id)),
    )


async def _superseded(session: AsyncSession, items: Sequence[Learnable]) -> list[Learnable]:
    """Earlier words on the same predictions; one that found a page unreadable says no value."""
    return [
        replace(item, correction=earlier)
        for item in items
        if item.correction.supersedes is not None
        for earlier in await correction_history(session, item.tenant_id, item.prediction.id)
        if earlier.id != item.correction.id and earlier.verdict is not Verdict.UNREADABLE
    ]


def _cases(items: Sequence[Learnable], types: Types) -> list[Case]:
    return [
        Case(item, types[type_key(item.prediction)])
        for item in items
        if type_key(item.prediction) in types
    ]
