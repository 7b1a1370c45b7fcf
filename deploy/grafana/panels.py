# ruff: noqa: INP001 - part of a script, and of no package
"""A panel in one line, and the JSON that Grafana wants of it."""

from dataclasses import dataclass
from typing import Any

_WIDTH = 24


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel.

    Attributes:
        title: what is shown, with no unit.
        queries: (legend, PromQL) each.
        unit: Grafana's name of the unit.
        kind: "timeseries", "stat" or "bargauge".
        width: of the 24 columns.
        about: what to think of it.
        alarm: from here on it is bad, where there is such a figure; drawn in red.
        low_is_bad: whether it is bad below `alarm` instead.
    """

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    about: str = ""
    alarm: float | None = None
    low_is_bad: bool = False


def one(title: str, query: str, unit: str = "short", **more: Any) -> Panel:
    """A panel of one query."""
    return Panel(title, (("", query),), unit, **more)


def stat(title: str, query: str, unit: str = "short", **more: Any) -> Panel:
    """A figure."""
    return one(title, query, unit, kind="stat", width=4, **more)


def dashboard(uid: str, title: str, panels: list[Panel]) -> dict[str, Any]:
    """A dashboard as Grafana reads it."""
    placed, x, y, tallest = [], 0, 0, 0
    for number, panel in enumerate(panels, start=1):
        height = 4 if panel.kind == "stat" else 8
        if x + panel.width > _WIDTH:
            x, y, tallest = 0, y + tallest, 0
        grid = {"x": x, "y": y, "w": panel.width, "h": height}
        placed.append({"id": number, "gridPos": grid, **_panel(panel)})
        x, tallest = x + panel.width, max(tallest, height)
    return {
        "uid": f"docloop-{uid}",
        "title": title,
        "tags": ["docloop"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [
                {
                    "name": "datasource",
                    "label": "Data source",
                    "type": "datasource",
                    "query": "prometheus",
                }
            ]
        },
        "links": [
            {"type": "dashboards", "tags": ["docloop"], "asDropdown": False, "title": "Docloop"}
        ],
        "panels": placed,
    }


def _panel(panel: Panel) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit}
    if panel.alarm is not None:
        colours = ("red", "green") if panel.low_is_bad else ("green", "red")
        defaults["thresholds"] = {
            "mode": "absolute",
            "steps": [
                {"color": colours[0], "value": None},
                {"color": colours[1], "value": panel.alarm},
            ],
        }
        if panel.kind == "timeseries":
            defaults["custom"] = {"thresholdsStyle": {"mode": "line"}}
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _options(panel),
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "expr": query,
                "legendFormat": legend or panel.title,
                "instant": panel.kind != "timeseries",
            }
            for index, (legend, query) in enumerate(panel.queries)
        ],
    }


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "timeseries":
        return {"legend": {"displayMode": "list", "placement": "bottom"}}
    reduced: dict[str, Any] = {"reduceOptions": {"calcs": ["lastNotNull"]}}
    if panel.kind == "bargauge":
        reduced |= {"orientation": "horizontal", "displayMode": "basic"}
    return reduced
