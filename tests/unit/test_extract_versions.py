"""The serving sentence when lines are given, and when there is more than one version."""

import json
from dataclasses import replace

import pytest
from PIL import Image

from extraction.confidence import Calibration
from extraction.errors import EngineUnavailable
from extraction.extract import ExtractRequest
from extraction.pages import Page
from extraction.prompt import PromptStyle
from tests.factories_extract import ANSWER, BLIND, RECEIPT, TILL, Reader, extractor
from tests.factories_lines import page_of
from tests.fakes import FakeEngine, Relabelled


def page() -> Page:
    return Page(0, Image.new("RGB", (20, 30)))


async def test_given_lines_are_used_and_no_page_is_read() -> None:
    reader = Reader(page_of("OTHER STORE"))
    engine = FakeEngine(json.dumps(ANSWER))
    await engine.start()
    asked = ExtractRequest(b"", RECEIPT)
    found = await extractor(engine, reader=reader).extract(asked, [], lines=TILL)
    assert reader.threads == []
    assert "CORNER STORE" in engine.prompts[0].messages[-1].text
    assert found.lines == tuple(TILL)
    assert found.fields["merchant_name"].evidence is not None
    # Where no OCR is there at all, lines that are given are enough for a model that cannot see.
    again = await extractor(engine).extract(asked, [], lines=TILL)
    assert again.record == found.record


async def test_a_prompt_is_made_for_the_version_that_is_asked() -> None:
    engine = Relabelled(FakeEngine(json.dumps(ANSWER), "v-1"), "v-9")
    await engine.start()
    reads = extractor(engine, TILL, traits=replace(BLIND, version="v-1"))
    described = replace(BLIND, version="v-9", style=PromptStyle.DESCRIBED)
    reads.add_version(described, Calibration())
    request = ExtractRequest(b"", RECEIPT)
    await reads.extract(request, [page()])
    await reads.extract(request, [page()], version="v-9")
    compact, full = (prompt.messages[-1].text for prompt in engine.prompts)
    assert "Copy every value" in full
    assert "Copy every value" not in compact
    assert engine.versions == [None, "v-9"]
    reads.use_version("v-9")
    await reads.extract(request, [page()])
    assert "Copy every value" in engine.prompts[-1].messages[-1].text
    assert engine.versions[-1] is None


async def test_a_record_is_made_as_the_answering_version_is() -> None:
    """A swap came between the prompt and its answer."""
    answer = json.dumps({"merchant_name": "Corner Stores"})
    engine = Relabelled(FakeEngine(answer, "v-1"), "v-2")
    await engine.start()
    reads = extractor(engine, page_of("Corner Stores"), traits=replace(BLIND, version="v-1"))
    sure = Calibration({"*": {"bias": 30.0}}, fitted=True)
    reads.add_version(replace(BLIND, version="v-2", capitals=True), sure)
    found = await reads.extract(ExtractRequest(b"", RECEIPT, ("merchant_name",)), [page()])
    assert found.model_version == "v-2"
    assert found.fields["merchant_name"].raw == "CORNER STORES"
    assert found.fields["merchant_name"].confidence == 0.999
    # One that was dropped meanwhile is read by the facts that its prompt was made with.
    reads.drop_version("v-2")
    found = await reads.extract(ExtractRequest(b"", RECEIPT, ("merchant_name",)), [page()])
    assert found.model_version == "v-2"
    assert found.fields["merchant_name"].raw == "Corner Stores"


async def test_a_version_that_is_not_there_cannot_be_asked_used_or_dropped_under_us() -> None:
    engine = FakeEngine(json.dumps(ANSWER), "v-1")
    await engine.start()
    reads = extractor(engine, TILL)
    with pytest.raises(EngineUnavailable):
        await reads.extract(ExtractRequest(b"", RECEIPT), [page()], version="v-9")
    with pytest.raises(KeyError):
        reads.use_version("v-9")
    with pytest.raises(ValueError, match="in use"):
        reads.drop_version("v-1")
    reads.drop_version("v-9")
    assert engine.prompts == []
