"""What an answer may look like: the grammar that constrains decoding, per type and format.

A model answers with values as they are printed, so nearly every leaf is a short string here and is
normalised afterwards (`normalize.py`). Absent fields are left out, which also keeps answers short.
"""

import json
from collections.abc import Set as AbstractSet
from typing import Any

from extraction.document_types.base import DocumentType, FieldSpec, Kind
from extraction.document_types.document import is_document
from extraction.document_types.graph import is_graph
from extraction.engine import Grammar
from extraction.graph_answer import graph_grammar, graph_tokens
from extraction.markdown import front_matter
from extraction.prompt import AnswerFormat, Asked

_THOUGHT_CHARACTERS = 2000
PAGE_TOKENS = 4096
"""The most tokens of one page as Markdown; a dense page of print has about 2,500."""
_LEAF_TOKENS, _LIST_TOKENS, _MOST_TOKENS = 80, 1500, 2048


def grammar_of(asked: Asked, special_tokens: AbstractSet[str] = frozenset()) -> Grammar:
    """The constraint for an engine: a JSON Schema, or a Lark grammar where tags are needed.

    Args:
        asked: the type with its fields, and the answer's form.
        special_tokens: tags that the model has as single tokens; others are spelled out.
    """
    if asked.answer_format is AnswerFormat.ENTITY_TOKENS:
        return _entity_grammar(asked, special_tokens)
    if is_document(asked.document_type):
        return f"{_start(asked, special_tokens)}\n{front_matter.GRAMMAR}"
    if is_graph(asked.document_type) and "entities" in asked.document_type.field_names:
        return f"{_start(asked, special_tokens)}\n{graph_grammar(asked.document_type)}"
    schema = answer_schema(asked.document_type)
    if not asked.reasoning:
        return schema
    compact = {**schema, "x-guidance": {"whitespace_flexible": False}}
    return f"{_start(asked, special_tokens)}\nanswer: %json {json.dumps(compact)}\n"


def answer_tokens(asked: Asked) -> int:
    """The most tokens that an answer is given; a bound, not an estimate."""
    thought = _THOUGHT_CHARACTERS // 3 if asked.reasoning else 0
    if is_document(asked.document_type):
        return PAGE_TOKENS + thought
    if is_graph(asked.document_type):
        return graph_tokens(asked.document_type) + thought
    wanted = [field for field in asked.document_type.fields if field.asked]
    lists = any(field.kind is Kind.LIST for field in wanted)
    flat = sum(_LEAF_TOKENS for field in wanted if field.kind is not Kind.LIST)
    tokens = 64 + flat + (_LIST_TOKENS if lists else 0)
    return min(tokens, _MOST_TOKENS) + thought


def answer_schema(document_type: DocumentType) -> dict[str, Any]:
    """The JSON Schema of an answer: every field optional, unknown ones impossible."""
    return _object([field for field in document_type.fields if field.asked])


def _object(fields: list[FieldSpec]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {field.name: _schema(field) for field in fields},
        "additionalProperties": False,
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


def _start(asked: Asked, special_tokens: AbstractSet[str]) -> str:
    """The first rules of a Lark grammar: with or without a thought before the answer."""
    if not asked.reasoning:
        return "start: answer"
    begin, end = _tag("<think>", special_tokens), _tag("</think>", special_tokens)
    thought = f"THOUGHT: /[^<]{{0,{_THOUGHT_CHARACTERS}}}/"
    return f"start: {begin} THOUGHT {end} answer\n{thought}"


def _tag(tag: str, special_tokens: AbstractSet[str]) -> str:
    """A tag in a Lark grammar: bare for a token of the vocabulary, quoted for its characters."""
    return tag if tag in special_tokens else f'"{tag}"'


def _entity_grammar(asked: Asked, special_tokens: AbstractSet[str]) -> str:
    """`<name>text</name>` for each leaf, in the type's order, each at most once.

    Only flat types can be written in entity tokens; lists repeat their element's tag.
    """
    wanted = [field for field in asked.document_type.fields if field.asked and not field.children]
    parts: list[str] = []
    rules: list[str] = []
    for field in wanted:
        repeat = f"{{0,{field.max_items}}}" if field.kind is Kind.LIST else "?"
        parts.append(f"f_{field.name}{repeat}")
        begin = _tag(f"<{field.name}>", special_tokens)
        end = _tag(f"</{field.name}>", special_tokens)
        rules.append(f"f_{field.name}: {begin} T_{field.name.upper()} {end}")
        rules.append(f"T_{field.name.upper()}: {_terminal(field)}")
    return "\n".join([_start(asked, special_tokens), "answer: " + " ".join(parts), *rules]) + "\n"


def _terminal(field: FieldSpec) -> str:
    if field.kind is Kind.CHOICE:
        return " | ".join(json.dumps(choice) for choice in field.choices)
    return f"/[^<>\\n]{{1,{field.max_length}}}/"
