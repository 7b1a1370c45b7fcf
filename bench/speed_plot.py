"""A small plot of `bench/speed.py`: where a receipt's time goes, and who holds the memory."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from plots import COLOURS, INK, SOFT, STYLE

_LEAST_SHARE = 0.06  # of the bar has room for its own number


def plot_speed(result: Mapping[str, Any], out: Path) -> list[Path]:
    """Two stacked bars.

    Args:
        result: what `bench/speed.py` writes.
        out: path without ending.

    Returns:
        The written files.
    """
    single, many, memory = result["single"], result["saturated"], result["memory"]
    with plt.rc_context({**STYLE, "axes.grid": False}):
        figure, (upper, lower) = plt.subplots(2, 1, figsize=(9.4, 4.6), constrained_layout=True)
        _bar(upper, single["stages_seconds"], result["targets"]["p50_seconds"], "s")
        upper.set_title(
            f"One receipt: p50 {single['p50_seconds']:.2f} s; "
            f"{many['receipts_per_second']:.2f} a second at {many['concurrency']} at a time",
            loc="left",
            color=INK,
            fontsize=12,
        )
        _bar(lower, memory["kinds_gib"], result["targets"]["peak_gib"], "GiB")
        title = f"Memory of all processes at its peak: {memory['peak_gib']:.2f} GiB"
        lower.set_title(title, loc="left", color=INK, fontsize=12)
        paths = [out.with_name(f"{out.name}.{ending}") for ending in ("png", "svg")]
        figure.savefig(paths[0], dpi=140)
        figure.savefig(paths[1], metadata={"Date": None})
        plt.close(figure)
    return paths


def _bar(axes: Axes, parts: Mapping[str, float], target: float, unit: str) -> None:
    """One stacked bar with its legend and the target as a line."""
    total = sum(parts.values())
    reach = max(total, target) * 1.04
    left = 0.0
    shown = [(name, size) for name, size in parts.items() if size > total * 0.001]
    for index, (name, size) in enumerate(shown):
        colour = (*COLOURS, SOFT)[index % (len(COLOURS) + 1)]
        axes.barh(0, size, left=left, height=0.5, color=colour, label=f"{name} {size:.2f}")
        if size > _LEAST_SHARE * reach:
            text = f"{size:.2f}"
            axes.text(left + size / 2, 0, text, ha="center", va="center", color="white", fontsize=9)
        left += size
    axes.axvline(target, color=INK, linewidth=1.2, linestyle=":")
    axes.text(target, 0.36, f"target {target:g} {unit}", ha="right", color=SOFT, fontsize=8.5)
    axes.set_xlim(0, reach)
    axes.set_ylim(-0.32, 0.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(unit)
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.42), ncols=6, fontsize=8, columnspacing=1.2
    )
