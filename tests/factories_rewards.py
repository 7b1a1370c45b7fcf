"""Tasks, right answers, honest attempts and tricks, written by hand."""

import json
from collections.abc import Mapping
from typing import Any

from extraction.document_types.base import DocumentType, FieldSpec, Kind
from extraction.document_types.catalogue import BUILT_IN
from extraction.document_types.custom import type_from_schema
from extraction.prompt import AnswerFormat, Asked, render_lines
from tests.factories_lines import LOWER, UPPER, page_of
from trainer.examples import answer_text
from trainer.profile import load_profile
from trainer.rewards import Task, encode_task, make_rewards

END = 2
RECEIPT, PASSPORT = BUILT_IN["receipt"], BUILT_IN["passport"]

RECEIPT_LINES = page_of(
    "KEDAI PAPAN YEW CHUAN",
    "LOT 276 JALAN BANTING 43800 DENGKIL SELANGOR",
    ("INVOICE NO:", "CS-10012"),
    ("DATE:", "20/04/2018"),
    ("SCREW 2 INCH", "2 x 5.00", "10.00"),
    ("PLANK PINE", "1 x 90.00", "90.00"),
    ("SUBTOTAL", "RM 100.00"),
    ("GST 6%", "6.00"),
    ("TOTAL", "RM 106.00"),
    ("CASH", "110.00"),
    ("CHANGE", "4.00"),
)
RECEIPT_REFERENCE: dict[str, Any] = {
    "merchant_name": "KEDAI PAPAN YEW CHUAN",
    "merchant_address": "LOT 276 JALAN BANTING 43800 DENGKIL SELANGOR",
    "receipt_number": "CS-10012",
    "transaction_date": "2018-04-20",
    "currency": "MYR",
    "items": [
        {
            "description": "SCREW 2 INCH",
            "quantity": "2",
            "unit_price": "5.00",
            "discount": None,
            "total_price": "10.00",
        },
        {
            "description": "PLANK PINE",
            "quantity": "1",
            "unit_price": "90.00",
            "discount": None,
            "total_price": "90.00",
        },
    ],
    "subtotal": "100.00",
    "tip": None,
    "tax_total": "6.00",
    "rounding": None,
    "total": "106.00",
    "amount_paid": "110.00",
    "change_due": "4.00",
}
PASSPORT_LINES = page_of(
    ("PASSPORT", "P", "UTO", "L898902C3"),
    "ERIKSSON",
    "ANNA MARIA",
    "UTOPIAN",
    "12 AUG 1974",
    "F",
    "ZENITH",
    "15 APR 2012",
    UPPER,
    LOWER,
)
PASSPORT_REFERENCE: dict[str, Any] = {
    "document_number": "L898902C3",
    "issuing_country": "UTO",
    "surname": "ERIKSSON",
    "given_names": "ANNA MARIA",
    "nationality": "UTO",
    "date_of_birth": "1974-08-12",
    "sex": "F",
    "place_of_birth": "ZENITH",
    "date_of_expiry": "2012-04-15",
    "place_of_issue": None,
}
NOTE = type_from_schema(
    "delivery_note",
    {
        "type": "object",
        "description": "A delivery note.",
        "properties": {
            "supplier": {"type": "string", "description": "Company that delivers"},
            "number": {"type": "string", "x-kind": "code"},
            "delivered_on": {"type": "string", "format": "date"},
            "urgent": {"type": "boolean"},
            "pallets": {"type": "integer"},
            "grade": {"enum": ["a", "b"]},
            "carrier": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "plate": {"type": ["string", "null"]}},
            },
            "batches": {"type": "array", "items": {"type": "string"}},
            "positions": {
                "type": "array",
                "maxItems": 7,
                "items": {
                    "type": "object",
                    "properties": {"article": {"type": "string"}, "quantity": {"type": "number"}},
                },
            },
        },
        "required": ["supplier"],
    },
    3,
)
NOTE_REFERENCE: dict[str, Any] = {
    "supplier": "Müller & Söhne",
    "number": "D-17",
    "delivered_on": "2024-02-29",
    "urgent": False,
    "pallets": 12,
    "grade": "b",
    "carrier": {"name": "Trans Nord", "plate": None},
    "batches": ["77-A", "78-A"],
    "positions": [
        {"article": "Bolt", "quantity": "40"},
        {"article": "Nut", "quantity": "40"},
        {"article": "Nut", "quantity": "40"},
    ],
}
NOTE_LINES = page_of(
    "Müller & Söhne", ("Lieferschein", "D-17"), "29.02.2024", ("Bolt", "40"), ("Nut", "40")
)


