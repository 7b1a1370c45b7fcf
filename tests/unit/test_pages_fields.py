"""What the review page shows of a record, and how values read there."""

from datetime import UTC, datetime, timedelta

import pytest

from api.pages.charts import correction_share, lineage_graph, mean_score
from api.pages.fields import build_form, text_of
from api.pages.words import ago, duration, headline, label, level, percent
from api.schemas import CheckAnswer, FieldAnswer, FieldEvidence
from db.queries.live import LiveCounts
from db.tables import ModelVersion
from extraction.checks import Verdict
from extraction.document_types.catalogue import BUILT_IN
from extraction.document_types.custom import type_from_schema
from extraction.evidence import Source


def answer(
    value: object, confidence: float | None = 0.5, source: Source = Source.MODEL
) -> FieldAnswer:
    evidence = FieldEvidence(page=0, box=(0.1, 0.2, 0.3, 0.4), text="x")
    return FieldAnswer(
        value=value, raw="x", confidence=confidence, evidence=evidence, source=source
    )


def test_a_receipt_has_rows_tables_and_what_was_not_found() -> None:
    record = {"total": "9.00", "items": [{"description": "Milk", "total_price": "9.00"}]}
    fields = {"total": answer("9.00", 0.97), "items.0.description": answer("Milk", 0.3)}
    failed = CheckAnswer(name="sum", verdict=Verdict.FAIL, detail="No sum.", fields=["total"])
    form = build_form(BUILT_IN["receipt"], record, fields, [failed])
    assert [(row.path, row.value, row.level, row.faults) for row in form.rows] == [
        ("total", "9.00", "high", ("No sum.",))
    ]
    assert form.rows[0].doubtful
    assert form.rows[0].box == (0.1, 0.2, 0.3, 0.4)
    assert "merchant_name" in {row.path for row in form.absent}
    items = form.tables[0]
    assert (items.path, items.shown) == ("items", ("description", "total_price"))
    assert [line["description"].level for line in items.lines] == ["low"]
    assert [table.path for table in form.tables] == ["items", "taxes", "payments"]


def test_what_is_printed_and_does_not_fit_is_not_called_absent() -> None:
    fields = {"transaction_time": answer(None), "tip": answer(None)}
    fault = CheckAnswer(
        name="format.transaction_time",
        verdict=Verdict.FAIL,
        detail="It does not fit.",
        fields=["transaction_time"],
    )
    form = build_form(BUILT_IN["receipt"], {}, fields, [fault])
    assert [(row.path, row.raw, row.doubtful) for row in form.rows] == [
        ("transaction_time", "x", True)
    ]
    assert "tip" in {row.path for row in form.absent}


def test_what_lies_in_objects_and_lists_keeps_its_path_and_its_lines() -> None:
    zone = {"mrz": {"lines": ["P<UTO", "L898"]}, "surname": "ERIKSSON"}
    form = build_form(BUILT_IN["passport"], zone, {"surname": answer("ERIKSSON", 0.9)}, [])
    lines = next(row for row in form.rows if row.path == "mrz.lines")
    assert (lines.kind, lines.value, lines.long) == ("lines", "P<UTO\nL898", True)
    schema = {
        "type": "object",
        "properties": {
            "paid": {"type": "boolean"},
            "notes": {"type": "array", "items": {"type": "string", "x-kind": "markdown"}},
        },
    }
    own = type_from_schema("own", schema, 1)
    form = build_form(own, {"paid": False, "notes": ["a\nb"]}, {}, [])
    assert {row.path: (row.kind, row.value) for row in form.rows} == {
        "paid": ("boolean", "false"),
        "notes": ("json", '["a\\nb"]'),
    }


def test_a_page_of_markdown_keeps_its_line_breaks() -> None:
    record = {"pages": [{"natural_text": "# One\n\ntwo"}]}
    cell = build_form(BUILT_IN["document"], record, {}, []).tables[0].lines[0]["natural_text"]
    assert (cell.value, cell.many_lines) == ("# One\n\ntwo", True)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (True, "true"), (3, "3"), (["a", None], "a\n"), ([{"a": 1}], '[{"a": 1}]')],
)
def test_values_as_text(value: object, text: str) -> None:
    assert text_of(value) == text


def test_words() -> None:
    assert label("merchant_tax_id") == "Merchant tax ID"
    assert [level(c) for c in (None, 0.95, 0.8, 0.2)] == ["none", "high", "medium", "low"]
    assert (percent(0.999), percent(1.0), percent(0.9996, 1)) == ("99 %", "100 %", "99.9 %")
    assert ago(datetime.now(UTC) - timedelta(minutes=5)) == "5 min ago"
    assert (duration(30), duration(90), duration(5400)) == ("30 s", "2 min", "1 h 30 min")
    assert headline("receipt", {"total": "9.00"}) == ("9.00", "")
    assert headline("receipt", {}) == ("Receipt without values", "")
    assert headline("own", {"a": "x" * 80, "b": ["y"], "c": 2})[1] == "2"


def test_figures_of_versions() -> None:
    scores = {"documents": [{"document": "a", "score": 1.0}, {"document": "a", "score": 0.0}]}
    assert mean_score(scores) == pytest.approx(0.5)
    assert mean_score({"documents": [{"document": "a", "score": None}]}) is None
    share = correction_share(LiveCounts(10, 9, 10, 1))
    # Wilson's interval of 1 in 10 (Newcombe 1998 gives 0.0179 to 0.4042).
    assert (share.low, share.high) == (
        pytest.approx(0.0179, abs=1e-4),
        pytest.approx(0.4042, abs=1e-4),
    )
    assert correction_share(LiveCounts(10, 9, 0, 0)).value is None
    models = [
        ModelVersion(id="c", parent_id="a"),
        ModelVersion(id="b", parent_id="a"),
        ModelVersion(id="a", parent_id=None),
    ]
    nodes, width, height = lineage_graph(models)
    assert [node.x for node in nodes] == [12, 30, 12]
    assert all(node.to_parent for node in nodes[:2])
    assert width > 30
    assert height == 132
    assert lineage_graph([]) == ((), 0, 0)
