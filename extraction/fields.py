"""Leaves of an answer -> read fields: each value with its evidence, its signals, its confidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from extraction.checks import Check
from extraction.confidence import Calibration, signals_of, token_spans, tokens_between
from extraction.engine import Completion
from extraction.evidence import Evidence, ReadField, Source
from extraction.record import RawLeaf


@dataclass(frozen=True, slots=True)
class Judged:
    """What is known of an answer's values, by path."""

    values: Mapping[str, Any]
    places: Mapping[str, Evidence | None]
    checks: Sequence[Check]


def read_fields(
    calibrated: str,
    leaves: Sequence[RawLeaf],
    judged: Judged,
    completion: Completion | None,
    calibration: Calibration,
) -> dict[str, ReadField]:
    """The fields of an answer by their paths.

    Args:
        calibrated: which weights the confidence has, as `calibrated_as` gives it.
        leaves: the values as the model wrote them.
        judged: what is known of them.
        completion: the answer, for the tokens that wrote each value; None where none was asked for.
        calibration: of the version that answered.
    """
    spans = token_spans(completion.tokens) if completion else []
    fields: dict[str, ReadField] = {}
    for leaf in leaves:
        value, evidence = judged.values[leaf.path], judged.places[leaf.path]
        signals = signals_of(
            leaf.spec,
            tokens_between(spans, leaf.start, leaf.end),
            evidence,
            [check for check in judged.checks if leaf.path.split(".")[0] in check.fields],
            misfit=value is None,
            length=len(leaf.raw),
        )
        fields[leaf.path] = ReadField(
            path=leaf.path,
            value=value,
            raw=leaf.raw,
            confidence=round(calibration.confidence(calibrated, signals), 4),
            evidence=evidence,
            source=Source.MODEL,
            signals=signals,
        )
    return fields
