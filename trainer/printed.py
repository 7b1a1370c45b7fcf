"""A corrected value -> as the page prints it, which is what a model has to answer.

A model copies print and code normalises it ("25/12/2018", "RM 9.00"), people correct what they see
in a response ("2018-12-25", "9.00"). So the example's answer is found on the page again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from extraction.document_types.base import FieldSpec, Kind
from extraction.evidence import EvidenceFinder
from extraction.lines import Line
from trainer.page_spans import DECIMALS, code_spans, prints, spans

# What the grammar of an answer fixes, and what people spell as they want it answered.
_AS_GIVEN = frozenset({Kind.TEXT, Kind.MARKDOWN, Kind.LABEL, Kind.CHOICE, Kind.BOOLEAN})
_LONGEST_DATE = 24


@dataclass(frozen=True, slots=True)
class Predicted:
    """What a prediction had at a path.

    Attributes:
        raw: as the model wrote it; None where the value did not come from the model.
        page: index of the page of its evidence; None where it has none.
        height: centre of the evidence, as a ratio of the page's height from the top.
    """

    raw: str | None = None
    page: int | None = None
    height: float = 0.0


NOTHING = Predicted()


def printed(
    spec: FieldSpec,
    value: Any,
    lines: Sequence[Line],
    predicted: Mapping[str, Predicted] | str | None = None,
) -> Any:
    """A value as the page prints it; see `Printer.printed`.

    Args:
        spec: of a field.
        value: as JSON, normalised.
        lines: of the whole document.
        predicted: what the model read, by path; of a leaf its raw text is enough.
    """
    if isinstance(predicted, str):
        predicted = {spec.name: Predicted(predicted)}
    return Printer(lines, predicted or {}).printed(spec, value)


def predicted_of(fields: Mapping[str, Any] | None) -> dict[str, Predicted]:
    """What a prediction's column `fields` holds, by path; the zone's raw text is no model's."""
    return {path: _predicted(field) for path, field in (fields or {}).items() if field is not None}


def _predicted(field: Mapping[str, Any]) -> Predicted:
    raw = field.get("raw") if field.get("source") == "model" else None
    evidence = field.get("evidence")
    if not evidence or evidence["box"] is None:  # none was found, or it is in a plain text
        return Predicted(raw)
    _, top, _, bottom = evidence["box"]
    return Predicted(raw, int(evidence["page"]), (float(top) + float(bottom)) / 2)


class Printer:
    """Finds how one document prints values.

    Args:
        lines: of all its pages.
        predicted: what the model read, by path.
    """

    def __init__(self, lines: Sequence[Line], predicted: Mapping[str, Predicted]) -> None:
        self._lines = lines
        self._predicted = predicted
        self._finder = EvidenceFinder(lines)

    def printed(self, spec: FieldSpec, value: Any, path: str | None = None) -> Any:
        """The value as printed: text, for objects and lists the same structure.

        The model's own text where it is read as this value; else the part of a line that is, first
        in a row that names the field, then near to where the model looked; else the value itself.
        Texts keep the human's spelling.

        Args:
            spec: of the field.
            value: as JSON, normalised; None and what is empty stay as they are.
            path: of the value in the record; the field's name where it is top-level.
        """
        path = spec.name if path is None else path
        if value in (None, "", [], {}):
            return value
        if spec.kind is Kind.OBJECT:
            return self._object(spec, value, path)
        if spec.kind is Kind.LIST and spec.children:
            return [
                self._object(spec, element, f"{path}.{index}")
                for index, element in enumerate(value)
            ]
        if spec.kind is Kind.LIST:
            return [
                self._leaf(spec, spec.element, element, f"{path}.{index}")
                for index, element in enumerate(value)
            ]
        return self._leaf(spec, spec.kind, value, path)

    def _object(self, spec: FieldSpec, value: Mapping[str, Any], path: str) -> dict[str, Any]:
        return {
            child.name: self.printed(child, value[child.name], f"{path}.{child.name}")
            for child in spec.children
            if child.name in value
        }

    def _leaf(self, spec: FieldSpec, kind: Kind, value: Any, path: str) -> Any:
        if kind in _AS_GIVEN:
            return value
        for raw in self._raws(path):
            if len(raw) <= spec.max_length and prints(spec, kind, raw, value):
                return raw
        texts = self._on_page(spec, kind, value)
        if texts:
            return max(texts, key=lambda text: self._rank(text, value, spec, path))
        return _itself(spec, kind, value)

    def _raws(self, path: str) -> Iterator[str]:
        """What the model read there, and in the other elements of the list: one may be left out."""
        own = self._predicted.get(path, NOTHING).raw
        if own is not None:
            yield own
        shape = _shape(path)
        if "*" in shape:
            for other, predicted in self._predicted.items():
                if predicted.raw is not None and other != path and _shape(other) == shape:
                    yield predicted.raw

    def _on_page(self, spec: FieldSpec, kind: Kind, value: Any) -> list[str]:
        """The distinct texts that print the value; of each place the tightest."""
        found: dict[str, None] = {}
        for line in self._lines:
            taken: list[tuple[int, int]] = []
            places = (
                code_spans(str(value), line.text) if kind is Kind.CODE else spans(kind, line.text)
            )
            for start, end in places:
                text = line.text[start:end].strip()
                inside = any(start < there and here < end for here, there in taken)
                fits = 0 < len(text) <= spec.max_length
                if kind is Kind.DATE and len(text) > _LONGEST_DATE:
                    fits = False
                if fits and not inside and prints(spec, kind, text, value):
                    taken.append((start, end))
                    found[text] = None
        return list(found)

    def _rank(self, text: str, value: Any, spec: FieldSpec, path: str) -> tuple[Any, ...]:
        """More is better; "2,00" says "2.00" better than the "2" of a quantity does."""
        decimals = isinstance(value, str) and "." in value
        whole = not decimals or _digit_count(text) == _digit_count(value)
        place = self._finder.find(text, spec)
        near = self._predicted.get(path, NOTHING)
        if place is None:
            return (whole, False, 0.0, -len(text))
        distance = 1.0
        if near.page == place.page:
            distance = abs((place.box.top + place.box.bottom) / 2 - near.height)
        return (whole, place.labelled, -distance, -len(text))


def _digit_count(text: str) -> int:
    return sum(sign.isdigit() for sign in text)


def _shape(path: str) -> str:
    return ".".join("*" if part.isdigit() else part for part in path.split("."))


def _itself(spec: FieldSpec, kind: Kind, value: Any) -> str:
    """The value written so that it is read back as what it is."""
    text = str(value)
    choices = [text]
    if kind is Kind.RATE:
        share = (Decimal(text) * 100).normalize()
        choices.append(f"{format(share, 'f')}%")
    if kind in DECIMALS and "." in text:
        choices.append(f"{text}0")  # "1.234" may be thousands, "1.2340" is not
    return next((choice for choice in choices if prints(spec, kind, choice, value)), text)