def task_of(
    document_type: DocumentType,
    reference: Mapping[str, Any],
    lines: Any = (),
    answer_format: AnswerFormat = AnswerFormat.JSON,
    *,
    reasoning: bool = False,
) -> Task:
    """A task that asks exactly the fields of its reference, those that fit the form."""
    is_flat = answer_format is AnswerFormat.ENTITY_TOKENS
    names = tuple(
        spec.name
        for spec in document_type.fields
        if spec.name in reference and not (is_flat and (spec.children or spec.kind is Kind.LIST))
    )
    asked = Asked(document_type.select(names), answer_format, reasoning=reasoning)
    return Task(asked, {name: reference[name] for name in names}, tuple(lines))


def tasks() -> dict[str, Task]:
    """One task of each kind of document and form."""
    entities = AnswerFormat.ENTITY_TOKENS
    return {
        "receipt": task_of(RECEIPT, RECEIPT_REFERENCE, RECEIPT_LINES),
        "receipt in entity tokens": task_of(RECEIPT, RECEIPT_REFERENCE, RECEIPT_LINES, entities),
        "receipt without lines": task_of(RECEIPT, RECEIPT_REFERENCE),
        "receipt with a thought": task_of(
            RECEIPT, RECEIPT_REFERENCE, RECEIPT_LINES, reasoning=True
        ),
        "passport": task_of(PASSPORT, PASSPORT_REFERENCE, PASSPORT_LINES),
        "passport in entity tokens": task_of(
            PASSPORT, PASSPORT_REFERENCE, PASSPORT_LINES, entities
        ),
        "a caller's type": task_of(NOTE, NOTE_REFERENCE, NOTE_LINES),
    }


def written(task: Task, record: Mapping[str, Any]) -> str:
    """A record as a model writes it, with a thought where one is asked."""
    answer = answer_text(task.asked, record)
    return f"<think>As printed.</think>{answer}" if task.asked.reasoning else answer


def gold(task: Task) -> str:
    """The right answer."""
    return written(task, task.reference)


def half_right(task: Task, *, first: int = 0, leave_out: bool = False) -> str:
    """Every second field right, the others wrong in a way that fits their kind, or left out."""
    record: dict[str, Any] = {}
    present = [
        spec
        for spec in task.asked.document_type.fields
        if task.reference[spec.name] not in (None, [])
    ]
    for position, spec in enumerate(present):
        if position % 2 == first:
            record[spec.name] = task.reference[spec.name]
        elif not leave_out:
            record[spec.name] = _wrong(spec, task.reference[spec.name])
    return written(task, record)


_WRONG: dict[Kind, Any] = {
    Kind.TEXT: "QQQ",
    Kind.CODE: "9",
    Kind.MONEY: "77.77",
    Kind.NUMBER: "7",
    Kind.INTEGER: "7",
    Kind.DATE: "1999-01-31",
    Kind.COUNTRY: "DEU",
    Kind.CURRENCY: "EUR",
    Kind.BOOLEAN: True,
}


def _wrong(spec: FieldSpec, reference: Any) -> Any:
    if spec.kind is Kind.OBJECT:
        return {child.name: _wrong(child, reference) for child in spec.children[:1]}
    if spec.kind is Kind.LIST:
        return [_wrong_element(spec)]
    if spec.kind is Kind.CHOICE:
        return next(choice for choice in spec.choices if choice != reference)
    return _WRONG[spec.kind]


