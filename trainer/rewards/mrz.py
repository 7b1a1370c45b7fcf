"""Does the printed zone agree with the machine-readable one, and do check digits agree."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from extraction.checks import Verdict
from extraction.document_types.base import DocumentType
from extraction.document_types.catalogue import BUILT_IN
from extraction.document_types.record import Record
from extraction.errors import InvalidMrz
from extraction.mrz import FoundMrz, parse_mrz
from extraction.verdicts import find_zone, verdicts_on
from trainer.rewards.answer import is_absent, typed_reference
from trainer.rewards.base import RewardFunction, Rollout
from trainer.rewards.task import Task, decode_task

_ZONE = "mrz"
_AGREES = "agrees."


class Mrz(RewardFunction):
    """M = (agreed + passed) / (comparable + digits), 0 to 1; None where there is nothing to count.

    `agreed` of `comparable`: the answered fields of a travel document that agree with the zone
    found among the lines (`check_passport`'s `agrees.*`). A field of the zone counts if it is
    proven: by its own check digit where it has one, else by all digits of the zone. It is
    comparable where the answer has it, or where the reference has it in agreement with the zone, so
    that leaving a field out does not pay. It is left out where the reference differs from the
    zone, because then the print does; a field confirmed to be absent counts as not agreed where it
    is answered.

    `passed` of `digits`: check digits of the zone that the answer itself holds, where the type asks
    for it. Digits that fail in the reference's zone are left out.

    Source: ICAO Doc 9303-3, 4.9 (weights 7, 3, 1 modulo 10); the passport GRPO recipe.
    """

    __name__ = "mrz"

    def score(self, rollout: Rollout) -> float | None:
        """The share of what agrees."""
        if rollout.task.asked.document_type.name != BUILT_IN["passport"].name:
            return None
        agreed, comparable = _agreement(rollout)
        passed, digits = _written_digits(rollout.task, _written(rollout))
        count = comparable + digits
        return (agreed + passed) / count if count else None


def _agreement(rollout: Rollout) -> tuple[int, int]:
    task, zone = rollout.task, _zone(rollout.key)
    if zone is None:
        return 0, 0
    expected = _verdicts_on_reference(rollout.key)
    answer = rollout.answer
    document_type = task.asked.document_type
    verdicts = {} if answer is None else _verdicts(document_type, answer.typed, zone)
    agreed = comparable = 0
    for name in _trusted(rollout.key):
        verdict = verdicts.get(name, Verdict.NOT_APPLICABLE)
        if expected[name] is Verdict.FAIL:
            continue
        is_answered = verdict is not Verdict.NOT_APPLICABLE
        is_denied = name in task.reference and is_absent(task.reference[name])
        if is_answered or expected[name] is Verdict.PASS:
            comparable += 1
            agreed += verdict is Verdict.PASS and not is_denied
    return agreed, comparable


@lru_cache(maxsize=64)
def _zone(task: str) -> FoundMrz | None:
    decoded = decode_task(task)
    return find_zone(decoded.asked.document_type, decoded.lines)


@lru_cache(maxsize=64)
def _trusted(task: str) -> tuple[str, ...]:
    """The asked fields that the zone proves. A filler for the sex says nothing."""
    zone = _zone(task)
    if zone is None:
        return ()
    has_digit = {digit.name for digit in zone.mrz.digits}
    return tuple(
        name
        for name in _verdicts_on_reference(task)
        if name in decode_task(task).asked.document_type.field_names
        and (name in zone.mrz.proven_fields if name in has_digit else zone.mrz.is_proven)
        and not (name == "sex" and zone.mrz.fields.sex == "X")
    )


@lru_cache(maxsize=64)
def _verdicts_on_reference(task: str) -> Mapping[str, Verdict]:
    zone = _zone(task)
    document_type = decode_task(task).asked.document_type
    return {} if zone is None else _verdicts(document_type, typed_reference(task), zone)


def _verdicts(document_type: DocumentType, record: Record, zone: FoundMrz) -> dict[str, Verdict]:
    """Name of the field -> whether the two zones agree in it."""
    return {
        check.name.removeprefix(_AGREES): check.verdict
        for check in verdicts_on(document_type, record, zone, ())
        if check.name.startswith(_AGREES)
    }


def _written(rollout: Rollout) -> Any:
    """The lines of a zone that the answer holds, where the type asks for them."""
    spec = next((s for s in rollout.task.asked.document_type.fields if s.name == _ZONE), None)
    if spec is None or not (spec.asked and all(child.asked for child in spec.children)):
        return None
    zone = rollout.answer.record.get(_ZONE) if rollout.answer else None
    return (zone or {}).get("lines") or ()


def _written_digits(task: Task, lines: Any) -> tuple[int, int]:
    """How many check digits of a written zone agree, of how many that should."""
    if lines is None:
        return 0, 0
    verdicts = _digits(lines)
    if _ZONE not in task.reference:
        return (sum(verdicts.values()), len(verdicts) or 1) if lines else (0, 0)
    reference = task.reference[_ZONE]
    if is_absent(reference):
        return 0, int(bool(lines))
    expected = [name for name, passed in _digits(reference.get("lines") or ()).items() if passed]
    return sum(verdicts.get(name, False) for name in expected), len(expected)


def _digits(lines: Any) -> dict[str, bool]:
    """Check digit -> whether it agrees; none where the lines are no zone."""
    try:
        return {digit.name: digit.passed for digit in parse_mrz(tuple(lines)).digits}
    except InvalidMrz:
        return {}
