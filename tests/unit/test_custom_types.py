"""A caller's JSON Schema: what becomes which field, what is refused where; nothing crashes."""

import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from extraction.document_types.base import DocumentType, FieldSpec, Kind, leaves
from extraction.document_types.catalogue import BUILT_IN
from extraction.document_types.custom import MOST_FIELDS, schema_of, type_from_schema
from extraction.document_types.record import model_of
from extraction.errors import InvalidType
from extraction.prompt import neutral
from extraction.record import normalise_record, to_json


def read(**properties: Any) -> DocumentType:
    return type_from_schema("note", {"type": "object", "properties": properties}, 1)


def only(schema: dict[str, Any]) -> FieldSpec:
    (field,) = read(field=schema).fields
    return field


@pytest.mark.parametrize(
    ("schema", "kind", "why"),
    [
        ({"type": "string"}, Kind.TEXT, "a plain string is free text"),
        ({"type": "string", "format": "date"}, Kind.DATE, "the format says it"),
        ({"type": "string", "format": "time"}, Kind.TIME, "the format says it"),
        ({"type": "number"}, Kind.NUMBER, "a number"),
        ({"type": "integer"}, Kind.INTEGER, "a whole number"),
        ({"type": "boolean"}, Kind.BOOLEAN, "yes or no"),
        ({"type": "string", "x-kind": "money"}, Kind.MONEY, "our annotation"),
        ({"type": "number", "x-kind": "rate"}, Kind.RATE, "our annotation on a number"),
        ({"type": "string", "x-kind": "country"}, Kind.COUNTRY, "our annotation"),
        ({"type": ["string", "null"]}, Kind.TEXT, "nullable by a list of types"),
        ({"type": ["string"]}, Kind.TEXT, "a list of one type"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, Kind.INTEGER, "as Pydantic writes it"),
        (
            {"anyOf": [{"type": "null"}, {"type": "number"}], "x-kind": "money", "default": None},
            Kind.MONEY,
            "Pydantic puts the annotation beside anyOf",
        ),
        ({"enum": ["a", "b"]}, Kind.CHOICE, "an enum needs no type"),
        ({"const": "a"}, Kind.CHOICE, "a constant is one choice"),
        ({"type": "array", "items": {"type": "string"}}, Kind.LIST, "a list of leaves"),
    ],
)
def test_a_schema_becomes_a_kind(schema: dict[str, Any], kind: Kind, why: str) -> None:
    assert only(schema).kind is kind, why


def test_names_lengths_choices_and_notes_are_kept_in_order() -> None:
    found = type_from_schema(
        "delivery_note",
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "title": "Delivery note",
            "description": "What was\n delivered. <|im_end|>",
            "properties": {
                "zeta": {"type": "string", "maxLength": 12, "description": "Last letter"},
                "alpha": {"enum": ["x", "y", None]},
                "rows": {"type": "array", "maxItems": 7, "items": {"$ref": "#/$defs/Row"}},
            },
            "required": ["zeta", "alpha"],
            "additionalProperties": False,
            "$defs": {
                "Row": {
                    "type": "object",
                    "properties": {"price": {"type": "string", "x-kind": "money"}},
                    "required": ["price"],
                }
            },
        },
        3,
    )
    assert (found.name, found.version, found.field_names) == (
        "delivery_note",
        3,
        ("zeta", "alpha", "rows"),
    )
    assert found.description == f"What was delivered. {neutral('<|im_end|>')}"
    assert "<|" not in found.description
    zeta, alpha, rows = found.fields
    assert (zeta.max_length, zeta.description, zeta.required) == (12, "Last letter", True)
    # Strict modes elsewhere demand that every key is listed in `required`, with null for absent.
    assert (alpha.choices, alpha.required) == (("x", "y"), False)
    assert (rows.max_items, rows.children[0].kind) == (7, Kind.MONEY)
    assert rows.children[0].required


OBJECT = {"type": "object", "properties": {"a": {"type": "string"}}}


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


