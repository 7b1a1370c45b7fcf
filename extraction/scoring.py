"""Record x reference -> score for each field: the one definition of rewards, gate and metrics.

A score lies in 0 to 1. A field without a reference scores None and counts nowhere; a field with a
reference and without a value scores 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pydantic import BaseModel
from rapidfuzz import fuzz

from extraction.document_types.base import DocumentType, FieldSpec, Kind
from extraction.document_types.document import is_document
from extraction.document_types.graph import is_graph
from extraction.normalize import normalize
from extraction.structure_scores import document_score, graph_scores, markdown_similarity

SROIE_FIELDS = ("company", "date", "address", "total")


@dataclass(frozen=True, slots=True)
class RecordScore:
    """The score of a record.

    Attributes:
        fields: path of each top-level field and, below it, of each child -> score; only those that
            have a reference. A list's elements are paths such as "items.0.description", numbered as
            in the reference.
        mean: mean over the top-level fields that have a reference; None where none has.
    """

    fields: dict[str, float] = field(default_factory=dict)
    mean: float | None = None


def score_field(spec: FieldSpec, reference: Any, value: Any) -> float | None:
    """How well `value` answers `reference`, 0 to 1, by the kind of the field.

    TEXT: rapidfuzz's ratio / 100 (2 x matches / total length, Levenshtein indel distance) of the
    texts with white space collapsed and case folded. MARKDOWN: 1 less the normalised edit distance
    (`structure_scores.markdown_similarity`). Every other leaf: 1 if equal after
    normalisation, else 0. OBJECT: mean over the fields that have a reference. LIST: sum over the
    best one-to-one assignment of elements, divided by the longer length, so that elements too many
    cost as much as missing ones.

    Returns:
        None where there is no reference (None, "", or an empty object or list).

    Raises:
        TypeError: a reference of the wrong shape; that is our own bug, not the model's.
    """
    reference, value = _plain(reference), _plain(value)
    if _is_absent(reference):
        return None
    if spec.kind is Kind.OBJECT:
        if not isinstance(reference, Mapping):
            raise TypeError(f"the reference of {spec.name} is no object")
        return _score_object(spec.children, reference, value)
    if spec.kind is Kind.LIST:
        if not isinstance(reference, Sequence) or isinstance(reference, str):
            raise TypeError(f"the reference of {spec.name} is no list")
        return _score_list(spec, reference, value)
    if _is_absent(value):
        return 0.0
    return _score_leaf(spec, reference, value)


def score_record(
    document_type: DocumentType,
    reference: Mapping[str, Any] | BaseModel,
    record: Mapping[str, Any] | BaseModel | None,
) -> RecordScore:
    """The score of each field of a record that has a reference, and their mean.

    A document is scored by the edit distance of its text, a graph by the F1 of its entities and of
    its relations: see `structure_scores`.

    Args:
        document_type: the type of both; a selection scores the selected fields alone.
        reference: what is right; values typed, or as printed.
        record: what was answered; None, as for a completion that is no record, scores 0 throughout.
    """
    expected = _plain(reference)
    answered = _plain(record) if record is not None else {}
    if not isinstance(answered, Mapping):
        answered = {}
    if is_document(document_type) or is_graph(document_type):
        return _of_structure(document_type, expected, answered)
    scores: dict[str, float] = {}
    top: list[float] = []
    for spec in document_type.fields:
        score = score_field(spec, expected.get(spec.name), answered.get(spec.name))
        if score is None:
            continue
        top.append(score)
        scores[spec.name] = score
        scores.update(
            _below(spec, spec.name, expected.get(spec.name), _plain(answered.get(spec.name)))
        )
    return RecordScore(scores, sum(top) / len(top) if top else None)


def _of_structure(
    document_type: DocumentType, reference: Mapping[str, Any], record: Mapping[str, Any]
) -> RecordScore:
    if is_graph(document_type):
        scores = graph_scores(reference, record)
    else:
        score = document_score(reference, record)
        scores = {} if score is None else {"pages": score}
    asked = {name: score for name, score in scores.items() if name in document_type.field_names}
    return RecordScore(asked, sum(asked.values()) / len(asked) if asked else None)


def score_confirmed(
    document_type: DocumentType,
    reference: Mapping[str, Any] | BaseModel,
    record: Mapping[str, Any] | BaseModel | None,
) -> float | None:
    """`score_record`'s mean, lessened by what the record invents: sum(s_i) / (n + k).

    n fields have a reference and score s_i, as in `score_record`. k is the sum over
    `invented_shares`: a field whose absence is confirmed and that is answered all the same weighs
    as much as one that is missing, as an element too many does in a list.

    Args:
        document_type: as in `score_record`.
        reference: only what is confirmed; a key with None, "", [] or {} says that the document
            lacks the field, a key that is not there says nothing.
        record: as in `score_record`.

    Returns:
        0 to 1. Where everything confirmed is absent, 1 for a record that invents nothing and else
        0. None where nothing is confirmed.
    """
    scored = score_record(document_type, reference, record)
    if is_document(document_type):
        return scored.mean  # its text is one; what a page's facts add to it is in the text
    invented = sum(invented_shares(document_type, reference, record).values())
    count = sum("." not in path for path in scored.fields)
    if scored.mean is not None:
        return scored.mean * count / (count + invented)
    expected = _plain(reference)
    if not any(spec.name in expected for spec in document_type.fields):
        return None
    return float(record is not None and not invented)


def invented_shares(
    document_type: DocumentType,
    reference: Mapping[str, Any] | BaseModel,
    record: Mapping[str, Any] | BaseModel | None,
) -> dict[str, float]:
    """Top-level field -> share (0 to 1) of what it answers that is confirmed to be absent.

    A leaf field is invented or not. Of a list or an object the leaves are counted by name, not by
    element: a discount on each of ten items is one invention. Fields without any are left out.
    """
    expected = _plain(reference)
    answered = _plain(record) if record is not None else {}
    shares: dict[str, float] = {}
    for spec in document_type.fields:
        invented, count = _invented(
            spec, _under(spec.name, [expected]), _under(spec.name, [answered])
        )
        if invented:
            shares[spec.name] = invented / count
    return shares


def _invented(spec: FieldSpec, references: Sequence[Any], values: Sequence[Any]) -> tuple[int, int]:
    """How many of the answered leaves the references deny, and how many are answered."""
    given = [value for value in values if not _is_absent(value)]
    if not given:
        return 0, 0
    known = [reference for reference in references if not _is_absent(reference)]
    is_denied = bool(references) and not known
    if not spec.children:
        return int(is_denied), 1
    if spec.kind is Kind.LIST:
        known = [element for reference in known for element in _elements(reference)]
        given = [element for value in given for element in _elements(value)]
    below = [
        _invented(
            child, [None] if is_denied else _under(child.name, known), _under(child.name, given)
        )
        for child in spec.children
    ]
    return sum(invented for invented, _ in below), sum(count for _, count in below)


def _under(name: str, containers: Sequence[Any]) -> list[Any]:
    """What stands under a name, in each container that has it."""
    plain = map(_plain, containers)
    return [_plain(item[name]) for item in plain if isinstance(item, Mapping) and name in item]


def sroie_score(
    reference: Mapping[str, str], prediction: Mapping[str, str | None]
) -> dict[str, float]:
    """SROIE's fuzzy score, 0 to 100, for each of its four fields and their mean as "overall".

    `rapidfuzz.fuzz.ratio(str(reference), str(prediction))`; a missing field counts 0.
    """
    scores = {}
    for name in SROIE_FIELDS:
        answered = prediction.get(name)
        missing = answered is None or answered == ""
        scores[name] = 0.0 if missing else float(fuzz.ratio(str(reference[name]), str(answered)))
    return scores | {"overall": sum(scores.values()) / len(SROIE_FIELDS)}


def _plain(value: Any) -> Any:
    """Models as mappings; everything else as it is."""
    return value.model_dump() if isinstance(value, BaseModel) else value


def _is_absent(value: Any) -> bool:
    return value is None or (isinstance(value, str | Mapping | Sequence) and not value)


def _score_leaf(spec: FieldSpec, reference: Any, value: Any) -> float:
    if isinstance(value, Mapping | list | tuple):
        return 0.0  # a container where a leaf belongs
    if spec.kind is Kind.MARKDOWN:
        return markdown_similarity(str(reference), str(value))
    if spec.kind is Kind.TEXT:
        return float(fuzz.ratio(_folded(reference), _folded(value))) / 100
    return float(_same(spec, reference, value))


def _same(spec: FieldSpec, reference: Any, value: Any) -> bool:
    if spec.kind is Kind.CODE:
        return _folded(reference).replace(" ", "") == _folded(value).replace(" ", "")
    expected, answered = _typed(spec, reference), _typed(spec, value)
    if expected is None:
        # A reference that is no value of its kind still equals itself.
        return _folded(reference) == _folded(value)
    return bool(expected == answered)


def _typed(spec: FieldSpec, value: Any) -> Any:
    if isinstance(value, str):
        return _read(spec.kind, value, spec.choices)
    return value


# Lists compare every element with every other: one text is read many times.
@lru_cache(maxsize=4096)
def _read(kind: Kind, text: str, choices: tuple[str, ...]) -> Any:
    return normalize(kind, text, choices=choices)


def _folded(value: Any) -> str:
    return " ".join(str(value).split()).casefold()


def _score_object(
    children: Sequence[FieldSpec], reference: Mapping[str, Any], value: Any
) -> float | None:
    answered = value if isinstance(value, Mapping) else {}
    scores = [
        score
        for spec in children
        if (score := score_field(spec, reference.get(spec.name), answered.get(spec.name)))
        is not None
    ]
    return sum(scores) / len(scores) if scores else None


def _score_list(spec: FieldSpec, reference: Sequence[Any], value: Any) -> float | None:
    matrix = _matrix(spec, reference, _elements(value))
    scored = [row for row in matrix if row is not None]
    if not scored:
        return None
    width = len(_elements(value))
    pairs = assign(scored)
    total = sum(scored[row][column] for row, column in pairs)
    return total / max(len(scored), width)


def _elements(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _matrix(
    spec: FieldSpec, reference: Sequence[Any], values: Sequence[Any]
) -> list[list[float] | None]:
    """Scores of every element against every reference; None for a reference without content."""
    element = _element_spec(spec)
    rows: list[list[float] | None] = []
    for expected in reference:
        if score_field(element, expected, None) is None:
            rows.append(None)
        else:
            rows.append([score_field(element, expected, value) or 0.0 for value in values])
    return rows


def _element_spec(spec: FieldSpec) -> FieldSpec:
    if spec.children:
        return FieldSpec(spec.name, Kind.OBJECT, children=spec.children)
    return FieldSpec(spec.name, spec.element, choices=spec.choices)


def _below(spec: FieldSpec, path: str, reference: Any, value: Any) -> dict[str, float]:
    """Scores of a container's children, by path."""
    reference, value = _plain(reference), _plain(value)
    scores: dict[str, float] = {}
    if spec.kind is Kind.OBJECT and isinstance(reference, Mapping):
        answered = value if isinstance(value, Mapping) else {}
        for child in spec.children:
            score = score_field(child, reference.get(child.name), answered.get(child.name))
            if score is not None:
                below = f"{path}.{child.name}"
                scores[below] = score
                scores |= _below(child, below, reference[child.name], answered.get(child.name))
    elif spec.kind is Kind.LIST and reference:
        values = _elements(value)
        matrix = _matrix(spec, reference, values)
        filled = [index for index, row in enumerate(matrix) if row is not None]
        partner = {filled[row]: column for row, column in assign([matrix[i] or [] for i in filled])}
        element = _element_spec(spec)
        for index in filled:
            answer = values[partner[index]] if index in partner else None
            score = score_field(element, reference[index], answer)
            if score is not None:
                scores[f"{path}.{index}"] = score
                scores |= _below(element, f"{path}.{index}", reference[index], answer)
    return scores


