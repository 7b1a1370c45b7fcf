"""A `RunSummary` -> one HTML file that needs nothing else: no network, no script, no other file."""

import json
import os
import unicodedata
from collections import defaultdict
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from trainer.report.charts import (
    HEIGHT,
    WIDTH,
    Legend,
    Span,
    grpo_legend,
    grpo_panels,
    panel,
    slot_of,
    spans,
)
from trainer.report.summary import Interval, RunSummary, ScoreRow

REPORT_NAME = "report.html"
SUMMARY_NAME = "summary.json"
MOST_PAGES = 8
_MOST_CHARACTERS = 400
_MOST_IDS = 5000
_UNKNOWN = "?"
_SECONDS_IN_MINUTE = 60
# Characters that are not seen, or that turn the text after them around, show as what they are.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def write_report(folder: Path, summary: RunSummary) -> Path:
    """Writes `report.html`, and beside it `summary.json` from which it can be written again.

    Both appear whole or not at all: a crash leaves the earlier ones.

    Args:
        folder: the run's folder; made where it is not there.
        summary: everything that is shown. Its texts may be hostile.

    Returns:
        Path of the HTML file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / SUMMARY_NAME, summary.to_json())
    report = folder / REPORT_NAME
    _replace(report, render(summary))
    return report


def render(summary: RunSummary) -> str:
    """The report's HTML."""
    here = files(__package__)
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "visible": visible,
        "value": show_value,
        "points": show_points,
        "gain": show_gain,
        "duration": show_duration,
        "slug": lambda text: str(text).replace("_", " "),
    }
    template = environment.from_string((here / "report.html").read_text(encoding="utf-8"))
    return template.render(
        summary=summary,
        css=Markup((here / "report.css").read_text(encoding="utf-8")),  # noqa: S704 - our own file
        sets=_sets(summary),
        overall=next((row for row in summary.scores if row.scope == "overall"), None),
        sft=_sft_panels(summary),
        grpo=grpo_panels(summary.grpo),
        legend=grpo_legend(summary.grpo),
        contenders=_contender_spans(summary),
        counts=_count_table(summary),
        seconds=sum(stage.seconds for stage in summary.stages),
        longest=max((stage.seconds for stage in summary.stages), default=0.0) or 1.0,
        box=(WIDTH, HEIGHT),
        most_pages=MOST_PAGES,
        most_ids=_MOST_IDS,
    )


def visible(text: Any) -> str:
    """A text without characters that hide or turn others; each of them by its code point."""
    shown = "".join(
        f"[U+{ord(sign):04X}]" if unicodedata.category(sign) in _UNSEEN else sign
        for sign in str(text)
    )
    return _cut(shown)


def show_value(value: Any) -> str:
    """A field's value: texts as they are, line by line, lists and objects as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return _cut("\n".join(visible(line) for line in text.split("\n")))


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + " …"


def show_points(score: float | None) -> str:
    """A score of 0 to 1 as points of 100."""
    return _UNKNOWN if score is None else f"{100 * score:.1f}"


def show_gain(gain: float | None) -> str:
    """A difference of scores in points, with its sign."""
    if gain is None:
        return _UNKNOWN
    text = f"{100 * gain:+.1f}"
    return "0.0" if text in {"+0.0", "-0.0"} else text.replace("-", "\u2212")


def show_duration(seconds: float) -> str:
    """As "48 s" or "3 min 05 s"."""
    whole = round(seconds)
    if whole < _SECONDS_IN_MINUTE:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"  # noqa: PLR2004 - as read
    minutes, rest = divmod(whole, _SECONDS_IN_MINUTE)
    if minutes < _SECONDS_IN_MINUTE:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, _SECONDS_IN_MINUTE)
    return f"{hours} h {minutes:02} min"


def _sets(summary: RunSummary) -> dict[str, list[tuple[ScoreRow, dict[str, Span]]]]:
    """Rows by set, each with its two intervals on a track from 0 to 1."""
    found: dict[str, list[tuple[ScoreRow, dict[str, Span]]]] = defaultdict(list)
    for row in summary.scores:
        track = spans({"before": row.before, "after": row.after}, 0.0, 1.0)
        found[row.set_name].append((row, track))
    return dict(found)


def _contender_spans(summary: RunSummary) -> dict[str, Span]:
    """The selection's intervals on a common track, whose ends are the lowest and the highest."""
    scores: dict[str, Interval] = {entry.name: entry.score for entry in summary.contenders}
    ends = [
        end
        for score in scores.values()
        for end in (score.low, score.mean, score.high)
        if end is not None
    ]
    return spans(scores, min(ends, default=0.0), max(ends, default=1.0))


def _sft_panels(summary: RunSummary) -> list[Any]:
    marks = [Legend(curve.name, slot_of(0), dashed=False) for curve in summary.sft]
    found = [
        panel(curve.name, [(curve, mark)]) for curve, mark in zip(summary.sft, marks, strict=True)
    ]
    return [entry for entry in found if entry is not None]


def _count_table(summary: RunSummary) -> tuple[list[str], dict[str, dict[str, int]]]:
    """Parts as columns, document types as rows."""
    parts = list(dict.fromkeys(count.part for count in summary.material.counts))
    rows: dict[str, dict[str, int]] = defaultdict(dict)
    for count in summary.material.counts:
        rows[count.document_type][count.part] = count.count
    return parts, dict(rows)


def _replace(path: Path, text: str) -> None:
    partial = path.with_suffix(path.suffix + ".partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
