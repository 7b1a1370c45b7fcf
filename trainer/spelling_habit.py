"""How the people who correct spell free text: in capitals, or as the page has it."""

from collections.abc import Iterator, Sequence
from typing import Any

from extraction.document_types.base import FieldSpec, Kind
from trainer.dataset import TrainingExample

_LEAST_TEXTS = 5


def answers_in_capitals(examples: Sequence[TrainingExample]) -> bool | None:
    """Whether text is answered in capitals where the page has small letters: the card's `capitals`.

    Only what people confirmed counts, and of that the texts that stand on the page with small
    letters: what is printed in capitals says nothing.

    Returns:
        None where fewer than five texts tell; the card then stays as it is.
    """
    told = [
        text.isupper()
        for example in examples
        if example.ids is not None
        for text in _texts(example)
    ]
    if len(told) < _LEAST_TEXTS:
        return None
    return sum(told) * 2 > len(told)


def _texts(example: TrainingExample) -> Iterator[str]:
    """The texts whose print on the page has small letters."""
    page = " ".join(line.text for line in example.lines)
    folded = page.lower()
    if len(folded) != len(page):
        return
    for text in _leaves(example.asked.document_type.fields, example.reference):
        start = folded.find(text.lower())
        there = page[start : start + len(text)] if start >= 0 else ""
        if any(letter.islower() for letter in there):
            yield text


def _leaves(specs: Sequence[FieldSpec], reference: Any) -> Iterator[str]:
    for spec in specs:
        value = reference.get(spec.name)
        if value in (None, "", [], {}):
            continue
        if spec.children:
            for element in value if spec.kind is Kind.LIST else [value]:
                yield from _leaves(spec.children, element)
        elif spec.kind is Kind.LIST and spec.element is Kind.TEXT:
            yield from value
        elif spec.kind is Kind.TEXT:
            yield value
