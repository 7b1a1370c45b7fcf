"""Drawings as SVG: charts, a flow diagram, a landscape. Each says in words what it shows."""

import math
import random
from collections.abc import Sequence

from markupsafe import Markup

from trainer.synth.pages.blocks import Figure
from trainer.synth.pages.writer import Writer

_WIDTH, _HEIGHT = 320, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 310, 12, 160
_FULL_TURN = 2 * math.pi


def draw_figure(writer: Writer, accent: str, caption: str = "") -> Figure:
    """A figure of one of five kinds with its alternative text in the page's language."""
    rng = writer.rng
    title = writer.topic
    first = rng.randint(1990, 2016)
    years = [str(first + step) for step in range(rng.randint(4, 8))]
    values = [rng.uniform(0.15, 1.0) for _ in years]
    kind = rng.choice(("bar", "line", "pie", "flow", "landscape"))
    if kind == "flow":
        names = writer.some_of("steps", rng.randint(3, 4))
        svg, alt = _flow(names, accent), writer.label("flow").format(steps=", ".join(names))
    elif kind == "landscape":
        svg, alt = _landscape(rng), writer.label("landscape")
    else:
        draw = {"bar": _bars, "line": _line, "pie": _pie}[kind]
        svg = draw(years, values, accent)
        alt = writer.label(kind).format(title=title, count=len(values))
    return Figure(svg, alt, caption)


def _svg(parts: Sequence[str]) -> Markup:
    body = "".join(parts)
    return Markup(  # noqa: S704 numbers and our own labels, escaped where they come in
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" font-size="10" font-family="sans-serif">'
        f"{body}</svg>"
    )


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return str(
        Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>').format(
            round(x, 1), round(y, 1), anchor, text
        )
    )


def _axes() -> list[str]:
    lines = [
        f'<path d="M{_LEFT} {_TOP}V{_BOTTOM}H{_RIGHT}" fill="none" stroke="#444"/>',
    ]
    for step in range(5):
        y = _BOTTOM - step * (_BOTTOM - _TOP) / 4
        lines.append(f'<path d="M{_LEFT} {y:.1f}H{_RIGHT}" stroke="#ddd" stroke-width="0.6"/>')
        lines.append(_text(_LEFT - 5, y + 3, str(step * 25), "end"))
    return lines


def _bars(years: Sequence[str], values: Sequence[float], accent: str) -> Markup:
    parts, room = _axes(), (_RIGHT - _LEFT) / len(years)
    for index, (year, value) in enumerate(zip(years, values, strict=True)):
        height = value * (_BOTTOM - _TOP)
        x = _LEFT + room * index
        parts.append(
            f'<rect x="{x + room * 0.2:.1f}" y="{_BOTTOM - height:.1f}" width="{room * 0.6:.1f}"'
            f' height="{height:.1f}" fill="{accent}"/>'
        )
        parts.append(_text(x + room / 2, _BOTTOM + 14, year))
    return _svg(parts)


def _line(years: Sequence[str], values: Sequence[float], accent: str) -> Markup:
    parts, room = _axes(), (_RIGHT - _LEFT) / len(years)
    points = []
    for index, (year, value) in enumerate(zip(years, values, strict=True)):
        x, y = _LEFT + room * (index + 0.5), _BOTTOM - value * (_BOTTOM - _TOP)
        points.append(f"{x:.1f},{y:.1f}")
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" fill="{accent}"/>')
        parts.append(_text(x, _BOTTOM + 14, year))
    line = f'<polyline points="{" ".join(points)}" fill="none" stroke="{accent}" stroke-width="2"/>'
    return _svg([*parts, line])


def _pie(years: Sequence[str], values: Sequence[float], accent: str) -> Markup:
    total, angle, radius, parts = sum(values), 0.0, 74, []
    x, y = _WIDTH / 2, _HEIGHT / 2
    for index, (year, value) in enumerate(zip(years, values, strict=True)):
        end = angle + _FULL_TURN * value / total
        start = x + radius * math.cos(angle), y + radius * math.sin(angle)
        stop = x + radius * math.cos(end), y + radius * math.sin(end)
        parts.append(
            f'<path d="M{x} {y}L{start[0]:.1f} {start[1]:.1f}A{radius} {radius} 0 '
            f'{int(end - angle > math.pi)} 1 {stop[0]:.1f} {stop[1]:.1f}Z" fill="{accent}" '
            f'fill-opacity="{0.25 + 0.7 * index / len(values):.2f}" stroke="#fff"/>'
        )
        middle = (angle + end) / 2
        side = "start" if math.cos(middle) > 0 else "end"
        place = x + 82 * math.cos(middle), y + 84 * math.sin(middle) + 3
        parts.append(_text(*place, year, side))
        angle = end
    return _svg(parts)


def _flow(names: Sequence[str], accent: str) -> Markup:
    room, parts = _HEIGHT / len(names), []
    for index, name in enumerate(names):
        y = room * index + 4
        parts.append(
            f'<rect x="100" y="{y:.1f}" width="120" height="{room - 18:.1f}" rx="5" fill="none" '
            f'stroke="{accent}" stroke-width="1.6"/>'
        )
        parts.append(_text(160, y + (room - 18) / 2 + 4, name))
        if index + 1 < len(names):
            foot = y + room - 18
            parts.append(f'<path d="M160 {foot:.1f}v10m-4 -5l4 5l4 -5" fill="none" stroke="#333"/>')
    return _svg(parts)


def _landscape(rng: random.Random) -> Markup:
    sun, shade = rng.randint(60, 260), rng.randint(25, 60)
    hills = []
    for index in range(3):
        base = 90 + index * 30
        points = " ".join(
            f"{x},{base + 16 * math.sin(x / rng.uniform(28, 60) + index):.1f}"
            for x in range(0, _WIDTH + 1, 20)
        )
        grey = 190 - index * shade
        hills.append(
            f'<polygon points="0,{_HEIGHT} {points} {_WIDTH},{_HEIGHT}" '
            f'fill="rgb({grey - 20},{grey},{grey - 40})"/>'
        )
    sky = f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#e7eef5"/>'
    return _svg([sky, f'<circle cx="{sun}" cy="70" r="18" fill="#f2c14e"/>', *hills])
