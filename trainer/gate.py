"""Champion and candidate on the same documents -> may the candidate take its place?

A pure function from scores to a decision with its reasons and all that it was made of, so that it
can be stored, read and made again (`decide_again`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from trainer.profile import GateSection
from trainer.scores import Scores
from trainer.significance import Estimate, bootstrap_mean

_ROUNDING = 1e-9  # a fall of exactly the tolerance is not more than it
# So many more documents than the candidate the champion may leave without being able to answer.
_LEAST_UNSERVED = 1
_UNSERVED_RATIO = 0.05


@dataclass(frozen=True, slots=True)
class Check:
    """One condition of the gate.

    Attributes:
        name: "documents", "answers", "gain", "type", "field", "golden", "schema", "latency", or
            "unjudged".
        passed: whether it holds.
        reason: a sentence with the figures. Scores are told as points of 100.
    """

    name: str
    passed: bool
    reason: str


@dataclass(frozen=True, slots=True)
class GateDecision:
    """Whether the candidate may be promoted, and why.

    Attributes:
        passed: every check holds.
        reasons: a sentence for each check; those that do not hold come first.
        inputs: JSON: "rules", "seed", the scores of all sets; and what came of them: "checks",
            "gain" and the falls per type and field with their bounds.
    """

    passed: bool
    reasons: tuple[str, ...]
    inputs: Mapping[str, Any]

    @property
    def failures(self) -> tuple[str, ...]:
        """The reasons against it; none where it passed."""
        return tuple(check["reason"] for check in self.inputs["checks"] if not check["passed"])


@dataclass(frozen=True, slots=True)
class _Change:
    """How the mean of a type or field changed over the documents that have it.

    `gain` is candidate - champion, with bounds of the gate's confidence each.
    """

    name: str
    before: float
    after: float
    gain: Estimate

    @property
    def fall(self) -> float:
        return self.before - self.after

    def as_json(self) -> dict[str, Any]:
        return {"champion": self.before, "candidate": self.after, "gain": self.gain.as_json()}


def decide(
    champion: Scores,
    candidate: Scores,
    golden: Mapping[str, tuple[Scores, Scores]],
    rules: GateSection,
    *,
    seed: int,
) -> GateDecision:
    """Whether the candidate is certainly better, and nowhere worse than is tolerated.

    The gain is the mean over documents of the difference of their scores; its lower bound comes
    from a paired bootstrap over the documents (Efron & Tibshirani 1993; `trainer.significance`).
    A fall is judged by what was seen, not by what is certain: a document type must not get worse
    because it is rare.

    A document without an answer scores 0, so a candidate that does not come up loses. A champion
    that does not come up must not lose: where it left more documents than the candidate without
    being able to answer, by more than one and more than 5 % of a set, nothing is decided. What the
    model wrote and nobody could read is not among these; that is its answer.

    Times are compared by their medians over the documents that both answered: the version that is
    asked first in a run answers its first documents with a cold engine.

    Args:
        champion: its answers to the holdout.
        candidate: its answers to the same documents.
        golden: name of a golden set -> champion's and candidate's answers to it.
        rules: margins and tolerances.
        seed: of the bootstrap.

    Raises:
        ValueError: the two did not answer the same documents; that is our own bug.
    """
    _refuse_unpaired(champion, candidate)
    for pair in golden.values():
        _refuse_unpaired(*pair)
    gain = _change("the mean score", champion.by_document(), candidate.by_document(), rules, seed)
    types = list(_changes(champion.by_type(), candidate.by_type(), rules, seed))
    fields = list(_changes(champion.by_field(), candidate.by_field(), rules, seed))
    checks = [
        _enough(gain, rules),
        *_answers(champion, candidate, golden),
        _better(gain, rules),
        *_no_fall("type", types, rules.type_tolerance, rules),
        *_no_fall("field", fields, rules.field_tolerance, rules),
        *(_golden(name, *pair, rules) for name, pair in sorted(golden.items())),
        _schema(champion, candidate, rules),
        _latency(champion, candidate, rules),
    ]
    checks.sort(key=lambda check: check.passed)
    inputs = {
        "rules": rules.model_dump(),
        "seed": seed,
        "champion": champion.as_json(),
        "candidate": candidate.as_json(),
        "golden": {name: [part.as_json() for part in pair] for name, pair in golden.items()},
        "checks": [asdict(check) for check in checks],
        "gain": None if gain is None else gain.as_json(),
        "types": {change.name: change.as_json() for change in types},
        "fields": {change.name: change.as_json() for change in fields},
    }
    passed = all(check.passed for check in checks)
    return GateDecision(passed, tuple(check.reason for check in checks), inputs)


def decide_again(inputs: Mapping[str, Any]) -> GateDecision:
    """The decision that a decision's stored inputs lead to: the same one."""
    golden = {
        name: (Scores.from_json(before), Scores.from_json(after))
        for name, (before, after) in inputs["golden"].items()
    }
    return decide(
        Scores.from_json(inputs["champion"]),
        Scores.from_json(inputs["candidate"]),
        golden,
        GateSection.model_validate(inputs["rules"]),
        seed=inputs["seed"],
    )


