"""Answers without the OCR: from what the model's own tower reads, or from the page."""

from dataclasses import replace
from typing import cast

import pytest

from extraction.confidence import Calibration
from extraction.document_types.base import DocumentType
from extraction.page_view import PageView
from extraction.tower_reader import TowerReader
from tests.factories_extract import (
    RECEIPT,
    SEEING,
    TILL,
    Classifier,
    Reader,
    run,
)
from tests.factories_lines import page_of
from tests.fakes import FakeEngine

ITSELF = replace(SEEING, pages=PageView(tile_pixels=1536, most_tiles=0, stretched=True))


@pytest.mark.parametrize("kind", [RECEIPT, None])
async def test_a_model_that_reads_with_its_tower_answers_from_what_it_read(
    kind: DocumentType | None,
) -> None:
    engine = FakeEngine('{"total":"RM9.00"}')
    tower, ocr = cast("TowerReader", Reader(TILL, TILL)), Reader(page_of("NOTHING"), [])
    found = await run(
        engine,
        kind=kind,
        fields=("total",) if kind else (),
        use_lines=False,
        traits=ITSELF,
        classifier=Classifier("receipt"),
        reader=ocr,
        tower=tower,
        page_count=2,
    )
    told = engine.prompts[0].messages[1]
    assert told.text.count("CORNER STORE") == 2
    assert "NOTHING" not in told.text
    assert not told.images
    assert found.fields["total"].evidence is not None
    # What the OCR read is kept, nothing else: the next caller may want it.
    assert [line.text for line in found.lines] == ([] if kind else ["NOTHING"])


async def test_where_its_tower_reads_nothing_no_model_is_asked() -> None:
    engine = FakeEngine('{"total":"9.00"}')
    tower = cast("TowerReader", Reader([]))
    found = await run(engine, TILL, use_lines=False, traits=ITSELF, tower=tower)
    assert found.warnings == ("no-text",)
    assert not engine.prompts
    assert not any(found.record.values())


async def test_an_answer_without_the_ocr_has_a_confidence_of_its_own() -> None:
    weights = {"*": {"bias": 5.0}, "receipt/alone": {"bias": -3.0}}
    calibration = Calibration(weights, fitted=True)
    confidence = {}
    for use_lines in (True, False):
        found = await run(
            '{"total":"RM9.00"}',
            TILL,
            use_lines=use_lines,
            traits=ITSELF,
            tower=cast("TowerReader", Reader(TILL)),
            calibration=calibration,
        )
        confidence[use_lines] = found.fields["total"].confidence
    assert confidence == {True: 0.9933, False: 0.0474}


async def test_a_model_that_looks_at_pages_is_shown_them() -> None:
    engine = FakeEngine("{}")
    await run(engine, TILL, use_lines=False, traits=SEEING, tower=cast("TowerReader", Reader(TILL)))
    assert engine.prompts[0].messages[1].images
    assert "CORNER STORE" not in engine.prompts[0].messages[1].text
