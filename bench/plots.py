"""Plots of the demo and of the learning curve, as SVG and PNG, from the JSON that these write.

    python bench/plots.py demo build/demo/demo.json
    python bench/plots.py curve FILE.json --out docs/pictures/learning-curve

A curve's file is {"title": ..., "lines": {"SFT": [{"receipts": 50, "score": 0.71, "low": 0.68,
"high": 0.74}, ...], "SFT + GRPO": [...], "soup": [...]}}; scores are of 0 to 1.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, SOFT, GRID = "#17181a", "#5c6068", "#e4e4e0"
BEFORE, AFTER = "#9a9fa8", "#2a78d6"
COLOURS = ("#2a78d6", "#eb6834", "#1baf7a", "#b98200", "#d55181", "#4a3aa7")
MARKS = ("o", "s", "^", "D", "v", "P")
STYLE = {
    "font.size": 10.5,
    "font.family": "DejaVu Sans",
    "text.color": INK,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": SOFT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "svg.hashsalt": "docloop",  # the same figures give the same file
}


def plot_demo(result: Mapping[str, Any], out: Path) -> list[Path]:
    """Scores before and after, and how long background requests took around the swap.

    Args:
        result: what `bench/demo.py` writes.
        out: path without ending.

    Returns:
        The written files.
    """
    with plt.rc_context(STYLE):
        figure, (left, right) = plt.subplots(
            1, 2, figsize=(11, 4.2), width_ratios=(3, 2), constrained_layout=True
        )
        _bars(left, result)
        _flow(right, result["traffic"])
        return _save(figure, out)


def plot_curve(result: Mapping[str, Any], out: Path) -> list[Path]:
    """Score after each cycle against the number of receipts, a line with intervals per stage.

    Args:
        result: see the module.
        out: path without ending.

    Returns:
        The written files.
    """
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(7.6, 4.6), constrained_layout=True)
        count = len(result["lines"])
        for index, (name, points) in enumerate(result["lines"].items()):
            _line(axes, name, points, index, shift=(index - (count - 1) / 2) * 0.012)
        known = sorted({p["receipts"] for points in result["lines"].values() for p in points})
        axes.set_xticks(known)
        axes.set_xlabel("receipts corrected")
        axes.set_ylabel("score of 100 on held-out receipts")
        axes.set_title(result.get("title", ""), loc="left", color=INK, fontsize=12)
        axes.grid(visible=False, axis="x")
        axes.legend(loc="best")
        return _save(figure, out)


def _bars(axes: Axes, result: Mapping[str, Any]) -> None:
    """One pair of bars for each set and field."""
    rows: list[dict[str, Any]] = result["scores"]
    for side, (key, colour) in enumerate((("before", BEFORE), ("after", AFTER))):
        known = [(index, row[key]) for index, row in enumerate(rows) if row[key] is not None]
        places = [index + (side - 0.5) * 0.38 for index, _ in known]
        means = [100 * score["mean"] for _, score in known]
        reach = [
            [100 * (score["mean"] - score["low"]) for _, score in known],
            [100 * (score["high"] - score["mean"]) for _, score in known],
        ]
        axes.bar(places, means, 0.34, color=colour, label=key)
        axes.errorbar(
            places, means, reach, fmt="none", ecolor=INK, elinewidth=1, capsize=2.5, alpha=0.7
        )
        for place, mean in zip(places, means, strict=True):
            axes.text(place, 2.0, f"{mean:.0f}", ha="center", color="white", fontweight="bold")
    axes.set_xticks(range(len(rows)), [row["name"].replace("_", "\n") for row in rows])
    axes.set_ylim(0, 112)
    axes.set_yticks(range(0, 101, 20))
    axes.set_title("Score of 100, before and after the cycle", loc="left", color=INK, fontsize=12)
    axes.grid(visible=False, axis="x")
    axes.legend(loc="upper right", ncols=2)


def _flow(axes: Axes, traffic: Mapping[str, Any]) -> None:
    """Each background request: when it began, how long it took, who answered."""
    rows: list[dict[str, Any]] = traffic["requests"]
    versions = list(dict.fromkeys(row["version"] for row in rows if row["version"]))
    for index, version in enumerate(versions):
        mine = [row for row in rows if row["version"] == version]
        axes.plot(
            [row["began"] / 60 for row in mine],
            [row["seconds"] for row in mine],
            MARKS[index % len(MARKS)],
            color=(BEFORE, AFTER, *COLOURS[1:])[min(index, len(COLOURS))],
            markersize=4,
            label=version,
        )
    failed = [row for row in rows if not row["version"]]
    if failed:
        axes.plot(
            [row["began"] / 60 for row in failed],
            [row["seconds"] for row in failed],
            "x",
            color="#a8261f",
            label="failed",
        )
    if traffic.get("swap_at") is not None:
        axes.axvline(traffic["swap_at"] / 60, color=INK, linewidth=1, linestyle=":")
    axes.set_ylim(0, 1.3 * max((row["seconds"] for row in rows), default=1.0))
    axes.set_xlabel("minutes since the background requests began")
    title = f"{traffic['sent']} requests meanwhile, {traffic['failed']} failed: seconds"
    axes.set_title(title, loc="left", color=INK, fontsize=12)
    axes.legend(loc="upper left", fontsize=8.5)


def _line(
    axes: Axes, name: str, points: Sequence[Mapping[str, float]], index: int, *, shift: float
) -> None:
    """One stage; moved a little aside, so that intervals do not hide each other."""
    ordered = sorted(points, key=lambda point: point["receipts"])
    width = max(point["receipts"] for point in ordered) or 1
    means = [100 * point["score"] for point in ordered]
    reach = [
        [100 * (point["score"] - point.get("low", point["score"])) for point in ordered],
        [100 * (point.get("high", point["score"]) - point["score"]) for point in ordered],
    ]
    axes.errorbar(
        [point["receipts"] + shift * width for point in ordered],
        means,
        reach,
        fmt=f"-{MARKS[index % len(MARKS)]}",
        color=COLOURS[index % len(COLOURS)],
        linewidth=1.8,
        markersize=5,
        elinewidth=1,
        capsize=3,
        label=name,
    )


def _save(figure: Figure, out: Path) -> list[Path]:
    out.parent.mkdir(parents=True, exist_ok=True)
    paths = [out.with_name(f"{out.name}.{ending}") for ending in ("png", "svg")]
    figure.savefig(paths[0], dpi=140)
    figure.savefig(paths[1], metadata={"Date": None})
    plt.close(figure)
    return paths


def main() -> int:
    """Parses the command line and prints the written paths."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("kind", choices=("demo", "curve"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--out", type=Path, help="path without ending; beside the file if left out")
    arguments = parser.parse_args()
    result = json.loads(arguments.file.read_text())
    draw = plot_demo if arguments.kind == "demo" else plot_curve
    for path in draw(result, arguments.out or arguments.file.with_suffix("")):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
