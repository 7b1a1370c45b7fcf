"""What people see of a run: one self-contained HTML file, and the plain values behind it."""

from trainer.report.pictures import shrink
from trainer.report.summary import (
    Contender,
    Count,
    Curve,
    ExampleIds,
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
from trainer.report.write import REPORT_NAME, SUMMARY_NAME, write_report

__all__ = [
    "REPORT_NAME",
    "SUMMARY_NAME",
    "Contender",
    "Count",
    "Curve",
    "ExampleIds",
    "FieldChange",
    "GrpoRun",
    "Interval",
    "Material",
    "Outcome",
    "PageChange",
    "RunSummary",
    "ScoreRow",
    "StageTime",
    "curve_of",
    "reward_curves",
    "shrink",
    "write_report",
]
