"""Is the answer a record at all."""

from collections.abc import Sequence

from extraction.document_types.base import DocumentType, FieldSpec
from trainer.rewards.answer import is_absent
from trainer.rewards.base import RewardFunction, Rollout


class ValidRecord(RewardFunction):
    """V = 1 - misfits / leaves for a whole record of the asked form, else 0; 0 to 1, never None.

    A leaf is a misfit where its text is no value of its kind. V is 1 exactly where serving says
    `schema_valid`, and 0 for

    - an answer that does not parse, or that was cut;
    - a field that was not asked, or a thought that was not asked: serving's grammar has neither;
    - a record without any value where the reference has one. An empty record is always valid, and
      what costs nothing must not pay.

    The share, rather than all or nothing, keeps an attempt with one misread date above an empty
    record. Source: schema-constrained decoding as in serving; format rewards of DeepSeek-R1
    (DeepSeek-AI 2025).
    """

    __name__ = "valid_record"

    def score(self, rollout: Rollout) -> float:
        """The share of leaves that fit, 0 for no whole record."""
        answer, task = rollout.answer, rollout.task
        if answer is None or not answer.complete:
            return 0.0
        if not task.asked.reasoning and thinks(rollout):
            return 0.0
        document_type = task.asked.document_type
        if not all(_is_asked(document_type, leaf.path) for leaf in answer.leaves):
            return 0.0
        if not answer.leaves:
            names = document_type.field_names
            return float(all(is_absent(task.reference.get(name)) for name in names))
        return 1 - len(answer.misfits) / len(answer.leaves)


def thinks(rollout: Rollout) -> bool:
    """Whether the completion holds a thought; a value of a record may hold the tag's text."""
    if rollout.answer is None:
        return "<think>" in rollout.text
    return rollout.text.lstrip().startswith("<think>")


def _is_asked(document_type: DocumentType, path: str) -> bool:
    specs: Sequence[FieldSpec] = document_type.fields
    for part in path.split("."):
        if part.isdigit():
            continue
        spec = next(spec for spec in specs if spec.name == part)
        if not spec.asked:
            return False
        specs = spec.children
    return True
