"""A page's image goes through real vLLM servers of two vision architectures, random weights."""

import io
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from jsonschema import Draft202012Validator
from PIL import Image, ImageDraw

from api.engine.local import LocalEngine
from api.engine.options import LocalOptions
from extraction.engine import Message, Prompt, Sampling
from extraction.errors import PromptTooLong
from tests.factories_engine import serving
from trainer.tiny_models import build_idefics3, build_lighton_ocr

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCHEMA = {
    "type": "object",
    "properties": {"total": {"type": "string", "maxLength": 8}, "date": {"type": ["null"]}},
    "required": ["total", "date"],
    "additionalProperties": False,
}


def page(mode: str, width: int, height: int, image_format: str) -> bytes:
    image = Image.new(mode, (width, height), "white")
    ImageDraw.Draw(image).text((10, 10), "TOTAL 12.50", fill="black")
    file = io.BytesIO()
    image.save(file, image_format)
    return file.getvalue()


@pytest_asyncio.fixture(
    scope="module", loop_scope="module", params=[build_idefics3, build_lighton_ocr]
)
async def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[LocalEngine]:
    build: Callable[[Path], Path] = request.param
    options = LocalOptions(
        model_folder=build(tmp_path_factory.mktemp("model")),
        served_name=build.__name__,
        log_file=tmp_path_factory.mktemp("logs") / "engine.log",
        threads=1,
        kv_cache_bytes=64 * 1024 * 1024,
    )
    async with serving(options, 150) as engine:
        yield engine


@pytest.mark.parametrize(
    ("mode", "width", "height", "image_format"),
    [("RGB", 463, 1013, "PNG"), ("RGB", 900, 600, "JPEG"), ("RGB", 64, 64, "WEBP")],
)
async def test_page_and_text_become_a_record(
    engine: LocalEngine, mode: str, width: int, height: int, image_format: str
) -> None:
    message = Message("user", "Read it.", (page(mode, width, height, image_format),))
    seen = await engine.generate(Prompt((message,), "h"), Sampling(64, grammar=SCHEMA))
    Draft202012Validator(SCHEMA).validate(json.loads(seen.text))
    assert "".join(token.text for token in seen.tokens) == seen.text
    blind = Prompt((Message("user", "Read it."),), "h")
    unseen = await engine.generate(blind, Sampling(64, grammar=SCHEMA))
    assert seen.prompt_tokens > unseen.prompt_tokens


async def test_more_images_than_served_are_refused(engine: LocalEngine) -> None:
    image = page("RGB", 64, 64, "PNG")
    with pytest.raises(PromptTooLong, match="1 image"):
        await engine.generate(Prompt((Message("user", "Both.", (image, image)),), "h"), Sampling(8))
    assert await engine.ready()
