"""What an answer may look like."""

import json
from typing import Any

import jsonschema
import pytest

from extraction.answer import answer_schema, answer_tokens, grammar_of
from extraction.document_types.base import DocumentType, FieldSpec, Kind
from extraction.document_types.catalogue import BUILT_IN
from extraction.document_types.custom import type_from_schema
from extraction.prompt import AnswerFormat, Asked

RECEIPT, PASSPORT = BUILT_IN["receipt"], BUILT_IN["passport"]
NOTE = type_from_schema(
    "note",
    {
        "type": "object",
        "properties": {
            "text": {"type": "string", "maxLength": 7},
            "state": {"enum": ['n\u00e9w "x"', "b\\c"]},
            "paid": {"type": "boolean"},
            "codes": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
            "inner": {"type": "object", "properties": {"a": {"type": "integer"}}},
        },
        "required": ["text"],
    },
    1,
)


@pytest.mark.parametrize(
    ("answer", "is_valid", "why"),
    [
        ({}, True, "a page may hold nothing that was asked, also of what the caller requires"),
        ({"text": "a"}, True, "some fields"),
        ({"text": ""}, False, "absent is left out, never empty"),
        ({"text": "12345678"}, False, "longer than the type allows"),
        ({"text": None}, False, "absent is left out, never null"),
        ({"state": "b\\c"}, True, "a choice as it is"),
        ({"state": "B\\C"}, False, "no other text than a choice"),
        ({"paid": True}, True, "a boolean"),
        ({"paid": "yes"}, False, "a boolean is not copied from the print"),
        ({"codes": ["a", "b"]}, True, "a list of leaves"),
        ({"codes": []}, False, "an empty list is left out"),
        ({"codes": list("abcd")}, False, "more elements than the type allows"),
        ({"inner": {"a": "3"}}, True, "a number is copied as it is printed"),
        ({"inner": {"b": "3"}}, False, "an unknown field below"),
        ({"other": "x"}, False, "an unknown field"),
    ],
)
def test_the_schema_of_an_answer(answer: dict[str, Any], is_valid: bool, why: str) -> None:
    validator = jsonschema.Draft202012Validator(answer_schema(NOTE))
    assert validator.is_valid(answer) == is_valid, why


def test_only_what_is_asked_may_be_answered() -> None:
    schema = answer_schema(PASSPORT.select(("surname", "mrz")))
    assert list(schema["properties"]) == ["surname"]


@pytest.mark.parametrize("kind", [RECEIPT, PASSPORT, NOTE, PASSPORT.select(("mrz",))])
@pytest.mark.parametrize("answer_format", AnswerFormat)
@pytest.mark.parametrize("reasoning", [False, True])
def test_the_engine_accepts_every_grammar(
    kind: DocumentType, answer_format: AnswerFormat, reasoning: bool
) -> None:
    """With tags spelled out; tags that are tokens need a vocabulary, which tests/e2e has."""
    matcher = pytest.importorskip("llguidance").LLMatcher
    grammar = grammar_of(Asked(kind, answer_format, reasoning=reasoning))
    if isinstance(grammar, str):
        written = matcher.grammar_from_lark(grammar)
    else:
        written = matcher.grammar_from_json_schema(json.dumps(grammar))
    is_error, messages = matcher.validate_grammar_with_warnings(written, None)
    assert not is_error, messages


def test_tags_are_bare_where_they_are_tokens_and_quoted_where_not() -> None:
    asked = Asked(PASSPORT.select(("surname",)), AnswerFormat.ENTITY_TOKENS, reasoning=True)
    spelled = grammar_of(asked)
    assert isinstance(spelled, str)
    assert 'f_surname: "<surname>" T_SURNAME "</surname>"' in spelled
    assert spelled.startswith('start: "<think>" THOUGHT "</think>" answer')
    tokens = grammar_of(asked, frozenset({"<surname>", "</surname>", "<think>", "</think>"}))
    assert isinstance(tokens, str)
    assert "f_surname: <surname> T_SURNAME </surname>" in tokens
    assert tokens.startswith("start: <think> THOUGHT </think> answer")


def test_a_list_in_entity_tokens_is_bounded() -> None:
    grammar = grammar_of(Asked(NOTE, AnswerFormat.ENTITY_TOKENS))
    assert isinstance(grammar, str)
    assert "f_codes{0,3}" in grammar
    assert "inner" not in grammar


def test_plain_json_is_a_schema_and_reasoning_wraps_it_compactly() -> None:
    assert grammar_of(Asked(NOTE)) == answer_schema(NOTE)
    grammar = grammar_of(Asked(NOTE, reasoning=True))
    assert isinstance(grammar, str)
    assert '"whitespace_flexible": false' in grammar


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [
        (Asked(PASSPORT.select(("surname",))), 80, 200),
        (Asked(RECEIPT), 1500, 2048),
        (Asked(RECEIPT, reasoning=True), 2048, 3000),
        (Asked(DocumentType("x", 1, (FieldSpec("a", Kind.TEXT),) * 99)), 2048, 2048),
    ],
)
def test_an_answer_has_room_and_a_bound(asked: Asked, least: int, most: int) -> None:
    assert least <= answer_tokens(asked) <= most
