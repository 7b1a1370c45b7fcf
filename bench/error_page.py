"""Misses -> one HTML page: what was lost where and why, with a crop of each place."""

import base64
import io
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from error_causes import Cause, Mender, Miss, letters
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image
from rapidfuzz import fuzz
from rapidfuzz.distance import Levenshtein

_FOLDER = Path(__file__).parent
_TEMPLATE, _STYLE = "error_page.html", "error_page.css"
_CROP_WIDTH, _CROP_QUALITY = 620, 62
# Around a place so much more of the page is shown, as a ratio of its height.
_MARGIN, _TALLEST = 0.03, 0.5
_LEAST = 0.45  # of the page's width is shown
_LEAST_LIKENESS = 80.0
_SHORT_VALUE, _SHORT_LINE = 12, 4

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Crop:
    """A part of a page as a JPEG text, with places in it as percentages.

    Attributes:
        jpeg: base64.
        width: in pixels.
        height: in pixels.
        expected: left, top, width, height of each line of the expected text.
        read: the same of the answer.
    """

    jpeg: str
    width: int
    height: int
    expected: Sequence[Box]
    read: Sequence[Box]


@dataclass(frozen=True)
class Shown:
    """A miss as the page shows it."""

    miss: Miss
    crop: Crop
    expected: Markup
    read: Markup
    line: str | None


def render(
    found: Sequence[Miss],
    rows: Sequence[Mapping[str, Any]],
    references: Mapping[str, Mapping[str, Any]],
    folder: Path,
) -> str:
    """The page's HTML; it needs no other file.

    Args:
        found: the misses, dearest first.
        rows: of the bench, every receipt.
        references: rows of `receipts.jsonl` by id.
        folder: of the images.
    """
    answers = {row["id"]: row for row in rows}
    shown = [
        _shown(miss, answers[miss.id]["answer"], references[miss.id], folder) for miss in found
    ]
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(_TEMPLATE)
    fields = [name for name in rows[0]["scores"] if name != "overall"]
    return page.render(
        style=Markup((_FOLDER / _STYLE).read_text()),  # noqa: S704 - our own file
        table=table(found, fields),
        menders=_by_mender(found),
        details=_by_detail(found),
        groups=_groups(shown),
        fields=fields,
        summary=_summary(rows, fields, found),
    )


def table(found: Sequence[Miss], fields: Sequence[str]) -> dict[str, Any]:
    """Points lost by cause and field, the dearest cause first."""
    points: dict[tuple[str, str], float] = defaultdict(float)
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for miss in found:
        for key in ((miss.verdict.cause, miss.field), (miss.verdict.cause, ""), ("", miss.field)):
            points[key] += miss.points
            counts[key] += 1
    causes = sorted(Cause, key=lambda cause: -points[cause, ""])
    most = max((points[cause, field] for cause in causes for field in fields), default=0.0)
    return {
        "rows": [
            {
                "cause": cause,
                "cells": [
                    {
                        "points": points[cause, field],
                        "count": counts[cause, field],
                        "heat": round(100 * points[cause, field] / most) if most else 0,
                    }
                    for field in fields
                ],
                "points": points[cause, ""],
                "count": counts[cause, ""],
            }
            for cause in causes
        ],
        "columns": [points["", field] for field in fields],
        "total": sum(miss.points for miss in found),
        "count": len(found),
    }


def _by_mender(found: Sequence[Miss]) -> list[dict[str, Any]]:
    """Who can mend how much."""
    total = sum(miss.points for miss in found) or 1.0
    shares = [
        (mender, sum(miss.points for miss in found if miss.verdict.mender is mender))
        for mender in Mender
    ]
    shares.sort(key=lambda pair: -pair[1])
    return [
        {"name": str(mender), "points": points, "share": 100 * points / total, "index": index}
        for index, (mender, points) in enumerate(shares)
        if points
    ]


def _by_detail(found: Sequence[Miss]) -> list[dict[str, Any]]:
    """Points lost by what exactly was wrong."""
    points: dict[tuple[str, str], float] = defaultdict(float)
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for miss in found:
        key = (str(miss.verdict.cause), miss.verdict.detail)
        points[key] += miss.points
        counts[key] += 1
    ordered = sorted(points, key=lambda key: -points[key])
    return [
        {"cause": key[0], "detail": key[1], "points": points[key], "count": counts[key]}
        for key in ordered
    ]


def _groups(shown: Sequence[Shown]) -> list[dict[str, Any]]:
    causes = sorted(
        {item.miss.verdict.cause for item in shown},
        key=lambda cause: -sum(i.miss.points for i in shown if i.miss.verdict.cause is cause),
    )
    return [
        {
            "cause": cause,
            "slug": cause.replace(" ", "-"),
            "items": [item for item in shown if item.miss.verdict.cause is cause],
            "points": sum(i.miss.points for i in shown if i.miss.verdict.cause is cause),
        }
        for cause in causes
    ]


