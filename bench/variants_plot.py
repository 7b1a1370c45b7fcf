"""A table and a plot of what `bench/variants.py` measured."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from plots import COLOURS, SOFT, STYLE

# Column -> the task that it is of, and its value in that task's result, of 0 to 100.
FIGURES: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], float]]] = {
    "receipts, fuzzy": ("sroie", lambda found: found["overall"]),
    "receipts, exact": ("sroie", lambda found: found["overall_exact"]),
    "zones equal": ("mrz", lambda found: 100 * found["equal"] / found["documents"]),
    "travel, in the zone": ("travel", lambda found: _mean(found["carried"])),
    "travel, printed alone": ("travel", lambda found: _mean(found["printed_only"])),
    "hard, type by auto": ("hard", lambda found: _typed(found["photographs"], found["odd"])),
}


def _mean(shares: Mapping[str, Mapping[str, float]]) -> float:
    """Over all values, however they spread over the fields."""
    count = sum(own["documents"] for own in shares.values())
    return sum(own["exact"] * own["documents"] for own in shares.values()) / count


def _typed(*kinds: Mapping[str, float]) -> float:
    return 100 * sum(kind["typed"] for kind in kinds) / sum(kind["pages"] for kind in kinds)


def figures_of(found: Mapping[str, Any]) -> dict[str, float]:
    """The figures of the tasks that one variant was asked."""
    return {name: figure(found[task]) for name, (task, figure) in FIGURES.items() if task in found}


def table_of(variants: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown: a row for each variant, a column for each figure that any of them has."""
    measured, columns = _measured(variants)
    rows = [["", *columns], ["---", *["---:"] * len(columns)]]
    for name, own in measured.items():
        rows.append([name, *(f"{own[c]:.1f}" if c in own else "" for c in columns)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _measured(
    variants: Mapping[str, Mapping[str, Any]],
) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Each variant's figures, and the figures that any of them has, in order."""
    measured = {name: figures_of(found) for name, found in variants.items()}
    return measured, [name for name in FIGURES if any(name in own for own in measured.values())]


def plot_variants(found: Mapping[str, Any], out: Path) -> list[Path]:
    """One panel for each figure, one bar for each variant.

    Args:
        found: the content of `variants.json`.
        out: path without ending.

    Returns:
        The written files.
    """
    measured, columns = _measured(found["variants"])
    down = 0.6 + 0.42 * len(measured)
    with plt.rc_context(STYLE):
        figure, panels = plt.subplots(
            len(columns),
            1,
            figsize=(8, down * len(columns) + 0.6),
            squeeze=False,
            constrained_layout=True,
        )
        figure.suptitle(found["model"], color=SOFT)
        for panel, column in zip(panels[:, 0], columns, strict=True):
            names = [name for name in measured if column in measured[name]]
            values = [measured[name][column] for name in names]
            colours = [COLOURS[list(measured).index(name) % len(COLOURS)] for name in names]
            bars = panel.barh(names, values, color=colours)
            panel.bar_label(bars, fmt="%.1f", padding=3)
            panel.set_title(column, loc="left")
            panel.set_xlim(0, 108)
            panel.invert_yaxis()
            panel.grid(visible=False, axis="y")
        files = [out.with_suffix(ending) for ending in (".png", ".svg")]
        for file in files:
            figure.savefig(file, dpi=130)
        plt.close(figure)
    return files
