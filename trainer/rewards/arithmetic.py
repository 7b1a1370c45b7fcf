"""Do the amounts of a receipt add up."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from extraction.checks import Check, Verdict
from extraction.document_types.base import Kind
from extraction.document_types.catalogue import BUILT_IN
from extraction.document_types.record import Record
from extraction.scoring import score_field
from extraction.verdicts import verdicts_on
from trainer.rewards.answer import Answer, is_absent, typed_reference
from trainer.rewards.base import RewardFunction, Rollout
from trainer.rewards.task import Task, decode_task

_CHECKS = ("items_sum", "total_identity", "payments", "taxes_sum")


class ReceiptArithmetic(RewardFunction):
    """A = passed / applicable over the four sums of a receipt, 0 to 1; None where none applies.

    The sums are `check_receipt`'s: items, total identity, payments, taxes. A sum applies where the
    answer has its parts, or where the reference has them and they add up. It is left out where the
    reference has them and they do not add up: then the receipt itself is at fault. It passes if it
    holds and none of its parts is known to be wrong, because numbers that were made to fit show
    nothing: a confirmed amount has to be the confirmed one, a part confirmed to be absent may not
    be there, and the amount of a field that nobody has confirmed has to stand on the page.

    Source: consistency checks of receipts (total identity of CORD and SROIE receipts) as verifiable
    rewards.
    """

    __name__ = "receipt_arithmetic"

    def score(self, rollout: Rollout) -> float | None:
        """The share of sums that hold."""
        task = rollout.task
        if task.asked.document_type.name != BUILT_IN["receipt"].name:
            return None
        expected = _verdicts_on_reference(rollout.key)
        answer = rollout.answer
        checks = {} if answer is None else _verdicts(task, answer.typed)
        applicable = passed = 0
        for name in _CHECKS:
            check = checks.get(name)
            verdict = check.verdict if check else Verdict.NOT_APPLICABLE
            if expected[name] is Verdict.FAIL:
                continue
            if verdict is Verdict.NOT_APPLICABLE and expected[name] is not Verdict.PASS:
                continue
            applicable += 1
            if answer is not None and check is not None and verdict is Verdict.PASS:
                page = _page(rollout.key)
                passed += all(_may_stand(task, page, answer, field) for field in check.fields)
        return passed / applicable if applicable else None


def _verdicts(task: Task, record: Record) -> Mapping[str, Check]:
    checks = verdicts_on(task.asked.document_type, record, None, ())
    return {check.name: check for check in checks if check.name in _CHECKS}


@lru_cache(maxsize=64)
def _verdicts_on_reference(task: str) -> Mapping[str, Verdict]:
    checks = _verdicts(decode_task(task), typed_reference(task))
    return {name: check.verdict for name, check in checks.items()}


def _may_stand(task: Task, page: str, answer: Answer, name: str) -> bool:
    """Whether nothing speaks against a part of a sum that holds."""
    value: Any = answer.record.get(name)
    if is_absent(value):
        return True
    spec = task.asked.document_type.field(name)
    if name not in task.reference:
        return not page or all(
            _digits(leaf.raw) in page
            for leaf in answer.leaves
            if leaf.path.split(".")[0] == name and leaf.spec.kind is Kind.MONEY
        )
    reference = task.reference[name]
    if is_absent(reference):
        return False
    # Of a list only some parts are amounts; how right it is, `FieldScores` says.
    return spec.kind is Kind.LIST or score_field(spec, reference, value) == 1.0


@lru_cache(maxsize=64)
def _page(task: str) -> str:
    """The digits of each line."""
    return "\n".join(_digits(line.text) for line in decode_task(task).lines)


def _digits(text: str) -> str:
    return "".join(letter for letter in text if letter.isdecimal())
