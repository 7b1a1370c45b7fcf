"""Are dates written as they are asked for."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from extraction.document_types.base import FieldSpec, Kind
from extraction.prompt import AnswerFormat
from trainer.rewards.answer import is_absent
from trainer.rewards.base import RewardFunction, Rollout

_ENTITY_DATE = re.compile(r"[0-9]{2}-[0-9]{2}-[0-9]{4}")


class DateFormat(RewardFunction):
    """D = good / max(answered, expected), 0 to 1; None where there is no date on either side.

    Counted are the dates of fields that the reference confirms: `expected` in the reference,
    `answered` in the answer, and `good` those of the latter that have the form, unless the
    reference says that the document lacks the field. The form is DD-MM-YYYY and a day of the
    calendar in entity tokens; in JSON, where dates stand as printed, a text that reads as one
    date and no other. Whether it is the right date is `FieldScores`' question.

    Source: the date format reward of the passport GRPO recipe.
    """

    __name__ = "date_format"

    def score(self, rollout: Rollout) -> float | None:
        """The share of dates that have the form."""
        task = rollout.task
        as_entities = task.asked.answer_format is AnswerFormat.ENTITY_TOKENS
        fields = task.asked.document_type.fields
        expected = sum(_dates(spec, task.reference.get(spec.name)) for spec in fields)
        answered = good = 0
        for leaf in rollout.answer.leaves if rollout.answer else ():
            name = leaf.path.split(".")[0]
            if not _is_date(leaf.spec) or name not in task.reference or rollout.answer is None:
                continue
            answered += 1
            fits = rollout.answer.values[leaf.path] is not None
            if as_entities and not _ENTITY_DATE.fullmatch(leaf.raw):
                fits = False
            good += fits and not is_absent(task.reference[name])
        most = max(answered, expected)
        return good / most if most else None


def _is_date(spec: FieldSpec) -> bool:
    kind = spec.element if spec.kind is Kind.LIST else spec.kind
    return kind is Kind.DATE


def _dates(spec: FieldSpec, value: Any) -> int:
    """How many dates a value holds."""
    if is_absent(value):
        return 0
    if spec.kind is Kind.LIST and isinstance(value, Sequence):
        if not spec.children:
            return sum(not is_absent(element) for element in value) if _is_date(spec) else 0
        return sum(_inside(spec, element) for element in value)
    return _inside(spec, value) if spec.children else int(_is_date(spec))


def _inside(spec: FieldSpec, value: Any) -> int:
    if not isinstance(value, Mapping):
        return 0
    return sum(_dates(child, value.get(child.name)) for child in spec.children)
