"""A version that does worse in service than the one before it is taken back by itself.

live counts of both -> decide_rollback -> roll_back, once
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from db.errors import NothingToRollBackTo, PromotionConflict
from db.queries.audit import record_event
from db.queries.live import LiveCounts, live_counts
from db.queries.models import get_champion, list_promotions, previous_version, roll_back
from db.tables import Champion, PromotionReason
from trainer.profile import Profile, RollbackSection
from trainer.significance import Proportion, difference

ACTOR = "trainer"
_WATCHED = frozenset({PromotionReason.GATE, PromotionReason.MANUAL})

_Count = Callable[[LiveCounts], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class RollbackDecision:
    """Whether the new version has to go, and why.

    Attributes:
        roll_back: a rate is worse, by more than the margin and with the confidence.
        reasons: a sentence with figures for each rate, judged or not.
    """

    roll_back: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Rate:
    """A share of answers that were bad, of both versions."""

    name: str
    before: Proportion
    after: Proportion


def decide_rollback(
    before: LiveCounts, after: LiveCounts, rules: RollbackSection
) -> RollbackDecision:
    """Whether the new version's answers are worse than those of the version before it.

    Two shares are compared: corrected of the reviewed answers, and invalid of all answers. The
    version goes where the lower bound of after - before is above the margin. The bound is
    Newcombe's (1998, method 10), with Wilson's bounds l and u of each share p:

        low = p2 - p1 - sqrt((p2 - l2)^2 + (u1 - p1)^2)

    Only types that both versions were asked for are compared, and the shares of the version before
    are standardised to the mix of types of the new one, so that nothing is blamed for harder
    documents:

        p1 = sum(w_t p1_t), counted as 1 / sum(w_t^2 / n1_t) answers, w_t = n2_t / sum(n2)

    With one type, and where no types were counted, that is the plain share.

    Looking again after each review tests many times; the margin is what keeps an equal version.

    Args:
        before: counts of the version before.
        after: counts of the new version's first answers.
        rules: margin, confidence, and from when on a share is judged.
    """
    rates = [
        _rate("correction rate", before, after, lambda found: (found.corrected, found.reviewed)),
        _rate(
            "share of schema-invalid answers",
            before,
            after,
            lambda found: (found.predictions - found.schema_valid, found.predictions),
        ),
    ]
    judged = [_judge(rate, rules) for rate in rates]
    judged.sort(key=lambda verdict: not verdict[0])
    return RollbackDecision(any(bad for bad, _ in judged), tuple(reason for _, reason in judged))


async def watch_new_champion(
    sessions: async_sessionmaker[AsyncSession], profile: Profile
) -> RollbackDecision | None:
    """Looks once at the champion and takes it back where it does worse than the one before it.

    Of many watchers at once one acts: the rollback is bound to the generation that was looked at. A
    champion that itself came by a rollback is not watched.

    Args:
        sessions: on the service's database; the rollback is committed here.
        profile: its section `rollback` has the rules.

    Returns:
        The decision; None where there is nothing to watch, or somebody else was faster.
    """
    rules = profile.rollback
    async with sessions() as session:
        champion = await get_champion(session)
        promotion = next(iter(await list_promotions(session, 1)), None)
        version, earlier = champion.model_version_id, await previous_version(session)
        if version is None or earlier is None or promotion is None:
            return None
        if promotion.generation != champion.generation or promotion.reason not in _WATCHED:
            return None
        before = await live_counts(session, earlier)
        after = await live_counts(
            session, version, first=rules.predictions, since=promotion.created_at
        )
    decision = decide_rollback(before, after, rules)
    if not decision.roll_back:
        return decision
    try:
        async with sessions.begin() as session:
            moved = await roll_back(
                session,
                reason=PromotionReason.AUTOMATIC_ROLLBACK,
                actor=ACTOR,
                expected_generation=champion.generation,
            )
            details = {
                "generation": moved.generation,
                "before": version,
                "champion": moved.model_version_id,
                "reason": str(PromotionReason.AUTOMATIC_ROLLBACK),
                "reasons": list(decision.reasons),
                "counts": {"before": asdict(before), "after": asdict(after)},
            }
            await _note(session, moved, details)
    except (PromotionConflict, NothingToRollBackTo):
        return None
    return decision


async def _note(session: AsyncSession, moved: Champion, details: Mapping[str, Any]) -> None:
    await record_event(
        session,
        None,
        actor=ACTOR,
        action="model.rollback",
        subject=moved.model_version_id or "",
        details=details,
    )


def _rate(name: str, before: LiveCounts, after: LiveCounts, count: _Count) -> _Rate:
    """The share over the types that both have, the earlier one in the mix of the later one."""
    pairs = [
        (count(before.by_document_type[kind]), count(found))
        for kind, found in after.by_document_type.items()
        if kind in before.by_document_type
    ]
    if not after.by_document_type or not before.by_document_type:
        pairs = [(count(before), count(after))]
    pairs = [(first, second) for first, second in pairs if first[1] and second[1]]
    if not pairs:
        return _Rate(name, Proportion(0, 0), Proportion(0, 0))
    later = Proportion(sum(hits for _, (hits, _) in pairs), sum(number for _, (_, number) in pairs))
    weights = [number / later.count for _, (_, number) in pairs]
    share = sum(w * hits / number for w, ((hits, number), _) in zip(weights, pairs, strict=True))
    effective = 1 / sum(w * w / number for w, ((_, number), _) in zip(weights, pairs, strict=True))
    return _Rate(name, Proportion(min(share, 1.0) * effective, effective), later)


def _judge(rate: _Rate, rules: RollbackSection) -> tuple[bool, str]:
    """Whether the rate is significantly worse, and the sentence that says so."""
    if rate.after.count < rules.least_reviewed or not rate.before.count:
        return False, (
            f"The {rate.name} is not judged yet: {rate.after.count:.0f} answers of the new version "
            f"can be compared, and {rules.least_reviewed} are needed."
        )
    change = difference(rate.before, rate.after, rules.confidence)
    bad = change.low > rules.margin
    said = "more than" if bad else "not more than"
    return bad, (
        f"The {rate.name} went from {rate.before.ratio:.1%} to {rate.after.ratio:.1%} "
        f"(of {rate.after.count:.0f}); with {rules.confidence:.0%} confidence the change is at "
        f"least {100 * change.low:+.1f} points, {said} the margin of {100 * rules.margin:.1f}."
    )