def _summary(
    rows: Sequence[Mapping[str, Any]], fields: Sequence[str], found: Sequence[Miss]
) -> dict[str, Any]:
    def mean(name: str) -> float:
        return sum(row["scores"][name] for row in rows) / len(rows)

    missed = {miss.id for miss in found}
    return {
        "receipts": len(rows),
        "first": rows[0]["id"],
        "last": rows[-1]["id"],
        "overall": mean("overall"),
        "means": [(name, mean(name)) for name in fields],
        "whole": sum(row["id"] not in missed for row in rows),
        "version": next(
            (row["answer"]["model_version"] for row in rows if row["answer"]), "no answer"
        ),
    }


def _shown(
    miss: Miss, answer: Mapping[str, Any], reference: Mapping[str, Any], folder: Path
) -> Shown:
    field = (answer.get("fields") or {}).get(_PATHS[miss.field]) or {}
    place = field.get("evidence") or {}
    expected = [
        tuple(line["bbox"]) for line in reference["lines"] if _belongs(line["text"], miss.expected)
    ]
    with Image.open(folder / reference["image"]) as opened:
        crop = _crop(opened.convert("RGB"), expected, [tuple(place["box"])] if place else [])
    before, after = _marked(miss.expected, miss.read or "")
    return Shown(miss, crop, before, after, place.get("text"))


_PATHS = {
    "company": "merchant_name",
    "date": "transaction_date",
    "address": "merchant_address",
    "total": "total",
}


def _belongs(line: str, value: str) -> bool:
    """Whether a line of the transcript holds a short value, or is a part of a long one."""
    here, there = letters(line), letters(value)
    if len(there) <= _SHORT_VALUE:
        return len(here) >= len(there) > 0 and fuzz.partial_ratio(there, here) >= _LEAST_LIKENESS
    shorter, longer = sorted((here, there), key=len)
    is_part = len(here) <= 2 * len(there) and len(here) >= _SHORT_LINE
    return is_part and fuzz.partial_ratio(shorter, longer) >= _LEAST_LIKENESS


def _crop(page: Image.Image, expected: Sequence[Box], read: Sequence[Box]) -> Crop:
    """The part of a page with both places; its upper half where neither is known."""
    boxes = list(expected) + list(read) or [(0.0, 0.0, 1.0, _TALLEST)]
    if max(box[3] for box in boxes) - min(box[1] for box in boxes) > _TALLEST and read:
        boxes = list(read)  # too far apart for one picture: the answer's surroundings tell more
    left, right = _widened(min(b[0] for b in boxes), max(b[2] for b in boxes), 2 * _MARGIN, _LEAST)
    top, bottom = _widened(min(b[1] for b in boxes), max(b[3] for b in boxes), _MARGIN, 0.0)
    edges = (left * page.width, top * page.height, right * page.width, bottom * page.height)
    part = page.crop(tuple(round(edge) for edge in edges))
    height = max(round(part.height * _CROP_WIDTH / part.width), 1)
    part = part.resize((_CROP_WIDTH, height), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    part.save(buffer, "JPEG", quality=_CROP_QUALITY, optimize=True)

    def inside(places: Sequence[Box]) -> list[Box]:
        across, down = right - left, bottom - top
        return [
            (
                100 * (box[0] - left) / across,
                100 * (box[1] - top) / down,
                100 * (box[2] - box[0]) / across,
                100 * (box[3] - box[1]) / down,
            )
            for box in places
            if box[1] < bottom and box[3] > top
        ]

    jpeg = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Crop(jpeg, _CROP_WIDTH, height, inside(expected), inside(read))


def _widened(low: float, high: float, margin: float, least: float) -> tuple[float, float]:
    """A span with a margin, at least so long, within the page."""
    margin = max(margin, (least - (high - low)) / 2)
    return max(low - margin, 0.0), min(high + margin, 1.0)


def _marked(expected: str, read: str) -> tuple[Markup, Markup]:
    """Both texts with what differs set apart: characters where they are alike, else words."""
    is_alike = fuzz.ratio(expected, read) >= _LEAST_LIKENESS
    wanted, answered = (
        (list(text) if is_alike else re.findall(r"\s+|\S+", text)) for text in (expected, read)
    )
    before, after = Markup(), Markup()
    for step in Levenshtein.opcodes(wanted, answered):
        was = "".join(wanted[step.src_start : step.src_end])
        now = "".join(answered[step.dest_start : step.dest_end])
        if step.tag == "equal":
            before += was
            after += now
            continue
        before += Markup("<del>{}</del>").format(was) if was else Markup()
        after += Markup("<ins>{}</ins>").format(now) if now else Markup()
    return before, after
