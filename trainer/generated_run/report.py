"""What a run on generated documents came to, as the page that tells of any run."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from trainer.generated_run.material import CHAMPION, CLAIM
from trainer.report.summary import (
    Contender,
    Count,
    FieldChange,
    GrpoRun,
    Interval,
    Material,
    Outcome,
    PageChange,
    RunSummary,
    ScoreRow,
    StageTime,
    curve_of,
    reward_curves,
)
from trainer.report.write import write_report
from trainer.significance import bootstrap_mean
from trainer.stage import DONE, EXAMPLES, read_json, read_lines
from trainer.stages import Stages

_RESAMPLES = 2000
_CHOSEN = (
    "had the highest reward on the selection part of the generated documents. Nothing is promoted: "
    "serve the version's folder to use it."
)
_MEASURED = (
    "Scores are rewards, on greedy answers of the model alone: no service and no grammar took part."
)


@dataclass(frozen=True, slots=True)
class Answered:
    """One contender's rewards on a part.

    Attributes:
        rows: a mapping a document, in the part's order: `reward`, the weighted mean, and each
            reward that scored it. A reward below 0 is a penalty.
    """

    rows: tuple[Mapping[str, float], ...]

    def values(self, name: str) -> list[float | None]:
        """A reward of each document; None where it did not score."""
        return [row.get(name) for row in self.rows]

    def mean(self, name: str) -> float:
        """Over the documents that it scored; 0 where there are none."""
        found = [value for value in self.values(name) if value is not None]
        return sum(found) / len(found) if found else 0.0


def write(
    folder: Path,
    stages: Stages,
    kind: str,
    selection: Mapping[str, Answered],
    holdout: Mapping[str, Answered],
    chosen: str,
    version: Path | None,
    parts: Mapping[str, tuple[str, ...]],
) -> Path:
    """Writes the report.

    Args:
        folder: the run's.
        stages: of the run.
        kind: the document type.
        selection: contender -> rewards on what the ingredients were chosen by.
        holdout: contender -> rewards on what nothing was chosen by.
        chosen: the contender that became a version.
        version: its folder; None where it is the model that the run started from.
        parts: soup -> ingredients.

    Returns:
        The page.
    """
    levels = stages.profile.grpo.levels
    changes = changes_of(folder, kind, chosen)
    began = datetime.fromtimestamp((folder / CLAIM).stat().st_mtime, UTC)
    summary = RunSummary(
        run_id=folder.name,
        profile=stages.profile.name,
        outcome=Outcome.NOT_PROMOTED,
        champion=stages.champion_folder.name,
        candidate=version.name if version else None,
        started_at=began.isoformat(timespec="seconds"),
        reasons=(f"{chosen} {_CHOSEN}",),
        stages=tuple(StageTime(name, seconds) for name, seconds in stages.seconds.items()),
        material=Material(counts=_counts(folder, kind)),
        sft=(curve_of(_history(folder, "sft"), "loss"),),
        grpo=tuple(
            GrpoRun(
                name=f"grpo-{index}",
                seed=stages.profile.seed + index + 1,
                level=level,
                curves=reward_curves(_history(folder, f"grpo-{index}")),
            )
            for index, level in enumerate(levels)
        ),
        scores=tuple(_rows(stages, kind, holdout[CHAMPION], holdout[chosen])),
        contenders=tuple(
            Contender(
                name=name,
                kind=_kind(name),
                score=_interval(stages, [value or 0.0 for value in found.values("reward")]),
                chosen=name == chosen,
                parts=parts.get(name, ()),
            )
            for name, found in selection.items()
        ),
        fixed=tuple(change for change in changes if change.after > change.before),
        broken=tuple(change for change in reversed(changes) if change.after < change.before),
        confidence=stages.profile.gate.confidence,
        notes=(_MEASURED, f"Holdout, mean reward: {_listed(holdout)}."),
    )
    return write_report(folder, summary)


def changes_of(folder: Path, kind: str, chosen: str) -> list[PageChange]:
    """Every document of the holdout before and after, the largest gain first."""
    rows = read_lines(folder / "rows" / "holdout" / EXAMPLES)
    answers = [
        read_lines(folder / "answers-holdout" / f"{name}.jsonl") for name in (CHAMPION, chosen)
    ]
    found = []
    for number, (row, before, after) in enumerate(zip(rows, *answers, strict=True), start=1):
        scores = before["rewards"]["reward"], after["rewards"]["reward"]
        right = row["completion"][0]["content"]
        texts = before["text"], after["text"]
        # The right answer is right, whatever a penalty says of it.
        marks = (1.0 if text == right else score for text, score in zip(texts, scores, strict=True))
        answer = FieldChange("answer", *texts, right, *marks)
        asked = row["prompt"][-1]["content"]
        found.append(PageChange(f"holdout {number}", kind, *scores, (answer,), text=asked))
    return sorted(found, key=lambda change: change.before - change.after)


def _listed(found: Mapping[str, Answered]) -> str:
    return ", ".join(f"{name} {100 * one.mean('reward'):.1f}" for name, one in found.items())


def _kind(name: str) -> str:
    if name in {CHAMPION, "sft"}:
        return name
    return "soup" if name.startswith("soup") else "ingredient"


def _counts(folder: Path, kind: str) -> tuple[Count, ...]:
    paths = sorted((folder / "rows").glob("*/examples.jsonl"))
    return tuple(Count(kind, path.parent.name, path.read_text().count("\n")) for path in paths)


def _history(folder: Path, stage: str) -> list[dict[str, float]]:
    found: list[dict[str, float]] = (read_json(folder / stage / DONE) or {}).get("history", [])
    return found


def _rows(stages: Stages, kind: str, before: Answered, after: Answered) -> list[ScoreRow]:
    names = list(dict.fromkeys(name for row in before.rows for name in row))
    rows = []
    for name in names:
        pairs = [
            (old, new)
            for old, new in zip(before.values(name), after.values(name), strict=True)
            if old is not None and new is not None
        ]
        if pairs:
            whole = name == "reward"
            rows.append(
                ScoreRow(
                    scope="overall" if whole else "field",
                    name="all documents" if whole else f"{kind}.{name}",
                    documents=len(pairs),
                    before=_interval(stages, [old for old, _ in pairs]),
                    after=_interval(stages, [new for _, new in pairs]),
                    gain=_interval(stages, [new - old for old, new in pairs]),
                )
            )
    return rows


def _interval(stages: Stages, values: list[float]) -> Interval:
    found = bootstrap_mean(
        values,
        confidence=stages.profile.gate.confidence,
        resamples=_RESAMPLES,
        seed=stages.profile.seed,
    )
    return Interval.of(found.value, found.low, found.high)
