"""Field trees and record models: two forms of the same."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from extraction.document_types.base import DocumentType, FieldSpec, Kind, leaves
from extraction.document_types.catalogue import BUILT_IN
from extraction.document_types.passport import Passport
from extraction.document_types.receipt import Receipt
from extraction.document_types.record import Record, fields_of, model_of
from extraction.errors import UnknownField

RECEIPT, PASSPORT = BUILT_IN["receipt"], BUILT_IN["passport"]
_LEAVES = [kind for kind in Kind if kind not in {Kind.OBJECT, Kind.LIST, Kind.CHOICE}]
_names = st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True).filter(
    lambda name: not hasattr(Record, name) and not name.endswith("_")
)


@st.composite
def _notes(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "description": draw(st.text("Ab ", max_size=5)),
        "max_length": draw(st.integers(1, 2000)),
        "max_items": draw(st.integers(1, 500)),
        "asked": draw(st.booleans()),
        "required": draw(st.booleans()),
    }


def _fields(children: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[FieldSpec, ...]]:
    return st.lists(children, min_size=1, max_size=4, unique_by=lambda spec: spec.name).map(tuple)


_leaf = st.builds(
    lambda name, kind, notes: FieldSpec(name, kind, **notes),
    _names,
    st.sampled_from(_LEAVES),
    _notes(),
)
_choice = st.builds(
    lambda name, choices, notes: FieldSpec(name, Kind.CHOICE, choices=tuple(choices), **notes),
    _names,
    st.lists(st.text("ABC", min_size=1, max_size=3), min_size=1, max_size=3, unique=True),
    _notes(),
)
_leaf_list = st.builds(
    lambda name, kind, notes: FieldSpec(name, Kind.LIST, element=kind, **notes),
    _names,
    st.sampled_from(_LEAVES),
    _notes(),
)
_spec = st.recursive(
    _leaf | _choice | _leaf_list,
    lambda inner: st.builds(
        lambda name, kind, children, notes: FieldSpec(name, kind, children=children, **notes),
        _names,
        st.sampled_from([Kind.OBJECT, Kind.LIST]),
        _fields(inner),
        _notes(),
    ),
    max_leaves=6,
)


@settings(max_examples=50, deadline=None)  # a model takes a while
@given(_fields(_spec))
def test_a_tree_comes_back_from_its_model(fields: tuple[FieldSpec, ...]) -> None:
    kind = DocumentType("note", 1, fields)
    assert fields_of(model_of(kind)) == fields
    model_of(kind, lenient=True)()


@pytest.mark.parametrize("kind", BUILT_IN.values(), ids=str)
def test_the_built_in_types_come_back_too(kind: DocumentType) -> None:
    assert fields_of(model_of(kind)) == kind.fields
    some = kind.select(kind.field_names[1:4])
    assert fields_of(model_of(some)) == some.fields


def test_every_field_of_a_built_in_type_is_described_and_may_be_absent() -> None:
    for kind in BUILT_IN.values():
        assert kind.version == 1
        for path, spec in leaves(kind.fields):
            assert spec.description, path
            assert not spec.required, path
    assert Receipt().model_dump(exclude_defaults=True) == {}
    assert Passport().model_dump(exclude_defaults=True) == {}


def test_a_record_is_frozen_and_knows_its_keys() -> None:
    receipt = Receipt(total=Decimal("9.00"))
    with pytest.raises(ValidationError):
        receipt.total = Decimal(1)  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Receipt.model_validate({"totall": "9.00"})
    with pytest.raises(ValidationError):
        Passport.model_validate({"sex": "Q"})


def test_what_a_caller_requires_is_demanded_but_leniently() -> None:
    kind = DocumentType(
        "note",
        1,
        (
            FieldSpec("a", Kind.TEXT, required=True),
            FieldSpec("rows", Kind.LIST, children=(FieldSpec("b", Kind.DATE, required=True),)),
        ),
    )
    with pytest.raises(ValidationError):
        model_of(kind)()
    record = model_of(kind, lenient=True).model_validate({"rows": ({},)})
    assert record.model_dump() == {"a": None, "rows": ({"b": None},)}


def test_choices_keep_their_order() -> None:
    for choices in (("b", "a"), ("a", "b")):
        kind = DocumentType("note", 1, (FieldSpec("a", Kind.CHOICE, choices=choices),))
        assert fields_of(model_of(kind)) == kind.fields


def test_one_model_is_made_for_one_type() -> None:
    assert model_of(RECEIPT) is model_of(RECEIPT)
    assert model_of(RECEIPT) is not model_of(replace(RECEIPT, version=2))


def test_a_selection_keeps_the_types_order() -> None:
    names = RECEIPT.select(("total", "merchant_name")).field_names
    assert names == ("merchant_name", "total")
    assert RECEIPT.select(()) is RECEIPT
    assert RECEIPT.select(None) is RECEIPT


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownField) as caught:
        RECEIPT.select(("total", "totall", "x"))
    assert caught.value.names == ("totall", "x")
    assert "merchant_name" in caught.value.known


@pytest.mark.parametrize(
    ("kind", "path", "name"),
    [
        (RECEIPT, "total", "total"),
        (RECEIPT, "items.0.unit_price", "unit_price"),
        (RECEIPT, "items.17", "items"),
        (PASSPORT, "mrz.lines.1", "lines"),
    ],
)
def test_the_specification_at_a_path(kind: DocumentType, path: str, name: str) -> None:
    assert kind.field(path).name == name


@pytest.mark.parametrize("path", ["", "x", "total.x", "total.0", "items.x", "items.0.x", "0", "."])
def test_nothing_is_at_other_paths(path: str) -> None:
    with pytest.raises(UnknownField):
        RECEIPT.field(path)


def test_the_leaves_of_a_tree() -> None:
    paths = [path for path, _ in leaves(PASSPORT.fields)]
    assert paths[0] == "document_type"
    assert paths[-1] == "mrz.lines"
    assert "items.*.unit_price" in [path for path, _ in leaves(RECEIPT.fields)]