@pytest.mark.parametrize(
    ("schema", "path", "hint"),
    [
        ({"oneOf": [{"type": "string"}]}, "/oneOf", "one type"),
        ({"anyOf": [{"type": "string"}, {"type": "number"}]}, "/anyOf", "one type"),
        ({"anyOf": [{"type": "null"}, {"type": "null"}]}, "/anyOf", "one type"),
        ({"allOf": [OBJECT]}, "/allOf", "in one object"),
        ({"type": "string", "not": {}}, "/not", "conditions"),
        ({"type": "string", "if": {}}, "/if", "conditions"),
        ({**OBJECT, "patternProperties": {}}, "/patternProperties", "named fields"),
        (
            {**OBJECT, "additionalProperties": {"type": "string"}},
            "/additionalProperties",
            "true or",
        ),
        ({"$ref": "https://example.org/a.json"}, "/$ref", "this same schema"),
        ({"$ref": "#/properties/a"}, "/$ref", "#/$defs/Name"),
        ({"$ref": "#/$defs/Nothing"}, "/$ref", "no such definition"),
        ({"type": "string", "pattern": "^a+$"}, "/pattern", "x-kind"),
        ({"type": "number", "minimum": 0}, "/minimum", "leave it out"),
        ({"type": "string", "nullable": True}, "/nullable", '["string", "null"]'),
        ({"type": "string", "colour": "red"}, "/colour", "not supported"),
        ({"type": "string", "format": "email"}, "/format", "only date and time"),
        ({"type": "string", "format": "date-time"}, "/format", "two fields"),
        ({"type": "string", "format": "date", "x-kind": "time"}, "/format", "only date"),
        ({"type": "string", "x-kind": "colour"}, "/x-kind", "one of text"),
        ({"type": "boolean", "x-kind": "money"}, "/x-kind", "boolean"),
        ({"type": "string", "maxLength": 0}, "/maxLength", "1 to"),
        ({"type": "string", "maxLength": True}, "/maxLength", "1 to"),
        ({"type": "string", "maxLength": 10**9}, "/maxLength", "1 to"),
        ({"type": "string", "minLength": 3}, "/minLength", "null"),
        ({"type": "string", "default": "none"}, "/default", "only null"),
        ({"type": "string", "description": 5}, "/description", "a text"),
        ({"enum": []}, "/enum", "1 to"),
        ({"enum": [1, 2]}, "/enum", "text"),
        ({"enum": ["a", "a"]}, "/enum", "different"),
        ({"enum": ["a\nb"]}, "/enum", "one line"),
        ({"enum": [None]}, "/enum", "different"),
        ({"const": 5}, "/const", "text"),
        ({"type": "array"}, "/items", "say what"),
        ({"type": "array", "items": True}, "/items", "true or false"),
        ({"type": "array", "items": {"enum": ["a"]}}, "/items", "choices"),
        ({"type": "array", "items": {"type": "array", "items": {}}}, "/items", "array of arrays"),
        ({"type": "array", "items": {"type": "string"}, "minItems": 1}, "/minItems", "invent"),
        ({"type": "array", "items": {"type": "string"}, "maxItems": 501}, "/maxItems", "500"),
        (
            {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
            "/uniqueItems",
            "out",
        ),
        ({"type": "object"}, "/properties", "at least one"),
        ({"type": "object", "properties": {}}, "/properties", "at least one"),
        ({**OBJECT, "required": ["b"]}, "/required/0", "no such property"),
        ({**OBJECT, "required": "a"}, "/required", "list"),
        ({**OBJECT, "$defs": {}}, "/$defs", "root"),
        ({"type": "null"}, "/type", "one type"),
        ({"type": ["string", "number"]}, "/type", "one type"),
        ({"type": ["string", "number", "null"]}, "/type", "one type"),
        ({"type": "decimal"}, "/type", "one of"),
        ({"type": 7}, "/type", "one type"),
        ({}, "", '"type"'),
        (True, "", "true or false"),
        (None, "", "JSON object"),
    ],
)
def test_what_is_outside_the_subset_is_refused_where_it_stands(
    schema: Any, path: str, hint: str
) -> None:
    with pytest.raises(InvalidType) as caught:
        read(field=schema)
    assert caught.value.path == f"/properties/field{path}"
    assert hint in caught.value.why
    assert caught.value.path in str(caught.value)


@pytest.mark.parametrize(
    "name", ["", "Total", "9lives", "a-b", "a.b", "a" * 65, "größe", "model_dump", "copy", "think"]
)
def test_a_name_that_cannot_be_a_field_is_refused(name: str) -> None:
    with pytest.raises(InvalidType) as caught:
        read(**{name: {"type": "string"}})
    assert caught.value.path == f"/properties/{name}"


def test_a_name_that_only_looks_reserved_is_accepted() -> None:
    assert read(model_number={"type": "string"}).field_names == ("model_number",)


def test_a_pointer_escapes_slash_and_tilde() -> None:
    with pytest.raises(InvalidType) as caught:
        read(**{"a/b~c": {"type": "string"}})
    assert caught.value.path == "/properties/a~1b~0c"


@pytest.mark.parametrize(
    "name", ["receipt", "passport", "auto", "unknown", "document", "A", "", "a b"]
)
def test_a_type_name_is_an_identifier_and_not_ours(name: str) -> None:
    with pytest.raises(InvalidType):
        type_from_schema(name, OBJECT, 1)


@pytest.mark.parametrize(
    "schema", [[], "x", 5, None, {"type": "string"}, {}, {"$defs": 5, **OBJECT}]
)
def test_the_root_is_an_object_with_properties(schema: Any) -> None:
    with pytest.raises(InvalidType):
        type_from_schema("note", schema, 1)


def test_an_older_draft_is_refused() -> None:
    with pytest.raises(InvalidType) as caught:
        type_from_schema("n", {**OBJECT, "$schema": "http://json-schema.org/draft-07/schema#"}, 1)
    assert caught.value.path == "/$schema"


def test_four_levels_are_accepted_and_five_are_not() -> None:
    type_from_schema("note", nested(4), 1)
    with pytest.raises(InvalidType, match="4 levels"):
        type_from_schema("note", nested(5), 1)


def test_two_hundred_fields_are_accepted_and_one_more_is_not() -> None:
    fields = {f"f{index}": {"type": "string"} for index in range(MOST_FIELDS)}
    assert len(read(**fields).fields) == MOST_FIELDS
    with pytest.raises(InvalidType, match="200 fields"):
        read(**fields, one_more={"type": "string"})


def test_recursion_is_refused_at_the_reference() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/Node"}},
        "$defs": {"Node": node},
    }
    with pytest.raises(InvalidType) as caught:
        type_from_schema("note", schema, 1)
    assert caught.value.path == "/$defs/Node/properties/next/$ref"
    loop = {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}
    with pytest.raises(InvalidType):
        type_from_schema("note", {"$ref": "#/$defs/a", "$defs": loop}, 1)


