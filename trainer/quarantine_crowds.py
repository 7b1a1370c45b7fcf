"""What many corrections together tell: floods from one key, and reviewers who differ from others.

Only what is changed counts: who confirms sixty predictions a minute is diligent, not a flood.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from extraction.document_types.base import FieldSpec, Kind
from extraction.scoring import score_field
from trainer.changes import Case, Change, Reviewer
from trainer.page_spans import typed
from trainer.page_support import JUDGED, Support
from trainer.profile import QuarantineSection
from trainer.quarantine_rules import Reason, contradictions, has_sign

# A bulk import of right answers bears such a sign in about one case of a hundred (SROIE).
_SIGN_RATIO = 0.2
_PATTERN_RATIO = 0.5
_SAME_SCORE = 0.9
_FIGURES = frozenset({Kind.MONEY, Kind.NUMBER, Kind.INTEGER, Kind.RATE})


@dataclass(frozen=True)
class Context:
    """What the corrections around one tell of it.

    Attributes:
        floods: why a correction belongs to a flood, by correction.
        disagreements: why a reviewer is not trusted alone.
    """

    floods: Mapping[UUID, Reason] = field(default_factory=dict)
    disagreements: Mapping[Reviewer, Reason] = field(default_factory=dict)

    def crowd(self, case: Case) -> list[Reason]:
        """Why a correction waits because of others than itself."""
        flood = self.floods.get(case.learnable.correction.id)
        disagreement = self.disagreements.get(case.reviewer)
        return [reason for reason in (flood, disagreement) if reason is not None]

    @classmethod
    def of(
        cls,
        cases: Sequence[Case],
        section: QuarantineSection,
        superseded: Sequence[Case] = (),
    ) -> "Context":
        """The context of corrections in force.

        Args:
            cases: the new ones, and those screened before that bear on them.
            section: from when on many are a flood, and differing is disagreeing.
            superseded: earlier words on the same predictions, which only count as opinions.
        """
        return cls(
            floods=find_floods(cases, section),
            disagreements=find_disagreements([*cases, *superseded], section),
        )


def screen(case: Case, context: Context) -> list[Reason]:
    """Why a correction waits for a second person; empty where it may be learnt from.

    Args:
        case: it.
        context: of all that is known beside it.
    """
    return [*contradictions(case), *context.crowd(case)]


def find_floods(cases: Sequence[Case], section: QuarantineSection) -> dict[UUID, Reason]:
    """Corrections that belong to a flood, with the reason.

    A flood is `flood_count` changes of one key within `flood_seconds` of which a fifth bear signs
    of being made up, or of which half change one field in the same way (to one value, by one
    factor, by one difference) to what their pages do not print.
    """
    by_key: defaultdict[tuple[UUID, UUID | None], list[Case]] = defaultdict(list)
    for case in cases:
        if case.changes:
            correction = case.learnable.correction
            by_key[correction.tenant_id, correction.api_key_id].append(case)
    found: dict[UUID, Reason] = {}
    for given in by_key.values():
        if len(given) < section.flood_count:
            continue
        given.sort(key=lambda case: (case.learnable.correction.created_at, _id(case)))
        for window in _windows(given, section):
            told = _signs_of(window) or _pattern_of(window)
            if told:
                seconds = f"{section.flood_seconds:g} seconds"
                reason = Reason(
                    "flood", f"{len(window)} changes of one key within {seconds}; {told}."
                )
                for case in window:
                    found.setdefault(_id(case), reason)
    return found


def _id(case: Case) -> UUID:
    return case.learnable.correction.id


def _windows(given: Sequence[Case], section: QuarantineSection) -> Iterator[Sequence[Case]]:
    """Each longest run of enough changes within the time, by its first."""
    end = 0
    for start, first in enumerate(given):
        opened = first.learnable.correction.created_at
        before = end
        while end < len(given):
            passed = given[end].learnable.correction.created_at - opened
            if passed.total_seconds() > section.flood_seconds:
                break
            end += 1
        # A window that ends where the one before ended is a part of it.
        if end - start >= section.flood_count and (end > before or start == 0):
            yield given[start:end]


def _signs_of(window: Sequence[Case]) -> str | None:
    count = sum(map(has_sign, window))
    if count < _SIGN_RATIO * len(window):
        return None
    return f"{count} of them are borne out neither by their pages nor by their checks"


def _pattern_of(window: Sequence[Case]) -> str | None:
    changed: Counter[str] = Counter()
    patterns: Counter[tuple[str, str, Any]] = Counter()
    for case in window:
        for change in case.changes:
            if "." not in change.path and change.after is not None:
                changed[change.path] += 1
                patterns.update((change.path, *way) for way in _ways(case, change))
    for (path, way, _), count in patterns.most_common():
        if count >= _PATTERN_RATIO * len(window) and count >= _PATTERN_RATIO * changed[path]:
            return f"{count} of them change {path} {way}"
    return None


def _ways(case: Case, change: Change) -> Iterator[tuple[str, Any]]:
    """In which ways a leaf is changed to what its page does not print."""
    if change.kind in JUDGED and case.support[change.path][1].support is Support.PRINTED:
        return
    if change.kind not in JUDGED | _FIGURES or change.kind is Kind.TEXT:
        return  # many receipts have one seller, and it is spelled in one way
    yield "to the same value", str(change.after)
    before, after = typed(change.kind, change.before), typed(change.kind, change.after)
    if isinstance(before, Decimal) and isinstance(after, Decimal) and before:
        yield "by the same factor", round(after / before, 3)
        yield "by the same difference", after - before
    elif isinstance(before, date) and isinstance(after, date):
        yield "by the same difference", (after - before).days


@dataclass(slots=True)
class _Record:
    """How often a reviewer was compared, and differed."""

    compared: int = 0
    differed: int = 0


def find_disagreements(cases: Sequence[Case], section: QuarantineSection) -> dict[Reviewer, Reason]:
    """Reviewers who differ from others on the same documents more often than they may.

    Of two who differ, the one whose value the page does not print is charged where it prints the
    other's; of more, those who are not with the majority; else all of them.
    """
    opinions: defaultdict[tuple[Any, ...], dict[Reviewer, tuple[Case, FieldSpec, Any]]]
    opinions = defaultdict(dict)
    for case in sorted(cases, key=_id):
        learnable = case.learnable
        document = (learnable.tenant_id, learnable.content_sha256)
        name = learnable.prediction.document_type
        for spec in case.document_type.fields:
            if spec.name in case.said:
                # Of one reviewer the last word counts.
                opinion = (case, spec, case.said[spec.name])
                opinions[*document, name, spec.name][case.reviewer] = opinion
    records: defaultdict[Reviewer, _Record] = defaultdict(_Record)
    for held in opinions.values():
        if len(held) > 1:
            charged = _charged(held)
            for reviewer in held:
                records[reviewer].compared += 1
                records[reviewer].differed += reviewer in charged
    return {
        reviewer: Reason(
            "disagrees",
            f"of {record.compared} fields that others have judged as well, this reviewer differs "
            f"in {record.differed}.",
        )
        for reviewer, record in records.items()
        if record.compared >= section.disagreement_count
        and record.differed > section.disagreement_ratio * record.compared
    }


def _charged(held: Mapping[Reviewer, tuple[Case, FieldSpec, Any]]) -> set[Reviewer]:
    """Who is taken to be wrong about one field of one document."""
    groups: list[list[Reviewer]] = []
    for reviewer, (_, spec, value) in held.items():
        for group in groups:
            if _agree(spec, held[group[0]][2], value):
                group.append(reviewer)
                break
        else:
            groups.append([reviewer])
    if len(groups) == 1:
        return set()
    borne_out = [group for group in groups if _is_printed(*held[group[0]])]
    most = max(len(group) for group in groups)
    largest = [group for group in groups if len(group) == most]
    right = borne_out if len(borne_out) == 1 else largest if len(largest) == 1 else []
    return {reviewer for group in groups if group not in right for reviewer in group}


def _agree(spec: FieldSpec, one: Any, other: Any) -> bool:
    score = score_field(spec, one, other)
    if score is None:
        return score_field(spec, other, one) is None
    return score >= _SAME_SCORE


def _is_printed(case: Case, spec: FieldSpec, value: Any) -> bool:
    if spec.kind not in JUDGED or value is None:
        return False
    return case.page.find(spec, spec.kind, value).support is Support.PRINTED
