"""What a rollout is judged by, as one text: the column `task` of the rows that GRPO takes.

TRL hands every further column of a row to the rewards. A column of one type, text, passes through
Arrow as it is, whatever the document type's fields are.
"""

import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import lru_cache
from typing import Any

from extraction.document_types.base import DocumentType, FieldSpec, Kind
from extraction.layout import Layout
from extraction.lines import Box, Line
from extraction.prompt import AnswerFormat, Asked, PromptStyle


@dataclass(frozen=True, slots=True)
class Task:
    """One document with what was asked of it and what is known to be right.

    Attributes:
        asked: the type with the asked fields, and the answer's form.
        reference: values as JSON, nested; confirmed fields only. None (or [] or {}) says that the
            document lacks the field, a missing key that nobody has said anything. Decoded tasks
            are shared, so it is read and never changed.
        lines: what the model was shown.
        tests: unit tests of the page, each as its JSON object (`extraction/unit_tests`).
    """

    asked: Asked
    reference: dict[str, Any]
    lines: tuple[Line, ...]
    tests: tuple[dict[str, Any], ...] = ()


def encode_task(task: Task) -> str:
    """The task as JSON in ASCII; `decode_task` gives an equal one back.

    Raises:
        TypeError: the reference holds what is no JSON.
        ValueError: it holds a number that is not finite.
    """
    content = {
        "type": {
            "name": task.asked.document_type.name,
            "version": task.asked.document_type.version,
            "description": task.asked.document_type.description,
            "fields": [_spec(spec) for spec in task.asked.document_type.fields],
        },
        "format": task.asked.answer_format.value,
        "reasoning": task.asked.reasoning,
        "style": task.asked.style.value,
        "layout": task.asked.layout.value,
        "reference": task.reference,
        "lines": [_line(line) for line in task.lines],
        "tests": task.tests,
    }
    return json.dumps(content, separators=(",", ":"), allow_nan=False)


# One optimiser step scores a group's completions by eight rewards; the tasks of a few steps stay.
@lru_cache(maxsize=64)
def decode_task(text: str) -> Task:
    """The task that `encode_task` wrote.

    Raises:
        ValueError, KeyError, TypeError: the text is none; that is our own bug.
    """
    content = json.loads(text)
    kind = content["type"]
    document_type = DocumentType(
        kind["name"],
        kind["version"],
        tuple(_read_spec(spec) for spec in kind["fields"]),
        kind["description"],
    )
    asked = Asked(
        document_type,
        AnswerFormat(content["format"]),
        content["reasoning"],
        PromptStyle(content["style"]),
        Layout(content["layout"]),
    )
    lines = tuple(_read_line(line) for line in content["lines"])
    return Task(asked, content["reference"], lines, tuple(content["tests"]))


_DEFAULTS = {item.name: item.default for item in fields(FieldSpec) if item.default is not MISSING}


def _spec(spec: FieldSpec) -> dict[str, Any]:
    """What differs from a specification's defaults."""
    content: dict[str, Any] = {"name": spec.name, "kind": spec.kind.value}
    for name, default in _DEFAULTS.items():
        value = getattr(spec, name)
        if value != default:
            content[name] = value
    if spec.children:
        content["children"] = [_spec(child) for child in spec.children]
    return content


def _read_spec(content: Mapping[str, Any]) -> FieldSpec:
    known = dict(content)
    known["kind"] = Kind(known["kind"])
    if "element" in known:
        known["element"] = Kind(known["element"])
    if "choices" in known:
        known["choices"] = tuple(known["choices"])
    if "children" in known:
        known["children"] = tuple(_read_spec(child) for child in known["children"])
    return FieldSpec(**known)


def _line(line: Line) -> list[Any]:
    box = line.box
    place = [box.left, box.top, box.right, box.bottom]
    return [line.text, *place, line.score, line.page, line.quarter_turns]


def _read_line(content: list[Any]) -> Line:
    text, left, top, right, bottom, score, page, quarter_turns = content
    return Line(text, Box(left, top, right, bottom), score, page, quarter_turns)