def assign(scores: Sequence[Sequence[float]]) -> list[tuple[int, int]]:  # noqa: C901 - one method
    """Pairs (row, column) of the one-to-one assignment with the greatest sum.

    The Hungarian method with potentials, O(n^2 m) for n rows and m >= n columns (Kuhn 1955; Munkres
    1957). Every row has as many columns.
    """
    rows, columns = len(scores), len(scores[0]) if scores else 0
    if not rows or not columns:
        return []
    if rows > columns:
        flipped = assign(list(zip(*scores, strict=True)))
        return sorted((row, column) for column, row in flipped)
    row_potential = [0.0] * (rows + 1)
    column_potential = [0.0] * (columns + 1)
    row_of = [0] * (columns + 1)
    for row in range(1, rows + 1):
        row_of[0] = row
        column = 0
        least = [float("inf")] * (columns + 1)
        before = [0] * (columns + 1)
        used = [False] * (columns + 1)
        while row_of[column]:
            used[column] = True
            current, step, following = row_of[column], float("inf"), 0
            for other in range(1, columns + 1):
                if used[other]:
                    continue
                cost = -scores[current - 1][other - 1]
                reduced = cost - row_potential[current] - column_potential[other]
                if reduced < least[other]:
                    least[other], before[other] = reduced, column
                if least[other] < step:
                    step, following = least[other], other
            for other in range(columns + 1):
                if used[other]:
                    row_potential[row_of[other]] += step
                    column_potential[other] -= step
                else:
                    least[other] -= step
            column = following
        while column:
            row_of[column] = row_of[before[column]]
            column = before[column]
    return sorted((row_of[c] - 1, c - 1) for c in range(1, columns + 1) if row_of[c])