def _refuse_unpaired(champion: Scores, candidate: Scores) -> None:
    """Both must have been scored on the same fields of the same documents."""
    asked = [
        {entry.key: set(entry.fields) for entry in scores.documents}
        for scores in (champion, candidate)
    ]
    if asked[0] != asked[1]:
        raise ValueError(f"{champion.set_name}: champion and candidate had different documents")


def _change(
    name: str,
    before: Mapping[str, float],
    after: Mapping[str, float],
    rules: GateSection,
    seed: int,
) -> _Change | None:
    if not before:
        return None
    documents = sorted(before)
    gain = bootstrap_mean(
        [after[document] - before[document] for document in documents],
        confidence=rules.confidence,
        resamples=rules.resamples,
        seed=seed,
    )
    means = [sum(found.values()) / len(found) for found in (before, after)]
    return _Change(name, means[0], means[1], gain)


def _changes(
    before: Mapping[str, Mapping[str, float]],
    after: Mapping[str, Mapping[str, float]],
    rules: GateSection,
    seed: int,
) -> Iterator[_Change]:
    for name in sorted(before):
        change = _change(name, before[name], after[name], rules, seed)
        if change is not None:
            yield change


def _enough(gain: _Change | None, rules: GateSection) -> Check:
    count = 0 if gain is None else gain.gain.count
    passed = count >= rules.least_documents
    said = "enough to judge" if passed else "too few to judge"
    return Check(
        "documents",
        passed,
        f"{count} documents of the holdout have a score, {said} "
        f"(at least {rules.least_documents}).",
    )


def _answers(
    champion: Scores, candidate: Scores, golden: Mapping[str, tuple[Scores, Scores]]
) -> Iterator[Check]:
    """One check for each set that the champion could not be asked, or one for all."""
    sets = [("the holdout", champion, candidate)]
    sets += [(f"the golden set {name}", *golden[name]) for name in sorted(golden)]
    faults = [
        Check(
            "answers",
            passed=False,
            reason=f"The champion could not answer {before.unserved_count} of "
            f"{len(before.documents)} documents of {name}, the candidate {after.unserved_count}; "
            "a candidate must not win by that. See the errors of the run's evaluations.",
        )
        for name, before, after in sets
        if before.unserved_count - after.unserved_count
        > max(_LEAST_UNSERVED, _UNSERVED_RATIO * len(before.documents))
    ]
    yield from faults
    if not faults:
        left = sum(before.unserved_count for _, before, _ in sets)
        also = sum(after.unserved_count for *_, after in sets)
        yield Check(
            "answers",
            passed=True,
            reason=f"Both versions could be asked: the champion could not answer {left} documents, "
            f"the candidate {also}.",
        )


def _better(gain: _Change | None, rules: GateSection) -> Check:
    if gain is None:
        return Check("gain", passed=False, reason="No document has a score, so there is no gain.")
    bound, passed = gain.gain.low, gain.gain.low > rules.margin
    said = "above" if passed else "not above"
    return Check(
        "gain",
        passed,
        f"The mean score went from {_points(gain.before)} to {_points(gain.after)} points; "
        f"with {rules.confidence:.0%} confidence the gain is at least {_signed(bound)}, "
        f"{said} the margin of {_points(rules.margin)}.",
    )


