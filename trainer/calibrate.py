"""Fits the confidence on live corrections: stored signals x a person's verdict -> weights.

A logistic regression per document type with an L2 penalty, on predictions of documents that were
not trained on. The fit is judged by documents that it has not seen (5 folds by document), by the
expected calibration error (Naeini et al. 2015, ten bins of equal width) and the Brier score.

    python -m trainer.calibrate --database-url URL --out models/default/calibration.json
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import matplotlib as mpl
import numpy as np
import typer
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sqlalchemy import select

from db.sessions import make_engine, make_sessions
from db.tables import Correction, Prediction, State, Verdict
from extraction.confidence import SIGNALS, calibrated_as
from extraction.evidence import Source

BINS = 10
LEAST_VALUES = 100
_FOLDS = 5


@dataclass(frozen=True, slots=True)
class Judged:
    """One value that the model read and a person judged.

    Attributes:
        document: groups the values of one document.
        calibrated: which weights its confidence has (`extraction.confidence.calibrated_as`).
        path: the field.
        signals: what the confidence was computed from.
        right: whether the person left it as it was.
    """

    document: str
    calibrated: str
    path: str
    signals: Mapping[str, float]
    right: bool


@dataclass(frozen=True, slots=True)
class Fit:
    """Weights of one document type and how well they hold.

    Attributes:
        weights: signal or "bias" -> weight.
        probabilities: out-of-fold, shape (n,).
        right: shape (n,), 0 or 1.
        error: expected calibration error of the out-of-fold probabilities.
        brier: mean squared error of the same.
    """

    weights: dict[str, float]
    probabilities: NDArray[np.float64]
    right: NDArray[np.float64]
    error: float
    brier: float


def judged_values(rows: Sequence[tuple[Prediction, Correction]]) -> list[Judged]:
    """The model's values of predictions that have a verdict; an unreadable document has none."""
    values: list[Judged] = []
    for prediction, correction in rows:
        if correction.verdict is Verdict.UNREADABLE:
            continue
        wrong = set(_paths(correction.record or {}))
        for path, read in (prediction.fields or {}).items():
            if read.get("source") != Source.MODEL or not read.get("signals"):
                continue
            value = Judged(
                str(prediction.document_id),
                calibrated_as(
                    prediction.document_type, with_ocr=bool(prediction.options.get("ocr", True))
                ),
                path,
                read["signals"],
                not any(path == item or path.startswith(f"{item}.") for item in wrong),
            )
            values.append(value)
    return values


def _paths(record: Mapping[str, Any]) -> list[str]:
    """Paths that a correction touches; a corrected list is wrong as a whole."""
    paths: list[str] = []
    for name, value in record.items():
        if isinstance(value, Mapping):
            paths += [f"{name}.{inner}" for inner in _paths(value)]
        else:
            paths.append(name)
    return paths


def fit(values: Sequence[Judged], *, strength: float = 1.0) -> Fit:
    """The weights for the values of one document type.

    Args:
        values: at least `LEAST_VALUES`, some right and some wrong.
        strength: inverse of the L2 penalty.

    Raises:
        ValueError: too few values, or all of one kind, so that nothing can be fitted.
    """
    right = np.array([float(value.right) for value in values])
    if len(values) < LEAST_VALUES or right.min() == right.max():
        raise ValueError(f"{len(values)} values of one outcome or too few cannot be fitted")
    signals = np.array([[value.signals[name] for name in SIGNALS] for value in values])
    groups = [value.document for value in values]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000))
    folds = GroupKFold(_FOLDS)
    held_out = cross_val_predict(
        model, signals, right, groups=groups, cv=folds, method="predict_proba"
    )[:, 1]
    model.fit(signals, right)
    scaler, regression = model.named_steps.values()
    scaled = regression.coef_[0] / scaler.scale_
    weights = dict(zip(SIGNALS, map(float, scaled), strict=True))
    weights["bias"] = float(regression.intercept_[0] - (scaled * scaler.mean_).sum())
    return Fit(
        weights,
        held_out,
        right,
        expected_calibration_error(held_out, right),
        float(((held_out - right) ** 2).mean()),
    )


def expected_calibration_error(
    probabilities: NDArray[np.float64], right: NDArray[np.float64]
) -> float:
    """Sum over bins of (share of values) x |mean probability - share right|; 0 is perfect."""
    bins = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    gaps = [
        (bins == index).mean()
        * abs(probabilities[bins == index].mean() - right[bins == index].mean())
        for index in range(BINS)
        if (bins == index).any()
    ]
    return float(sum(gaps))


def plot(fits: Mapping[str, Fit], path: Path) -> None:
    """The reliability curve of each document type as a picture."""
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5, 5), layout="constrained")
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", label="perfect")
    for name, result in fits.items():
        bins = np.minimum((result.probabilities * BINS).astype(int), BINS - 1)
        used = [index for index in range(BINS) if (bins == index).any()]
        sizes = [int((bins == index).sum()) for index in used]
        means = [result.probabilities[bins == index].mean() for index in used]
        shares = [result.right[bins == index].mean() for index in used]
        axes.plot(means, shares, marker="o", label=f"{name}: error {result.error:.3f}")
        for x, y, size in zip(means, shares, sizes, strict=True):
            axes.annotate(str(size), (x, y), xytext=(4, -10), textcoords="offset points", size=7)
    axes.set(xlabel="confidence", ylabel="share right", title="Held-out values, by confidence")
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


async def _load(url: str) -> list[tuple[Prediction, Correction]]:
    engine = make_engine(url)
    superseded = select(Correction.supersedes).where(Correction.supersedes.is_not(None))
    query = (
        select(Prediction, Correction)
        .join(Correction, Correction.prediction_id == Prediction.id)
        .where(Prediction.state == State.DONE, Correction.id.not_in(superseded))
    )
    try:
        async with make_sessions(engine)() as session:
            return [
                (prediction, correction) for prediction, correction in await session.execute(query)
            ]
    finally:
        await engine.dispose()


def main(
    database_url: Annotated[str, typer.Option(envvar="DATABASE_URL")],
    out: Annotated[Path, typer.Option(help="The file to write.")],
    picture: Annotated[Path | None, typer.Option(help="The reliability curve.")] = None,
) -> None:
    """Fit the confidence on the corrections in a database."""
    values = judged_values(asyncio.run(_load(database_url)))
    fits: dict[str, Fit] = {}
    for name in sorted({value.calibrated for value in values}):
        own = [value for value in values if value.calibrated == name]
        try:
            fits[name] = fit(own)
        except ValueError as error:
            typer.echo(f"{name}: {error}; its weights stay as they are", err=True)
            continue
        typer.echo(
            f"{name}: {len(own)} values, {fits[name].right.mean():.3f} right, held-out calibration "
            f"error {fits[name].error:.3f}, Brier score {fits[name].brier:.4f}"
        )
    if not fits:
        raise typer.Exit(1)
    before = json.loads(out.read_text())["weights"] if out.exists() else {}
    weights = before | {name: result.weights for name, result in fits.items()}
    out.write_text(json.dumps({"weights": weights}, indent=1) + "\n")
    if picture is not None:
        plot(fits, picture)


if __name__ == "__main__":
    typer.run(main)
