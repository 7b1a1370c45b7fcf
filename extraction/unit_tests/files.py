"""Tests in JSON Lines, one object a line, as olmOCR-bench writes them."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from extraction.unit_tests.baseline import Baseline
from extraction.unit_tests.cases import Case, InvalidCase
from extraction.unit_tests.math_case import Math
from extraction.unit_tests.order import Order
from extraction.unit_tests.presence import Presence
from extraction.unit_tests.table_case import TableCell

KINDS: dict[str, type[Case]] = {
    "present": Presence,
    "absent": Presence,
    "order": Order,
    "table": TableCell,
    "math": Math,
    "baseline": Baseline,
}


def read_case(content: Mapping[str, Any]) -> Case:
    """The test that a JSON object describes.

    Raises:
        InvalidCase: another kind, a field that the kind does not have, one that is missing, or one
            that says nothing.
    """
    name = str(content.get("id") or "without id")
    kind = KINDS.get(content.get("type", ""))
    if kind is None:
        raise InvalidCase(name, f"type {content.get('type')!r} is none of {', '.join(KINDS)}")
    fields = {field.name: field for field in dataclasses.fields(kind)}
    if unknown := sorted(set(content) - set(fields)):
        raise InvalidCase(name, f"{content['type']} has no field {', '.join(unknown)}")
    missing = [
        field.name
        for field in fields.values()
        if field.default is dataclasses.MISSING and field.name not in content
    ]
    if missing:
        raise InvalidCase(name, f"{', '.join(missing)} is missing")
    return kind(**content)


def load_cases(path: Path) -> list[Case]:
    """The tests of a file, in its order; empty lines are skipped.

    Raises:
        InvalidCase: a line is no JSON object, or describes no test, or repeats an id.
    """
    cases: dict[str, Case] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
        except json.JSONDecodeError as error:
            raise InvalidCase(f"{path.name}:{number}", f"no JSON: {error.msg}") from None
        if not isinstance(content, dict):
            raise InvalidCase(f"{path.name}:{number}", "no JSON object")
        case = read_case(content)
        if case.id in cases:
            raise InvalidCase(case.id, f"the id stands twice in {path.name}")
        cases[case.id] = case
    return list(cases.values())
