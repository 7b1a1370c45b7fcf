"""When a correction waits for a second person. Pure rules; a reason names figures, never values.

    contradicts-checks   what a check had proven fails with the corrected value
    contradicts-page     the page prints what was predicted, and nothing like what it was changed to
    nowhere-on-page      nothing was predicted, and the page has nothing like the corrected value
    suspicious-text      instructions, markup, control tokens, or far too long
    disagrees            the reviewer's corrections differ from other people's on the same documents
    flood                many changes from one key at once that bear signs of being made up

Correcting what an OCR misread is honest work and is not held; see `page_support`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from extraction.checks import Check, Verdict
from extraction.document_types.base import FieldSpec, Kind
from extraction.document_types.record import Record, model_of
from extraction.evidence import EvidenceFinder
from extraction.prompt import neutral
from extraction.verdicts import find_zone, verdicts_on
from trainer.changes import Case, Change
from trainer.confirmed import lines_of
from trainer.page_support import Support
from trainer.printed import printed

# From here on the OCR is taken at its word.
_SURE_SCORE = 0.9
_LEAST_LINES = 5
_SURE_SIMILARITY = 0.95
# Of the judged changes within one list, so many have to be nowhere: people sum up and add rows.
_LIST_RATIO = 0.5
_LONG_CHARACTERS = 80
_LONG_FACTOR = 3
# That a value fits its kind, is there, or that a passport has expired, proves nothing.
_PROVES_NOTHING = ("format.", "required.", "not_expired")

_SUSPICIOUS: Mapping[str, re.Pattern[str]] = {
    "markup": re.compile(
        r"</?[a-z!?][^<>]*>|&(?:#\d+|#x[\da-f]+|lt|gt|amp|quot);|```|\{\{|\}\}|\$\{|"
        r"\]\(\s*(?:https?|javascript|data):|javascript:|<!--|-->",
        re.IGNORECASE,
    ),
    "control-token": re.compile(
        r"<[|\uff5c]|[|\uff5c]>|\[/?INST\]|<<SYS>>|(?:^|\s)#{2,}\s|"
        r"(?:^|\W)(?:system|assistant|user|human)\s*:\s",
        re.IGNORECASE,
    ),
    "instruction": re.compile(
        r"\b(?:ignore|disregard|forget|override)\b.{0,40}\b(?:previous|prior|above|all|earlier|"
        r"instructions?|rules?|prompts?|fields?)\b|"
        r"\b(?:you are (?:now|a|an)|you must|act as|pretend to|from now on|"
        r"do not (?:answer|extract|read)|always (?:answer|return|output|respond|say)|"
        r"(?:respond|answer) (?:with|only)|system prompt|new instructions?)\b|"
        r"\b(?:ignoriere|vergiss|ignorez|oublie[zr]?|ignora|olvida)\b.{0,40}"
        r"\b(?:anweisungen|regeln|instructions|consignes|instrucciones|istruzioni)\b",
        re.IGNORECASE,
    ),
}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a correction waits.

    Attributes:
        rule: a stable slug.
        detail: fields, counts and figures; no value of a document.
    """

    rule: str
    detail: str

    def as_json(self) -> dict[str, str]:
        """As it is stored."""
        return {"rule": self.rule, "detail": self.detail}


def contradictions(case: Case) -> list[Reason]:
    """What the document itself says against a correction."""
    return [*_against_checks(case), *_against_page(case), *_suspicious_texts(case)]


def has_sign(case: Case) -> bool:
    """Whether a change is odd, though not enough to hold it alone: for floods.

    The page prints what was predicted and not what it was changed to, or a check fails now.
    """
    for change in case.changes:
        before, after = case.support.get(change.path, (None, None))
        if after is None or change.kind is Kind.TEXT:
            continue
        was_printed = before is not None and before.score >= _SURE_SCORE
        if after.support is Support.NOWHERE or (
            was_printed and after.support is not Support.PRINTED
        ):
            return True
    return bool(_broken(case))


def _against_checks(case: Case) -> Iterator[Reason]:
    """Checks that passed with the prediction and do not with the correction.

    An honest correction of one wrong value can break a sum that held by chance. So one broken sum
    is no reason where the page prints the corrected value in a row that names its field; two are.
    """
    broken = _broken(case)
    if not broken:
        return
    named = {change.field for change in case.changes if _is_named(case, change)}
    proven = [check for check in broken if check.name.startswith(("mrz.", "agrees."))]
    sums = [check for check in broken if check not in proven]
    unnamed = [
        check
        for check in sums
        if {change.field for change in case.changes} & set(check.fields) - named
    ]
    chosen = [*proven, *(sums if len(sums) > 1 else unnamed)]
    if chosen:
        names = ", ".join(check.name for check in chosen)
        fields = ", ".join(sorted({change.field for change in case.changes}))
        yield Reason(
            "contradicts-checks",
            f"{len(chosen)} checks that held before fail with the corrected {fields}: {names}.",
        )


def _broken(case: Case) -> list[Check]:
    """Checks about a changed field that passed and fail now, or cannot be made any more."""
    if not case.changes:
        return []
    removed = {change.field for change in case.changes if change.after is None}
    changed = {change.field for change in case.changes}
    lines = lines_of(case.learnable.pages)
    zone = find_zone(case.document_type, lines)
    proven = zone.mrz.proven_fields if zone else frozenset[str]()
    verdicts = []
    for content in (case.learnable.prediction.record or {}, case.record):
        record = _record_of(case, content)
        if record is None:
            return []
        verdicts.append(verdicts_on(case.document_type, record, zone, ()))
    now = {check.name: check for check in verdicts[1]}
    broken = []
    for check in verdicts[0]:
        after = now.get(check.name, check).verdict
        about = set(check.fields)
        if check.verdict is not Verdict.PASS or check.name.startswith(_PROVES_NOTHING):
            continue
        if check.name.startswith("agrees.") and not about & proven:
            continue  # without a check digit it is one reading against another
        if (after is Verdict.FAIL and about & changed) or (
            after is Verdict.NOT_APPLICABLE and about & removed and _proves(check, removed)
        ):
            broken.append(check)
    return broken