def _wrong_element(spec: FieldSpec) -> Any:
    if spec.children:
        return {child.name: _wrong(child, None) for child in spec.children}
    return _WRONG[spec.element]


def tricks(task: Task) -> dict[str, str]:
    """Completions that want a reward without reading the document."""
    right, lines = gold(task), render_lines(task.lines)
    body = right.partition("</think>")[2] if task.asked.reasoning else right
    head = right.removesuffix(body)
    fields = task.asked.document_type.fields
    leaves = [spec for spec in fields if not spec.children and spec.kind is not Kind.LIST]
    far = "Z" * 200
    made = {
        "empty": "",
        "nothing but a thought": "<think>It is hard.</think>",
        "null": f"{head}null",
        "an empty record": f"{head}{{}}",
        "the lines": lines,
        "the lines as a text": json.dumps(lines),
        "the request": "receipt: merchant_name, total",
        "the field names": json.dumps([spec.name for spec in fields]),
        "the same record twice": f"{right}{body}",
        "every field twice": head + _doubled(body),
        "an unasked field": f'{head}{{"wanted_reward":"1"}}',
        "cut at once": f"{head}{body[:9]}",
    }
    constants = {
        "the same text everywhere": dict.fromkeys((spec.name for spec in leaves), "TOTAL"),
        "the first line everywhere": dict.fromkeys(
            (spec.name for spec in leaves), lines[:21] or "A"
        ),
        "the same amount everywhere": dict.fromkeys((spec.name for spec in leaves), "106.00"),
        "the page in every field": dict.fromkeys(
            (spec.name for spec in leaves), lines[:190] or "A"
        ),
        "a constant that fits": {spec.name: _wrong(spec, None) for spec in fields},
        "zeros that add up": {spec.name: _zero(spec) for spec in fields},
        "as much as fits": {spec.name: far[: spec.max_length] for spec in leaves},
        "a hundred elements": {
            spec.name: [_wrong_element(spec)] * spec.max_items
            for spec in fields
            if spec.kind is Kind.LIST
        },
        "empty elements": {spec.name: [{}] for spec in fields if spec.kind is Kind.LIST},
        "one date": {spec.name: "2001-02-03" for spec in leaves if spec.kind is Kind.DATE},
    }
    return made | {name: written(task, record) for name, record in constants.items()}


def _doubled(body: str) -> str:
    """Each key or tag stands twice."""
    return f"{body[:-1]},{body[1:]}" if body.startswith("{") else body + body


def _zero(spec: FieldSpec) -> Any:
    return "0.00" if spec.kind is Kind.MONEY else None


def token_ids(text: str, *, ended: bool = True) -> list[int]:
    """A token for each character, and the end."""
    return [ord(letter) + 10 for letter in text] + ([END] if ended else [])


REWARDS, WEIGHTS = make_rewards(load_profile("small").rewards, end_token_ids=[END])


def scores(
    task: Task, text: str, *, ended: bool = True, rewards: Any = None
) -> dict[str, float | None]:
    """Each reward of one completion, by name."""
    columns: dict[str, Any] = {
        "prompts": [[{"role": "user", "content": ""}]],
        "completions": [[{"role": "assistant", "content": text}]],
        "completion_ids": [token_ids(text, ended=ended)],
        "task": [encode_task(task)],
        "trainer_state": None,
    }
    return {reward.__name__: reward(**columns)[0] for reward in rewards or REWARDS}


def weighted(scored: Mapping[str, float | None]) -> float:
    """The sum as TRL takes it: a reward of None counts nothing."""
    names = [reward.__name__ for reward in REWARDS]
    return sum(weight * (scored[name] or 0.0) for name, weight in zip(names, WEIGHTS, strict=True))
