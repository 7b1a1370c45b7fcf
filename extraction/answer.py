"""What an answer may look like: the grammar that constrains decoding, per type and format.

A model answers with values as they are printed, so nearly every leaf is a short string here and is
normalised afterwards (`normalize.py`). Absent fields are left out, which also keeps answers short.
"""

import json
from typing import Any

from extraction.document_types.base import DocumentType, FieldSpec, Kind
from extraction.engine import Grammar
from extraction.prompt import AnswerFormat, Asked

_THOUGHT_CHARACTERS = 2000


def grammar_of(asked: Asked) -> Grammar:
    """The constraint for an engine: a JSON Schema, or a Lark grammar where tags are needed."""
    if asked.answer_format is AnswerFormat.ENTITY_TOKENS:
        return _entity_grammar(asked)
    schema = answer_schema(asked.document_type)
    if not asked.reasoning:
        return schema
    compact = {**schema, "x-guidance": {"whitespace_flexible": False}}
    return f"{_start(asked)}\nanswer: %json {json.dumps(compact)}\n"


def answer_schema(document_type: DocumentType) -> dict[str, Any]:
    """The JSON Schema of an answer: every field optional, unknown ones impossible."""
    return _object([field for field in document_type.fields if field.asked])


def _object(fields: list[FieldSpec]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {field.name: _schema(field) for field in fields},
        "additionalProperties": False,
        "required": [field.name for field in fields if field.required],
    }


def _schema(field: FieldSpec) -> dict[str, Any]:
    match field.kind:
        case Kind.OBJECT:
            return _object([child for child in field.children if child.asked])
        case Kind.LIST if field.children:
            element = _object([child for child in field.children if child.asked])
            return {"type": "array", "items": element, "maxItems": field.max_items, "minItems": 1}
        case Kind.LIST:
            leaf = {"type": "string", "minLength": 1, "maxLength": field.max_length}
            return {"type": "array", "items": leaf, "maxItems": field.max_items, "minItems": 1}
        case Kind.CHOICE:
            return {"enum": list(field.choices)}
        case Kind.BOOLEAN:
            return {"type": "boolean"}
        case _:
            return {"type": "string", "minLength": 1, "maxLength": field.max_length}


def _start(asked: Asked) -> str:
    """The first rules of a Lark grammar: with or without a thought before the answer."""
    if not asked.reasoning:
        return "start: answer"
    thought = f"THOUGHT: /[^<]{{0,{_THOUGHT_CHARACTERS}}}/"
    return f'start: "<think>" THOUGHT "</think>" answer\n{thought}'


def _entity_grammar(asked: Asked) -> str:
    """`<name>text</name>` for each leaf, in the type's order, each at most once.

    Only flat types can be written in entity tokens; lists repeat their element's tag.
    """
    wanted = [field for field in asked.document_type.fields if field.children == ()]
    parts: list[str] = []
    rules: list[str] = []
    for field in wanted:
        repeat = "*" if field.kind is Kind.LIST else "?"
        parts.append(f"f_{field.name}{repeat}")
        rules.append(f'f_{field.name}: "<{field.name}>" T_{field.name.upper()} "</{field.name}>"')
        rules.append(f"T_{field.name.upper()}: {_terminal(field)}")
    return "\n".join([_start(asked), "answer: " + " ".join(parts), *rules]) + "\n"


def _terminal(field: FieldSpec) -> str:
    if field.kind is Kind.CHOICE:
        return " | ".join(json.dumps(choice) for choice in field.choices)
    return f"/[^<>\\n]{{1,{field.max_length}}}/"
