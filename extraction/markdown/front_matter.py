"""A page's answer: a front matter of five facts, and the page as Markdown behind it.

    ---
    primary_language: en
    is_rotation_valid: True
    rotation_correction: 0
    is_table: False
    is_diagram: False
    ---
    # Annual report

Keys and spelling are olmOCR's (arXiv 2502.18443), so that its models answer in their own form.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from extraction.errors import UnparseableRecord

KEYS: Final = (
    "primary_language",
    "is_rotation_valid",
    "rotation_correction",
    "is_table",
    "is_diagram",
)
TEXT: Final = "natural_text"
FENCE: Final = "---"
_BLOCK = re.compile(r"\s*---[ \t]*\n(?P<facts>(?:[^\n]*\n)*?)---[ \t]*(?:\n|$)")
_FACT = re.compile(r"(?P<key>\w+)[ \t]*:[ \t]*(?P<value>[^\n]*?)[ \t]*$")
_ABSENT = frozenset({"", "null", "none", "~"})

GRAMMAR: Final = r"""answer: "---\nprimary_language: " LANGUAGE "\nis_rotation_valid: " TRUTH "\nrotation_correction: " TURN "\nis_table: " TRUTH "\nis_diagram: " TRUTH "\n---\n" BODY
LANGUAGE: /[a-z]{2,3}(-[A-Za-z]{2,8})?|null/
TRUTH: /True|False|true|false|null/
TURN: /0|90|180|270/
BODY: /[^\x00-\x08\x0b-\x1f\x7f]*/
"""  # noqa: E501 - one rule, one line
"""The rules below `start` of a Lark grammar for such an answer."""


@dataclass(frozen=True, slots=True)
class Part:
    """A value of a page's answer.

    Attributes:
        name: one of `KEYS`, or `TEXT`.
        text: as it is written.
        start: offset in the answer.
        end: offset behind it.
    """

    name: str
    text: str
    start: int
    end: int


def read_page(answer: str, *, cut: bool = False) -> list[Part]:
    """The values of a page's answer; what is null or empty is left out.

    Args:
        answer: front matter and text.
        cut: whether the answer ended before it was whole; then its text may be.

    Raises:
        UnparseableRecord: no front matter stands on top, or it holds an unknown or a second key.
    """
    reason = "length" if cut else "stop"
    block = _BLOCK.match(answer)
    if block is None:
        raise UnparseableRecord(reason, "no front matter on top")
    parts: list[Part] = []
    at = block.start("facts")
    seen: set[str] = set()
    for line in block["facts"].splitlines(keepends=True):
        fact = _FACT.match(line.rstrip("\n"))
        if fact is None or fact["key"] not in KEYS:
            raise UnparseableRecord(reason, "an unknown line in the front matter")
        if fact["key"] in seen:
            raise UnparseableRecord(reason, "a key stands twice in the front matter")
        seen.add(fact["key"])
        if fact["value"].lower() not in _ABSENT:
            start = at + fact.start("value")
            parts.append(Part(fact["key"], fact["value"], start, start + len(fact["value"])))
        at += len(line)
    body = answer[block.end() :]
    if body.strip():
        start = block.end() + len(body) - len(body.lstrip("\n"))
        parts.append(Part(TEXT, body.strip("\n"), start, start + len(body.strip("\n"))))
    return parts


def write_page(page: Mapping[str, Any]) -> str:
    """One page as a model should answer it: `read_page` reads back what this writes."""
    return f"{write_front_matter({key: page.get(key) for key in KEYS})}{page.get(TEXT) or ''}"


def write_front_matter(facts: Mapping[str, Any]) -> str:
    """Facts between two fences, each line ended."""
    lines = [FENCE, *(f"{key}: {_spelled(value)}" for key, value in facts.items()), FENCE]
    return "".join(f"{line}\n" for line in lines)


def write_document(pages: Sequence[Mapping[str, Any]]) -> str:
    """All pages as one Markdown text with one front matter on top.

    A fact on which the pages differ is a list, one value for each page. Where there are several
    pages each one stands behind an anchor, `<a id="page-2"></a>`.
    """
    facts: dict[str, Any] = {}
    for key in KEYS:
        values = [page.get(key) for page in pages]
        alike = all(value == values[0] for value in values)
        facts[key] = (values[0] if values else None) if alike else values
    if len(pages) == 1:
        return f"{write_front_matter(facts)}{pages[0].get(TEXT) or ''}\n"
    texts = [
        f"{anchor(number)}\n\n{page.get(TEXT) or ''}".rstrip()
        for number, page in enumerate(pages, start=1)
    ]
    return write_front_matter(facts) + "\n\n".join(texts) + "\n"


def anchor(number: int) -> str:
    """What a link to a page leads to; pages are numbered from 1."""
    return f'<a id="page-{number}"></a>'


def _spelled(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_spelled, value))}]"
    return "null" if value is None else str(value)