def _proves(check: Check, removed: set[str]) -> bool:
    """Whether a check proved a field to be there that is said to be absent now."""
    return check.name.startswith("agrees.") or "total" in removed


def _record_of(case: Case, content: Mapping[str, Any]) -> Record | None:
    """A record of JSON as the checks want it; None where it is none, which proves nothing."""
    known = {name: content[name] for name in case.document_type.field_names if name in content}
    try:
        return model_of(case.document_type, lenient=True).model_validate(
            {name: _as_tuples(value) for name, value in known.items()}, strict=False
        )
    except ValueError:
        return None


def _as_tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_as_tuples(element) for element in value)
    if isinstance(value, Mapping):
        return {name: _as_tuples(element) for name, element in value.items()}
    return value


def _is_named(case: Case, change: Change) -> bool:
    """Whether the page prints the corrected value in a row that names its field."""
    if change.after is None or change.kind not in {Kind.MONEY, Kind.DATE}:
        return False
    lines = lines_of(case.learnable.pages)
    text = str(printed(change.spec, change.after, lines))
    place = EvidenceFinder(lines).find(text, change.spec)
    return place is not None and place.labelled and place.similarity >= _SURE_SIMILARITY


def _against_page(case: Case) -> Iterator[Reason]:
    """Changes to a value that is nowhere on a page that was read well."""
    paths: dict[str, list[str]] = {"contradicts-page": [], "nowhere-on-page": []}
    judged: dict[str, int] = {}
    for change in case.changes:
        if change.path not in case.support:
            continue
        judged[change.field] = judged.get(change.field, 0) + 1
        rule = _page_rule(case, change)
        if rule:
            paths[rule].append(change.path)
    for rule, found in paths.items():
        fields = sorted(
            {
                path.partition(".")[0]
                for path in found
                if "." not in path or _share(path, found, judged) > _LIST_RATIO
            }
        )
        if fields:
            printed_before = (
                "the page prints what was predicted, and nothing like what it was changed to"
                if rule == "contradicts-page"
                else "nothing like the given value was read on the page"
            )
            yield Reason(
                rule,
                f"{', '.join(fields)}: {printed_before} ({case.page.line_count} lines, "
                f"mean score {case.page.mean_score:.2f}).",
            )


def _share(path: str, found: Sequence[str], judged: Mapping[str, int]) -> float:
    name = path.partition(".")[0]
    return sum(other.partition(".")[0] == name for other in found) / judged[name]


def _page_rule(case: Case, change: Change) -> str | None:
    before, after = case.support[change.path]
    if change.kind is Kind.MONEY and float(change.after) == 0:
        return None  # nothing to pay is often not printed
    if before is not None and before.support is Support.PRINTED and before.score >= _SURE_SCORE:
        # The same misreading on several lines is none.
        repeated = before.line_count > 1 and change.kind is Kind.MONEY
        least = Support.PRINTED if repeated else Support.MISREAD
        return "contradicts-page" if after.support < least else None
    # A text may stand in a logo that no OCR reads; a wrong amount or date does harm.
    readable = case.page.line_count >= _LEAST_LINES and case.page.mean_score >= _SURE_SCORE
    is_exact = change.kind in {Kind.MONEY, Kind.DATE} and "." not in change.path
    if is_exact and readable and after.support is Support.NOWHERE:
        return "nowhere-on-page"
    return None


def _suspicious_texts(case: Case) -> Iterator[Reason]:
    found: dict[str, set[str]] = {}
    for path, spec, text in _texts(case.document_type.fields, case.said, ""):
        field = path.partition(".")[0]
        if neutral(text) != text:
            found.setdefault("control-token", set()).add(field)
        for name, pattern in _SUSPICIOUS.items():
            if pattern.search(text):
                found.setdefault(name, set()).add(field)
        if _is_too_long(case, path, spec, text):
            found.setdefault("length", set()).add(field)
    if found:
        told = "; ".join(f"{kind} in {', '.join(sorted(names))}" for kind, names in found.items())
        yield Reason("suspicious-text", f"{told}.")


def _is_too_long(case: Case, path: str, spec: FieldSpec, text: str) -> bool:
    """Far longer than what was predicted, and not on the page."""
    change = next((change for change in case.changes if change.path == path), None)
    if change is None:
        return False
    least = max(_LONG_CHARACTERS, _LONG_FACTOR * len(str(change.before or "")))
    if len(text) <= least:
        return False
    return case.page.find(spec, change.kind, text).support is Support.NOWHERE


def _texts(
    specs: Sequence[FieldSpec], said: Any, prefix: str
) -> Iterator[tuple[str, FieldSpec, str]]:
    known = said if isinstance(said, Mapping) else {}
    for spec in specs:
        value, path = known.get(spec.name), f"{prefix}{spec.name}"
        if not spec.asked or value is None:
            continue
        if spec.kind is Kind.LIST:
            for index, element in enumerate(value):
                if spec.children:
                    yield from _texts(spec.children, element, f"{path}.{index}.")
                elif spec.element in {Kind.TEXT, Kind.CODE}:
                    yield f"{path}.{index}", spec, str(element)
        elif spec.children:
            yield from _texts(spec.children, value, f"{path}.")
        elif spec.kind in {Kind.TEXT, Kind.CODE}:
            yield path, spec, str(value)