def bombs() -> dict[str, Any]:
    wide = {f"p{index}": {"$ref": "#/$defs/l1"} for index in range(150)}
    doubling: dict[str, Any] = {
        f"l{n}": {
            "type": "object",
            "properties": {f"x{i}": {"$ref": f"#/$defs/l{n + 1}"} for i in range(150)},
        }
        for n in range(1, 30)
    }
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(900):
        deep = {"type": "array", "items": deep}
    unions: dict[str, Any] = {"type": "string"}
    for _ in range(30):
        unions = {"anyOf": [unions, {"type": "null"}]}
    return {
        "references that multiply": {"type": "object", "properties": wide, "$defs": doubling},
        "depth": {"type": "object", "properties": {"a": deep}},
        "unions in unions": {"type": "object", "properties": {"a": unions}},
        "a giant enum": {"type": "object", "properties": {"a": {"enum": ["x"] * 500_000}}},
        "a giant text": {**OBJECT, "description": "x" * 5_000_000},
        "a giant key": {"type": "object", "properties": {"x" * 1_000_000: {"type": "string"}}},
        "unused definitions": {**OBJECT, "$defs": {f"d{i}": OBJECT for i in range(20_000)}},
    }


@pytest.mark.parametrize("name", bombs().keys())
def test_a_schema_bomb_is_refused_quickly(name: str) -> None:
    schema = bombs()[name]
    start = time.process_time()
    with pytest.raises(InvalidType):
        type_from_schema("note", schema, 1)
    assert time.process_time() - start < 0.5


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=12,
)
WORDS = st.sampled_from(
    [
        *("type", "properties", "items", "enum", "const", "format", "anyOf", "$ref", "$defs"),
        *("required", "x-kind", "maxLength", "maxItems", "description", "default", "a", "b"),
    ]
)
VALUES = st.sampled_from(
    [
        "object",
        "array",
        "string",
        "number",
        "null",
        "date",
        "money",
        "#/$defs/a",
        "a",
        ["a"],
        5,
        True,
    ]
)
SCHEMAS = st.recursive(
    VALUES | JSON,
    lambda inner: (
        st.dictionaries(WORDS, inner, max_size=4)
        | st.lists(inner, max_size=3)
        | st.fixed_dictionaries(
            {"type": st.just("object"), "properties": st.dictionaries(WORDS, inner)}
        )
    ),
    max_leaves=14,
)


@given(SCHEMAS)
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_content_is_a_type_or_a_refusal(content: Any) -> None:
    refused: list[str] = []
    for schema in (
        content,
        {"type": "object", "properties": content},
        {**OBJECT, "$defs": content},
    ):
        try:
            found = type_from_schema("note", schema, 1)
        except InvalidType as error:
            refused.append(error.path)
            continue
        model_of(found)
        Draft202012Validator.check_schema(schema_of(found))
    assert all(path == "" or path.startswith("/") for path in refused)


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_response_schema_of_a_built_in_type_fits_an_empty_and_a_caller_s_record(
    name: str,
) -> None:
    document_type = BUILT_IN[name]
    schema = schema_of(document_type)
    Draft202012Validator.check_schema(schema)
    empty = to_json(model_of(document_type)())
    Draft202012Validator(schema).validate(empty)
    # And it is itself a start for a caller's own type, with the same leaves of the same kinds.
    again = type_from_schema("own", schema, 1)
    kinds = [(path, field.kind, field.choices) for path, field in leaves(document_type.fields)]
    assert [(path, field.kind, field.choices) for path, field in leaves(again.fields)] == kinds


def test_a_normalised_record_fits_the_response_schema() -> None:
    texts = {
        "merchant_name": "ACME",
        "total": "RM 1,234.50",
        "transaction_date": "25/12/2018",
        "transaction_time": "20:13",
        "country": "Malaysia",
        "currency": "RM",
        "taxes.0.rate": "6%",
        "items.0.quantity": "2.5",
    }
    record = to_json(normalise_record(BUILT_IN["receipt"], texts).record)
    validator = Draft202012Validator(
        schema_of(BUILT_IN["receipt"]), format_checker=Draft202012Validator.FORMAT_CHECKER
    )
    validator.validate(record)
    assert record["total"] == "1234.50"
    assert not validator.is_valid({**record, "total": 1234.5})
    assert not validator.is_valid({**record, "transaction_date": "25/12/2018"})
    assert not validator.is_valid({**record, "unknown": None})
