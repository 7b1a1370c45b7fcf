"""A document type and an answer -> what the review page shows: rows, groups and tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from api.pages.words import label, level
from api.schemas import CheckAnswer, FieldAnswer
from extraction.checks import Verdict
from extraction.document_types.base import DocumentType, FieldSpec, Kind
from extraction.evidence import Source

_LONG = frozenset({"text", "markdown"})
_SHORT_TEXT = 100


@dataclass(frozen=True, slots=True)
class Row:
    """One leaf of a record, as it is edited.

    Attributes:
        path: "total", "mrz.lines".
        label: its name for people, with the object that it is in.
        kind: a `Kind`; "lines" for a list of leaves, one a line.
        value: as it stands in the record, as text.
        choices: what may be chosen; empty where anything may be typed.
        level: how sure: high, medium, low, human, mrz, none.
        faults: failed checks that are about it.
    """

    path: str
    label: str
    kind: str
    value: str
    description: str = ""
    choices: tuple[str, ...] = ()
    confidence: float | None = None
    level: str = "none"
    raw: str | None = None
    source: str = ""
    page: int | None = None
    box: tuple[float, ...] | None = None
    max_length: int = 200
    faults: tuple[str, ...] = ()

    @property
    def long(self) -> bool:
        """Whether it may need several lines."""
        several = self.kind in {"lines", "markdown"} or "\n" in self.value
        return several or (self.kind in _LONG and self.max_length > _SHORT_TEXT)

    @property
    def many_lines(self) -> bool:
        """Whether a cell of a table has to keep line breaks, which an input would drop."""
        return self.kind in {"markdown", "lines"} or "\n" in self.value

    @property
    def doubtful(self) -> bool:
        """Whether a person should look."""
        return self.level in {"low", "medium"} or bool(self.faults)


@dataclass(frozen=True, slots=True)
class Table:
    """A list of objects: a line per element, a column per leaf.

    Attributes:
        shown: names of the columns that have a value, or a few where none has.
    """

    path: str
    label: str
    columns: tuple[Row, ...]
    shown: tuple[str, ...]
    lines: tuple[Mapping[str, Row], ...]
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Form:
    """All of a record: what was read, what was not, and the tables."""

    rows: list[Row] = field(default_factory=list)
    absent: list[Row] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


def build_form(
    document_type: DocumentType,
    record: Mapping[str, Any],
    fields: Mapping[str, FieldAnswer],
    checks: Sequence[CheckAnswer],
) -> Form:
    """What the page shows.

    Args:
        document_type: with the asked fields.
        record: with corrections over it.
        fields: of the answer.
        checks: of the answer.
    """
    failed: dict[str, list[str]] = {}
    for check in checks:
        if check.verdict is Verdict.FAIL:
            for path in check.fields:
                failed.setdefault(path, []).append(check.detail)
    form = Form()
    _Builder(form, fields, failed).add(document_type.fields, record, "", "")
    return form


@dataclass(frozen=True, slots=True)
class _Builder:
    form: Form
    fields: Mapping[str, FieldAnswer]
    failed: Mapping[str, Sequence[str]]

    def add(
        self, specs: Sequence[FieldSpec], record: Mapping[str, Any], prefix: str, above: str
    ) -> None:
        for spec in specs:
            path, value = f"{prefix}{spec.name}", record.get(spec.name)
            name = f"{above} {label(spec.name).lower()}" if above else label(spec.name)
            if spec.kind is Kind.OBJECT:
                below = value if isinstance(value, Mapping) else {}
                self.add(spec.children, below, f"{path}.", label(spec.name))
            elif spec.kind is Kind.LIST and spec.children:
                self.form.tables.append(self._table(spec, value, path, name))
            else:
                row = self._row(spec, value, path, name)
                # What is printed and does not fit its kind wants a look, though it has no value.
                found = row.value or (row.faults and row.raw)
                (self.form.rows if found else self.form.absent).append(row)

    def _table(self, spec: FieldSpec, value: Any, path: str, name: str) -> Table:
        elements = [part for part in value if isinstance(part, Mapping)] if value else []
        lines = tuple(
            {
                child.name: self._row(
                    child,
                    element.get(child.name),
                    f"{path}.{index}.{child.name}",
                    f"{label(child.name)}, line {index + 1}",
                )
                for child in spec.children
            }
            for index, element in enumerate(elements)
        )
        columns = tuple(
            self._row(child, None, f"{path}.*.{child.name}", label(child.name))
            for child in spec.children
        )
        used = [
            column for column in lines_columns(spec) if any(line[column].value for line in lines)
        ]
        return Table(
            path=path,
            label=name,
            columns=columns,
            shown=tuple(used or lines_columns(spec)[:3]),
            lines=lines,
            faults=tuple(self.failed.get(path, ())),
        )

    def _row(self, spec: FieldSpec, value: Any, path: str, name: str) -> Row:
        known = self.fields.get(path)
        confidence, found_level = None, "none"
        if spec.kind is Kind.LIST:
            known = known or self.fields.get(f"{path}.0")
        if known is not None and value not in (None, [], ""):
            confidence = known.confidence
            found_level = level(confidence)
            if known.source in {Source.MRZ, Source.HUMAN}:
                found_level = str(known.source)
        evidence = None if known is None else known.evidence
        return Row(
            path=path,
            label=name,
            kind=kind_of(spec),
            value=text_of(value),
            description=spec.description,
            choices=choices_of(spec),
            confidence=confidence,
            level=found_level,
            raw=None if known is None else known.raw,
            source="" if known is None else str(known.source),
            page=None if evidence is None else evidence.page,
            box=None if evidence is None or evidence.box is None else tuple(evidence.box),
            max_length=spec.max_length,
            faults=tuple(self.failed.get(path, ())),
        )


def lines_columns(spec: FieldSpec) -> tuple[str, ...]:
    """Names of a table's columns."""
    return tuple(child.name for child in spec.children)


def kind_of(spec: FieldSpec) -> str:
    """How a leaf is edited. What lies deeper than a table shows is edited as JSON."""
    if spec.kind is Kind.LIST:
        # One a line, unless an element has lines of its own.
        return "json" if spec.children or spec.element is Kind.MARKDOWN else "lines"
    return "json" if spec.kind is Kind.OBJECT else str(spec.kind)


def choices_of(spec: FieldSpec) -> tuple[str, ...]:
    """What may be chosen; empty where anything may be typed."""
    if spec.kind is Kind.BOOLEAN:
        return ("true", "false")
    return spec.choices if spec.kind is Kind.CHOICE else ()


def text_of(value: Any) -> str:
    """A value of a record as it stands in an input."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list) and not any(
        isinstance(part, dict | list) or "\n" in str(part) for part in value
    ):
        return "\n".join(text_of(part) for part in value)
    if isinstance(value, dict | list):
        import json

        return json.dumps(value, ensure_ascii=False)
    return str(value)
