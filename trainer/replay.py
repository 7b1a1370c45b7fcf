"""Base examples beside the corrections, so that what the default model could do is not forgotten.

Made by the generators that the default model was trained with (`trainer.synth`), asked in the same
ways. No OCR runs: its typical errors are imitated, as for most of the default model's passports.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from extraction.document_types.base import DocumentType, FieldSpec, Kind
from extraction.document_types.passport import PASSPORT
from extraction.document_types.receipt import RECEIPT
from extraction.lines import Line
from extraction.prompt import AnswerFormat, Asked
from extraction.record import to_json, value_of
from extraction.traits import ModelTraits
from trainer.default_model.dataset import FOUR, Mix
from trainer.examples import Example, make_example
from trainer.synth.document import SyntheticDocument
from trainer.synth.ocr_noise import misread
from trainer.synth.passports import make_passport
from trainer.synth.receipts import make_receipt

MISREAD_RATE = 0.15
_MAKERS = {PASSPORT.name: make_passport, RECEIPT.name: make_receipt}
# The shares in which the default model's data are asked; the counts mean nothing here.
_SHARES = Mix(sroie=0, receipts=0, passports=0)
_MOST_FEW = 8


@dataclass(frozen=True, slots=True)
class BaseExample:
    """One generated document, asked in one way.

    Attributes:
        example: prompt and answer.
        asked: the question.
        reference: the right values as JSON; as printed where the print is no value of its kind.
        lines: what was shown.
        key: makes the document again, see `generate`.
    """

    example: Example
    asked: Asked
    reference: Mapping[str, Any]
    lines: tuple[Line, ...]
    key: str


def base_examples(count: int, traits: ModelTraits, *, seed: int) -> tuple[BaseExample, ...]:
    """Generated passports and receipts by turns; the same for the same arguments.

    Args:
        count: how many. Each takes about half a second of one core.
        traits: of the served model; how it is asked.
        seed: of everything that is drawn; a longer series begins with the shorter one.
    """
    kinds = tuple(_MAKERS)
    return tuple(
        _base_example(f"{kinds[index % len(kinds)]}/{seed}/{index}", traits)
        for index in range(count)
    )


def generate(key: str) -> SyntheticDocument:
    """The document of a base example, with its page and its true lines.

    Args:
        key: "passport/17/0": type, seed, position.
    """
    return _MAKERS[key.partition("/")[0]](random.Random(f"replay/{key}"))


def _base_example(key: str, traits: ModelTraits) -> BaseExample:
    document = generate(key)
    rng = random.Random(f"replay/{key}/asked")
    lines = tuple(misread(document.lines, rng, MISREAD_RATE))
    is_passport = document.document_type == PASSPORT.name
    document_type = PASSPORT if is_passport else RECEIPT
    names = _passport_names(rng) if is_passport else _receipt_names(rng)
    chosen = document_type.select(names)
    as_entities = is_passport and rng.random() < _SHARES.entity_tokens
    answer_format = AnswerFormat.ENTITY_TOKENS if as_entities else AnswerFormat.JSON
    asked = Asked(chosen, answer_format, style=traits.style, layout=traits.layout)
    example = make_example(asked, lines, document.record, source=f"base/{key}")
    return BaseExample(example, asked, _reference(chosen, document.record), lines, key)


def _passport_names(rng: random.Random) -> tuple[str, ...]:
    names = [field.name for field in PASSPORT.fields if field.asked]
    if rng.random() < _SHARES.partial_passports:
        names = rng.sample(names, rng.randint(1, _MOST_FEW))
    return tuple(names)


def _receipt_names(rng: random.Random) -> tuple[str, ...]:
    draw = rng.random()
    if draw < _SHARES.four_of_generated:
        return FOUR
    if draw < _SHARES.four_of_generated + _SHARES.partial_receipts:
        return tuple(rng.sample(RECEIPT.field_names, rng.randint(1, _MOST_FEW)))
    return RECEIPT.field_names


def _reference(document_type: DocumentType, record: Mapping[str, Any]) -> dict[str, Any]:
    return {field.name: _value(field, record.get(field.name)) for field in document_type.fields}


def _value(spec: FieldSpec, raw: Any) -> Any:
    if raw in (None, "", [], {}):
        return [] if spec.kind is Kind.LIST else None
    if spec.kind is Kind.LIST and spec.children:
        return [_children(spec, element) for element in raw]
    if spec.kind is Kind.LIST:
        return [_leaf(spec, spec.element, element) for element in raw]
    return _children(spec, raw) if spec.children else _leaf(spec, spec.kind, raw)


def _children(spec: FieldSpec, raw: Mapping[str, Any]) -> dict[str, Any]:
    return {child.name: _value(child, raw.get(child.name)) for child in spec.children}


def _leaf(spec: FieldSpec, kind: Kind, raw: Any) -> Any:
    value = value_of(kind, spec, str(raw))
    return raw if value is None else to_json(value)
