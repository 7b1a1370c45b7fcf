"""One training example: what the model is shown and what it should answer.

The prompt is built by the code that serves, so training and serving cannot drift apart.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from extraction.document_types.base import DocumentType, FieldSpec, Kind
from extraction.document_types.document import is_document
from extraction.entity_tokens import DATE_FORMAT
from extraction.lines import Line
from extraction.markdown.front_matter import write_page
from extraction.normalize import parse_date
from extraction.prompt import AnswerFormat, Asked, build_prompt


@dataclass(frozen=True, slots=True)
class Example:
    """A chat with its reference answer.

    Attributes:
        messages: the prompt as role and content, as `apply_chat_template` takes them.
        completion: the answer without the end token.
        source: where it came from, for the manifest.
    """

    messages: tuple[tuple[str, str], ...]
    completion: str
    source: str

    def as_row(self) -> dict[str, Any]:
        """The row that TRL's trainers take."""
        return {
            "prompt": [{"role": role, "content": text} for role, text in self.messages],
            "completion": [{"role": "assistant", "content": self.completion}],
        }


def make_example(
    asked: Asked,
    lines: Sequence[Line],
    record: Mapping[str, Any],
    *,
    source: str,
    thought: str | None = None,
) -> Example:
    """The example for one document.

    Args:
        asked: the type with the asked fields, and the answer's form.
        lines: what the model is shown.
        record: values as printed; what was not asked is dropped, what is absent is left out.
        source: where it came from.
        thought: goes before the answer, in `<think>`, where `asked.reasoning` is set.
    """
    prompt = build_prompt(asked, lines)
    answer = answer_text(asked, record)
    if asked.reasoning:
        answer = f"<think>{thought or ''}</think>{answer}"
    messages = tuple((message.role, message.text) for message in prompt.messages)
    return Example(messages, answer, source)


def answer_text(asked: Asked, record: Mapping[str, Any]) -> str:
    """The completion that a perfect model would give."""
    kept = _asked_part(asked.document_type, record)
    if is_document(asked.document_type):
        return write_page((record.get("pages") or [{}])[0])
    if asked.answer_format is AnswerFormat.JSON:
        return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))
    return "".join(
        f"<{field.name}>{_entity(field, kept[field.name])}</{field.name}>"
        for field in asked.document_type.fields
        if field.name in kept and not field.children and field.kind is not Kind.LIST
    )


def _asked_part(document_type: DocumentType, record: Mapping[str, Any]) -> dict[str, Any]:
    return _only(tuple(field for field in document_type.fields if field.asked), record)


def _only(fields: tuple[FieldSpec, ...], record: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for field in fields:
        value = record.get(field.name)
        if value in (None, "", [], {}):
            continue
        if field.kind is Kind.LIST and field.children:
            kept[field.name] = [_only(field.children, element) for element in value]
        elif field.kind is Kind.OBJECT:
            kept[field.name] = _only(field.children, value)
        else:
            kept[field.name] = value
    return kept


def _entity(field: FieldSpec, raw: str) -> str:
    """Dates stand as DD-MM-YYYY in entity tokens, everything else as printed."""
    if field.kind is Kind.DATE and (found := parse_date(raw)) is not None:
        return found.strftime(DATE_FORMAT)
    return raw