def _no_fall(
    kind: str, changes: list[_Change], tolerance: float, rules: GateSection
) -> Iterator[Check]:
    """One check for each that fell too far, or one for all; and one that names the unjudged."""
    judged = [change for change in changes if change.gain.count >= rules.least_field_documents]
    few = [change for change in changes if change.gain.count < rules.least_field_documents]
    fallen = [change for change in judged if change.fall > tolerance + _ROUNDING]
    for change in sorted(fallen, key=lambda change: -change.fall):
        yield Check(kind, passed=False, reason=_fell(change, tolerance))
    what = "document type" if kind == "type" else "field"
    if judged and not fallen:
        worst = max(judged, key=lambda change: change.fall)
        yield Check(
            kind,
            passed=True,
            reason=f"No {what} of {len(judged)} fell by more than {_points(tolerance)} points; "
            f"the least change is that of {worst.name}, {_signed(-worst.fall)} "
            f"({_points(worst.before)} to {_points(worst.after)}).",
        )
    if few:
        listed = ", ".join(f"{change.name} ({_signed(-change.fall)})" for change in few)
        yield Check(
            "unjudged",
            passed=True,
            reason=f"Seen in fewer than {rules.least_field_documents} documents and not judged, "
            f"with the change of the mean: {listed}.",
        )


def _golden(name: str, champion: Scores, candidate: Scores, rules: GateSection) -> Check:
    before, after = champion.mean, candidate.mean
    if before is None or after is None:
        return Check(
            "golden", passed=True, reason=f"The golden set {name} has no reference to score."
        )
    count = len(champion.by_document())
    change = _Change(f"Golden set {name}", before, after, Estimate(after - before, 0, 0, count))
    if change.fall > rules.type_tolerance + _ROUNDING:
        return Check("golden", passed=False, reason=_fell(change, rules.type_tolerance))
    return Check(
        "golden",
        passed=True,
        reason=f"{change.name} holds: {_points(before)} to {_points(after)} points over {count} "
        f"documents (tolerance {_points(rules.type_tolerance)}).",
    )


def _schema(champion: Scores, candidate: Scores, rules: GateSection) -> Check:
    before, after = champion.schema_valid_ratio, candidate.schema_valid_ratio
    if before is None or after is None:
        return Check(
            "schema", passed=False, reason="There are no answers, so their validity is not known."
        )
    passed = before - after <= rules.schema_valid_tolerance + _ROUNDING
    said = "holds" if passed else "fell too far"
    return Check(
        "schema",
        passed,
        f"The share of schema-valid answers {said}: {before:.1%} to {after:.1%} "
        f"(tolerance {_points(rules.schema_valid_tolerance)} points; no answer came "
        f"{champion.error_count} and {candidate.error_count} times).",
    )


def _latency(champion: Scores, candidate: Scores, rules: GateSection) -> Check:
    """Over the documents that both answered, so that giving up on long ones is not fast.

    The median: the first answers of a run come from a cold engine, and one of ten seconds among
    twelve would hide, or make, a difference.
    """
    times = {entry.key: entry.duration_seconds for entry in candidate.documents}
    pairs = [
        (entry.duration_seconds, after)
        for entry in champion.documents
        if entry.duration_seconds is not None and (after := times[entry.key]) is not None
    ]
    if not pairs:
        return Check(
            "latency", passed=False, reason="No document was answered by both, so no time is known."
        )
    before, after = (median(column) for column in zip(*pairs, strict=True))
    passed = after <= before * rules.latency_ratio + _ROUNDING
    said = "holds" if passed else "grew too much"
    return Check(
        "latency",
        passed,
        f"The median time of an answer {said}: {before:.2f} s to {after:.2f} s "
        f"(at most {rules.latency_ratio:g} times as long).",
    )


def _fell(change: _Change, tolerance: float) -> str:
    return (
        f"{change.name} fell by {_points(change.fall)} points ({_points(change.before)} to "
        f"{_points(change.after)}, tolerance {_points(tolerance)})."
    )


def _points(score: float) -> str:
    return f"{100 * score:.1f}"


def _signed(score: float) -> str:
    return f"{100 * score:+.1f}"
