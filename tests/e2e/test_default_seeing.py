"""The default model's seeing shape, assembled and served: a page with lines, and a page alone.

Its decoder is tiny and all its weights are random, so what it answers is wrong; that it answers
with a record, and writes the tokens that transformers write, is what has to be shown.
"""

import asyncio
import io
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from PIL import Image, ImageDraw

from api.engine.local import LocalEngine
from api.engine.options import LocalOptions
from extraction.classify import TypeClassifier
from extraction.confidence import Calibration
from extraction.document_types.receipt import RECEIPT
from extraction.engine import Sampling
from extraction.extract import Extraction, Extractor, ExtractRequest, Readers
from extraction.model_folder import ModelFolder, open_model_folder
from extraction.pages import Page
from extraction.prompt import Asked, build_prompt
from extraction.tower_reader import SIDE
from tests.factories_engine import serving
from tests.factories_lines import page_of
from tests.factories_seeing import answered_by_transformers, whole, write_shipped
from trainer.default_model.assemble import assemble

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIELDS = ("transaction_date", "total")
LINES = page_of("CORNER STORE", ("TOTAL", "9.00"))
COUNT = 8


def page() -> Image.Image:
    image = Image.new("RGB", (463, 1013), "white")
    draw = ImageDraw.Draw(image)
    for row in range(20):
        draw.text((30, 40 + row * 45), f"ROW {row}: 12.50", fill="black", font_size=24)
    return image


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    root = tmp_path_factory.mktemp("seeing")
    assemble(write_shipped(root), root / "served")
    return open_model_folder(root / "served")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(
    model: ModelFolder, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[LocalEngine]:
    options = LocalOptions(
        model_folder=model.folder,
        served_name=model.version,
        log_file=tmp_path_factory.mktemp("logs") / "engine.log",
        threads=1,
        dtype="float32",
        kv_cache_bytes=64 * 1024 * 1024,
    )
    async with serving(options, 300) as engine:
        yield engine


async def read(engine: LocalEngine, model: ModelFolder, *, use_lines: bool) -> Extraction:
    readers = Readers(
        lines=None,
        traits=model.traits,
        classifier=TypeClassifier.load(),
        calibration=Calibration(),
    )
    file = io.BytesIO()
    page().save(file, "PNG")
    request = ExtractRequest(
        content=file.getvalue(), document_type=RECEIPT, fields=FIELDS, use_lines=use_lines
    )
    lines = LINES if use_lines else []
    return await Extractor(engine, readers).extract(request, lines=lines)


@pytest.mark.parametrize("use_lines", [True, False])
async def test_a_page_becomes_a_record(
    engine: LocalEngine, model: ModelFolder, *, use_lines: bool
) -> None:
    found = await read(engine, model, use_lines=use_lines)
    assert found.model_version == model.version
    assert set(found.record) == set(FIELDS)
    # A token for each cell of a page alone, and no page beside its lines.
    seen = 0 if use_lines else SIDE * SIDE
    assert seen < found.prompt_tokens < seen + 256
    assert found.finish_reason == "stop"


@pytest.mark.parametrize("alone", [False, True])
async def test_the_engine_writes_what_transformers_write(
    engine: LocalEngine, model: ModelFolder, *, alone: bool
) -> None:
    asked = Asked(RECEIPT.select(FIELDS), layout=model.traits.layout)
    shown = model.traits.pages.show([Page(0, page())], 1, alone=alone)
    prompt = build_prompt(asked, () if alone else LINES, shown=shown)
    answer = await engine.generate(prompt, Sampling(COUNT))
    count, text = await asyncio.to_thread(answered_by_transformers, model.folder, prompt, COUNT)
    assert (answer.prompt_tokens, whole(answer.text)) == (count, text)
