"""Documents page by page with a fake engine: turned pages, loops, and pages that nobody writes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from PIL import Image

from extraction.document_types.catalogue import BUILT_IN
from extraction.document_types.response_schema import schema_of
from extraction.engine import Completion, Prompt, Sampling
from extraction.errors import ModelCannotSee, PromptTooLong, UnparseableRecord
from extraction.evidence import Source
from extraction.extract import Extraction, ExtractRequest
from extraction.lines import Line
from extraction.markdown.front_matter import write_page
from extraction.markdown.rotation import turned, turned_back
from extraction.pages import Page
from tests.factories_extract import BLIND, BOOKLET, SEEING, TILL, Reader, extractor, run
from tests.factories_lines import page_of
from tests.fakes import FakeEngine

DOCUMENT = BUILT_IN["document"]
WRITES = replace(BLIND, types=frozenset({"document"}))
PAGE: dict[str, Any] = {
    "primary_language": "en",
    "is_rotation_valid": True,
    "rotation_correction": 0,
    "is_table": False,
    "is_diagram": False,
    "natural_text": "CORNER STORE\n\nMilk 2 4.50 9.00\n\nTOTAL RM9.00",
}


class Script(FakeEngine):
    """Answers one thing after the other, the last for ever; an error is raised."""

    def __init__(self, *answers: str | Exception, finish_reason: str = "stop") -> None:
        super().__init__()
        self.answers = list(answers)
        self.finish_reason = finish_reason

    async def generate(self, prompt: Prompt, sampling: Sampling) -> Completion:
        given = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(given, Exception):
            raise given
        self.answer = given
        done = await super().generate(prompt, sampling)
        return replace(done, finish_reason=self.finish_reason)


async def read(
    engine: FakeEngine | str, *pages: Sequence[Line], page_count: int = 1, **more: Any
) -> Extraction:
    found = await run(engine, *pages, kind=DOCUMENT, page_count=page_count, **more)
    jsonschema.validate(found.record, schema_of(DOCUMENT))
    return found


async def test_a_model_that_writes_pages_is_asked_for_each() -> None:
    def answer(prompt: Prompt) -> str:
        text = "first" if "CORNER" in prompt.messages[1].text else "second"
        return write_page({**PAGE, "natural_text": text})

    engine = FakeEngine(answer)
    found = await read(engine, TILL, BOOKLET, page_count=2, traits=WRITES)
    assert [page["natural_text"] for page in found.record["pages"]] == ["first", "second"]
    assert len(engine.prompts) == 2
    assert engine.prompts[0].hash == found.prompt_hash
    assert engine.prompts[0].messages[1].text.endswith("document: markdown")
    assert found.warnings == ()
    assert found.schema_valid
    assert (found.finish_reason, found.prompt_tokens) == ("stop", 14)
    field = found.fields["pages.1.natural_text"]
    assert (field.value, field.raw, field.source) == ("second", None, Source.MODEL)
    assert field.evidence is not None
    assert field.evidence.page == 1
    assert {check.name: check.verdict.value for check in found.checks}["text_found"] == "pass"


async def test_a_model_that_was_not_trained_on_pages_is_not_asked() -> None:
    engine = FakeEngine()
    found = await read(engine, TILL)
    assert engine.prompts == []
    (page,) = found.record["pages"]
    assert "CORNER STORE" in page["natural_text"]
    assert page["is_diagram"] is None
    assert found.warnings == ("text-from-lines",)
    assert found.finish_reason == "not-asked"
    assert found.model_version == "v-1"
    field = found.fields["pages.0.natural_text"]
    assert (field.source, field.confidence) == (Source.LINES, 0.9)


async def test_a_loop_is_asked_for_again_at_another_temperature() -> None:
    loop = write_page({**PAGE, "natural_text": "again and " * 50})
    engine = Script(loop, write_page(PAGE))
    found = await read(engine, TILL, traits=WRITES)
    assert found.record["pages"] == [PAGE]
    assert found.warnings == ("repetition",)
    first, second = engine.samplings
    assert first.temperature == 0.0
    assert second.temperature > 0
    assert second.seed != first.seed
    assert found.completion_tokens > len(loop), "what was thrown away was computed too"


async def test_a_page_that_loops_for_good_comes_from_its_lines() -> None:
    engine = Script(write_page({**PAGE, "natural_text": "again and " * 50}))
    found = await read(engine, TILL, traits=WRITES)
    assert len(engine.prompts) == 3
    assert found.warnings == ("repetition", "text-from-lines")
    assert "again" not in found.record["pages"][0]["natural_text"]
    with pytest.raises(UnparseableRecord, match="repeats itself"):
        await read(Script(*engine.answers), [], traits=SEEING)


async def test_what_does_not_fit_the_model_comes_from_the_lines() -> None:
    found = await read(Script(PromptTooLong("9 tokens")), TILL, traits=WRITES)
    assert found.warnings == ("text-from-lines",)
    with pytest.raises(PromptTooLong):
        await read(Script(PromptTooLong("9 tokens")), [], traits=SEEING)


async def test_a_page_whose_lines_are_too_many_is_not_made_up() -> None:
    engine = FakeEngine(write_page(PAGE))
    found = await read(engine, TILL, traits=WRITES, max_characters=30)
    assert engine.prompts == []
    assert found.warnings == ("text-from-lines",)


async def test_a_cut_page_says_so() -> None:
    found = await read(Script(write_page(PAGE), finish_reason="length"), TILL, traits=WRITES)
    assert found.warnings == ("answer-cut",)
    assert not found.schema_valid
    assert found.finish_reason == "length"


def by_shape(wide: dict[str, Any], high: dict[str, Any]) -> FakeEngine:
    """Sees which way a page lies."""
    import io

    def answer(prompt: Prompt) -> str:
        (image,) = prompt.messages[1].images
        width, height = Image.open(io.BytesIO(image)).size
        return write_page(wide if width > height else high)

    return FakeEngine(answer)


async def test_a_page_that_says_it_is_turned_is_turned_and_read_again() -> None:
    sideways = {**PAGE, "is_rotation_valid": False, "rotation_correction": 90, "natural_text": "x"}
    engine = by_shape(wide=PAGE, high=sideways)
    reader = Reader(TILL)
    found = await read(engine, reader=reader, traits=SEEING)
    (page,) = found.record["pages"]
    assert page["natural_text"] == PAGE["natural_text"]
    assert (page["is_rotation_valid"], page["rotation_correction"]) == (False, 90)
    assert found.warnings == ()
    assert len(engine.prompts) == 2
    assert len(reader.threads) == 2, "the turned page's lines are read too"
    assert found.lines[0].quarter_turns == 3, "on the page as it was sent"


async def test_a_page_that_is_never_right_ends() -> None:
    answer = {**PAGE, "is_rotation_valid": False, "rotation_correction": 90}
    engine = FakeEngine(write_page(answer))
    found = await read(engine, TILL, traits=SEEING)
    assert len(engine.prompts) == 4
    assert found.warnings == ("rotation-unsettled",)


async def test_the_lines_tell_first_how_a_page_lies() -> None:
    lines = [replace(line, box=line.box.turned(1), quarter_turns=3) for line in TILL]
    engine = by_shape(wide=PAGE, high={**PAGE, "natural_text": "not turned"})
    found = await read(engine, lines, traits=SEEING)
    (page,) = found.record["pages"]
    assert page["natural_text"] == PAGE["natural_text"]
    assert page["rotation_correction"] == 90
    assert len(engine.prompts) == 1


def test_lines_of_a_turned_page_stand_on_the_page_as_it_was_sent() -> None:
    page = Page(0, Image.new("RGB", (20, 30)))
    assert turned(page, 90).image.size == (30, 20)
    mark = Image.new("RGB", (20, 30))
    mark.putpixel((0, 0), (255, 0, 0))
    assert turned(Page(0, mark), 90).image.getpixel((29, 0)) == (255, 0, 0), "clockwise"
    (line,) = page_of("A line at the top")
    for degrees in (90, 180, 270):
        (back,) = turned_back([line], degrees)
        upright = back.box.turned(back.quarter_turns)
        assert upright.left == pytest.approx(line.box.left)
        assert upright.bottom == pytest.approx(line.box.bottom)


async def test_lines_alone_are_enough_and_nothing_is_not() -> None:
    """As an evaluation asks: the lines are stored, the pages are not drawn again."""
    request = ExtractRequest(b"", DOCUMENT)
    engine = FakeEngine(write_page(PAGE))
    await engine.start()
    found = await extractor(engine, traits=WRITES).extract(request, (), lines=TILL)
    assert found.record["pages"] == [PAGE]
    with pytest.raises(ModelCannotSee):
        await extractor(engine, traits=WRITES).extract(request, ())


async def test_a_blank_page_is_blank() -> None:
    found = await read(FakeEngine(), [], traits=BLIND, reader=Reader([]))
    assert found.record["pages"] == [] or set(found.record["pages"][0].values()) == {None}
    assert "no-text" in found.warnings
