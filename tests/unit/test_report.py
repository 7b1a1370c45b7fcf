"""The report says everything, needs nothing, and believes no text."""

import base64
import io
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from trainer.report import (
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
    shrink,
    write_report,
)
from trainer.report.charts import Legend, grpo_panels, panel, spans
from trainer.report.write import render, show_duration, show_gain, show_points, show_value, visible

HOSTILE = "</style><script>alert(1)</script><img src=x onerror=alert(2)>\"' {{ 7 * 7 }} &"
LOG: list[dict[str, Any]] = [
    {"step": 1, "loss": 2.0, "learning_rate": 1e-3},
    {"step": 2, "loss": float("nan")},
    {"step": 3, "loss": 0.5},
    {"step": 3, "train_runtime": 9.0},
]


class Reader(HTMLParser):
    """Tags with their attributes, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "img", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def interval(mean: float) -> Interval:
    return Interval(mean, mean - 0.1, mean + 0.05)


def jpeg(width: int = 1400, height: int = 300) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(buffer, "JPEG")
    return buffer.getvalue()


def change(number: int, text: str = "right") -> PageChange:
    fields = (
        FieldChange("total", None, text, text, 0.0, 1.0),
        FieldChange("items", [], [{"description": text}], [{"description": text}], 0.0, 1.0),
        FieldChange("merchant_name", text, text, text, 1.0, 1.0),
    )
    return PageChange(f"document-{number}", "receipt", 0.3, 1.0, fields, shrink(jpeg()))


def summary(text: str = "plain") -> RunSummary:
    runs = tuple(
        GrpoRun(f"{level} {text}", seed, level, reward_curves(grpo_log(seed)))
        for seed, level in ((18, "token"), (19, "sequence"))
    )
    return RunSummary(
        run_id=f"run {text}",
        profile=text,
        outcome=Outcome.NOT_PROMOTED,
        champion=f"champion {text}",
        candidate=f"candidate {text}",
        started_at="2026-11-22T12:00:00+00:00",
        reasons=(f"because {text}",),
        stages=(StageTime(f"sft {text}", 301.0), StageTime("gate", 0.4)),
        material=Material(
            (Count(text, "train", 90), Count(text, "replay", 11), Count("passport", "train", 7)),
            {f"dropped {text}": 2},
            {f"held {text}": 3},
            (ExampleIds("train", f"c {text}", "p", "d", "ab" * 32),),
        ),
        sft=(curve_of(LOG, "loss"),),
        grpo=runs,
        scores=(
            ScoreRow("overall", "all documents", 16, interval(0.42), interval(0.9), interval(0.48)),
            ScoreRow("field", text, 1, interval(0.5), Interval(0.4, None, None), interval(-0.1)),
        ),
        contenders=(
            Contender("sft", "sft", interval(0.8)),
            Contender(f"soup {text}", "soup", interval(0.9), chosen=True, parts=("token", text)),
        ),
        fixed=tuple(change(number, text) for number in range(10)),
        broken=(
            replace(change(10, text), image_jpeg_base64=None),
            replace(change(11, text), image_jpeg_base64=None, text=f"read {text}"),
        ),
        confidence=0.9,
        notes=(text,),
    )


def grpo_log(seed: int) -> list[dict[str, Any]]:
    return [
        {
            "step": step,
            "rewards/fields/mean": 0.5 + step / 10 + seed / 1000,
            "rewards/fields/std": 0.1,
            "rewards/mrz/mean": float("nan"),
            "reward": 1.0,
            "loss": 0.1,
        }
        for step in (1, 2, 3)
    ]


def test_a_summary_survives_its_json() -> None:
    assert RunSummary.from_json(summary(HOSTILE).to_json()) == summary(HOSTILE)


def test_the_report_can_be_written_again_from_the_stored_run(tmp_path: Path) -> None:
    report = write_report(tmp_path / "run", summary())
    first = report.read_bytes()
    stored = RunSummary.from_json((tmp_path / "run" / "summary.json").read_bytes())
    assert write_report(tmp_path / "run", stored).read_bytes() == first
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "report.html",
        "summary.json",
    ]


def test_the_report_says_everything() -> None:
    text = " ".join(Reader(render(summary())).text.split())
    for words in (
        "Not promoted",
        "because plain",
        "42.0 → 90.0",
        "+48.0",
        "90 % interval +38.0 to +53.0",
        "champion plain",
        "candidate plain",
        "5 min 01 s",
        "dropped plain",
        "held plain",
        "token + plain",
        "✓ chosen",
        "all documents 16",
        "right is",
        "absent",
        "2 more are in summary.json",
        "No image is stored.",
        "read plain",
        "Where each of the 1 examples came from",
    ):
        assert words in text, words


@pytest.mark.parametrize(
    ("outcome", "words"),
    [(Outcome.PROMOTED, "Promoted"), (Outcome.FAILED, "Failed")],
)
def test_each_outcome_has_its_word(outcome: Outcome, words: str) -> None:
    assert f">{words}</div>" in render(replace(summary(), outcome=outcome))


def test_a_run_that_came_to_nothing_has_a_report() -> None:
    bare = RunSummary("r", "small", Outcome.FAILED, None, None, "now", reasons=("killed",))
    text = Reader(render(bare)).text
    assert "killed" in text
    assert "No page got better." in text


def test_hostile_texts_stay_texts() -> None:
    html = render(summary(HOSTILE))
    reader = Reader(html)
    assert reader.open == []
    assert not [tag for tag, _ in reader.tags if tag in {"script", "iframe", "link", "object"}]
    names = {name for _, attributes in reader.tags for name in attributes}
    assert not [name for name in names if name.startswith("on")]
    assert html.count("<style>") == html.count("</style>") == 1
    assert "{{ 7 * 7 }}" in reader.text
    # As many tags as the same run with harmless texts.
    assert len(reader.tags) == len(Reader(render(summary())).tags)


def test_nothing_is_fetched() -> None:
    html = render(summary())
    for tag, attributes in Reader(html).tags:
        for name in ("src", "href", "xlink:href", "action", "data"):
            value = attributes.get(name)
            assert value is None or value.startswith("data:image/jpeg;base64,"), (tag, value)
    assert "http" not in html.replace("http-equiv", "")
    assert "url(" not in html
    assert "@import" not in html
    assert "default-src 'none'" in html


def test_at_most_eight_pages_are_shown_and_they_are_small() -> None:
    html = render(summary())
    pictures = re.findall(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)", html)
    assert len(pictures) == 8
    with Image.open(io.BytesIO(base64.b64decode(pictures[0]))) as image:
        assert image.size == (700, 150)
        assert not image.getexif()


def test_a_small_image_is_not_blown_up() -> None:
    with Image.open(io.BytesIO(base64.b64decode(shrink(jpeg(90, 60))))) as image:
        assert image.size == (90, 60)


def test_unseen_characters_show_as_code_points() -> None:
    assert visible("a\u202eb\u200bc\x00\n") == "a[U+202E]b[U+200B]c[U+0000][U+000A]"
    assert show_value("a\nb\x00") == "a\nb[U+0000]"
    assert show_value("a\n" * 300) == "a\n" * 200 + " …"
    assert visible("x" * 1000).endswith("x …")
    assert len(visible("x" * 1000)) == 402


def test_figures_read_well() -> None:
    assert [show_gain(gain) for gain in (0.123, -0.05, 0.0, -0.0001)] == [
        "+12.3",
        "\u22125.0",
        "0.0",
        "0.0",
    ]
    assert (show_points(0.5), show_points(None), show_gain(None)) == ("50.0", "?", "?")
    assert [show_duration(s) for s in (0.42, 48, 185, 3725)] == [
        "0.4 s",
        "48 s",
        "3 min 05 s",
        "1 h 02 min",
    ]


def test_infinite_bounds_are_unknown() -> None:
    assert Interval.of(0.5, -math.inf, math.inf) == Interval(0.5, None, None)


def test_curves_come_from_the_log() -> None:
    assert curve_of(LOG, "loss") == Curve("loss", (1, 2, 3), (2.0, None, 0.5))
    assert curve_of(LOG, "absent") == Curve("absent", (), ())
    assert [curve.name for curve in reward_curves(grpo_log(1))] == [
        "fields",
        "mrz",
        "reward",
        "loss",
    ]


def test_a_panel_has_a_line_a_run_and_gaps_where_nothing_was_measured() -> None:
    panels = grpo_panels(summary().grpo)
    assert [entry.title for entry in panels] == ["fields", "reward", "loss"]  # mrz was never scored
    assert [trace.dashed for trace in panels[0].traces] == [False, True]
    mark = Legend("loss", 1, dashed=False)
    drawn = panel("loss", [(Curve("loss", (1, 2, 3, 4, 5), (1.0, None, 2.0, 3.0, None)), mark)])
    assert drawn is not None
    assert len(drawn.traces[0].pieces) == 1
    assert len(drawn.traces[0].dots) == 1


@pytest.mark.parametrize(
    "values", [(0.0,), (5.0, 5.0), (1e-6, 2e-6), (-3.0, 4.0), (0.0, 1e9), (0.1, 0.30000001)]
)
def test_every_point_lies_in_the_box(values: tuple[float, ...]) -> None:
    steps = tuple(range(len(values)))
    drawn = panel("x", [(Curve("x", steps, values), Legend("x", 1, dashed=False))])
    assert drawn is not None
    assert 2 <= len(drawn.rows) <= 7
    pairs = [pair.split(",") for piece in drawn.traces[0].pieces for pair in piece.split()]
    points = [(float(x), float(y)) for x, y in pairs] + list(drawn.traces[0].dots)
    assert len(points) == len(values)
    assert all(0 <= x <= 320 and 0 <= y <= 168 for x, y in points)


def test_a_long_run_keeps_its_ends() -> None:
    steps = tuple(range(10_000))
    curve = Curve("loss", steps, tuple(float(step) for step in steps))
    drawn = panel("loss", [(curve, Legend("loss", 1, dashed=False))])
    assert drawn is not None
    assert len(drawn.traces[0].pieces[0].split()) <= 402
    assert drawn.columns[-1].text == "9999"


def test_spans_stay_on_the_track() -> None:
    found = spans({"a": Interval(0.5, -1.0, 2.0), "b": Interval(0.2, None, None)}, 0.0, 1.0)
    assert (found["a"].low, found["a"].mean, found["a"].high) == (0.0, 50.0, 100.0)
    assert found["b"].low == found["b"].mean == found["b"].high == 20.0
