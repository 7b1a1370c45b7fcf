"""Completion -> the record that serving would make of it, and the values that a task confirms.

`parse_record` and `normalise_record` are serving's own. What serving adds afterwards is left out:
the page's spelling and the machine-readable zone would hide what the model itself has read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from extraction.document_types.record import Record, model_of
from extraction.engine import Completion, Token
from extraction.errors import UnparseableRecord
from extraction.prompt import AnswerFormat
from extraction.record import RawLeaf, normalise_record, parse_record, to_json
from trainer.rewards.task import decode_task


@dataclass(frozen=True, slots=True)
class Answer:
    """A completion that could be read.

    Attributes:
        leaves: the values as they were written.
        values: each leaf's value as JSON, by path; None where the text is no such value.
        misfits: paths of the latter.
        typed: the record with typed values.
        record: the same as JSON; every asked field, None where absent.
        complete: False where it was cut and the leaves are those before the cut.
    """

    leaves: tuple[RawLeaf, ...]
    values: Mapping[str, Any]
    misfits: tuple[str, ...]
    typed: Record
    record: dict[str, Any]
    complete: bool


# Each reward reads the same completions, one reward after the other.
@lru_cache(maxsize=4096)
def read_answer(task: str, text: str, *, ended: bool) -> Answer | None:
    """The record of a completion, None where it is none.

    Args:
        task: as `encode_task` wrote it.
        text: the completion without its end token.
        ended: whether the end token stood behind it; without one it was cut.
    """
    asked = decode_task(task).asked
    # The end was chosen, not forced by a grammar, so an answer without any field may count.
    tokens = (Token(text, -1.0),)
    reason = "stop" if ended else "length"
    try:
        parsed = parse_record(Completion(text, tokens, reason, "rollout", 0, 1, 0.0), asked)
    except UnparseableRecord:
        return None
    texts = {leaf.path: leaf.raw for leaf in parsed.leaves}
    as_entities = asked.answer_format is AnswerFormat.ENTITY_TOKENS
    read = normalise_record(asked.document_type, texts, day_first=as_entities or None)
    return Answer(
        parsed.leaves, read.values, read.misfits, read.record, to_json(read.record), parsed.complete
    )


@lru_cache(maxsize=64)
def typed_reference(task: str) -> Record:
    """The confirmed values with their types; what is absent or not confirmed is None.

    Raises:
        pydantic.ValidationError: the reference is no record of its type; that is our own bug.
    """
    decoded = decode_task(task)
    document_type = decoded.asked.document_type
    asked = {name: decoded.reference.get(name) for name in document_type.field_names}
    return model_of(document_type, lenient=True).model_validate(_present(asked))


def is_absent(value: Any) -> bool:
    """Whether a reference says that the document lacks the field."""
    return value in (None, "", [], {})


def _present(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _present(below) for name, below in value.items() if not is_absent(below)}
    return [_present(element) for element in value] if isinstance(value, list) else value
