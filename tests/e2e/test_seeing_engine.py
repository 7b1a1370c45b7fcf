"""A model that sees, in a real vLLM: held against transformers, before and after a reload.

In float32 and greedy both must write the same tokens. So tiles that are cut otherwise than by
the model's own processor show, and so do weights of which a part stays behind in a reload.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from PIL import Image, ImageDraw
from tiny_versions import write_merged

from api.engine.local import LocalEngine
from api.engine.options import LocalOptions
from api.engine.smoke import smoke_test
from extraction.document_types.receipt import RECEIPT
from extraction.engine import Completion, Prompt, Sampling
from extraction.model_folder import ModelFolder
from extraction.page_view import PageView, ShownPages
from extraction.pages import Page
from extraction.prompt import Asked, build_prompt
from tests.factories_engine import serving
from tests.factories_lines import page_of
from tests.factories_seeing import answered_by_transformers, whole

pytestmark = pytest.mark.asyncio(loop_scope="module")

VIEW = PageView(tile_pixels=128, most_tiles=3, most_tiles_alone=9)
ASKED = Asked(RECEIPT.select(("merchant_name", "total")))
LINES = page_of("CORNER STORE", ("TOTAL", "9.00"))
COUNT = 12


def page(index: int, width: int, height: int) -> Page:
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    for row in range(5):
        draw.text((8, 10 + row * height // 6), f"ROW {row} OF {index}: 12.50", fill="black")
    return Page(index, image)


def prompts() -> list[Prompt]:
    """Lines and page, page alone, several pages alone, lines alone."""
    roll, card, second = page(0, 120, 300), page(1, 256, 170), page(2, 90, 110)
    views = [
        (LINES, VIEW.show([roll], 1, alone=False)),
        (LINES, VIEW.show([card], 1, alone=False)),
        ((), VIEW.show([roll], 1, alone=True)),
        ((), VIEW.show([card], 1, alone=True)),
        ((), VIEW.show([roll, second], 2, alone=True)),
        (LINES, ShownPages()),
    ]
    return [build_prompt(ASKED, lines, shown=shown) for lines, shown in views]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelFolder, ModelFolder]:
    root = tmp_path_factory.mktemp("versions")
    first, second = (
        write_merged(root / name, name, seed=seed, vision=True)
        for name, seed in (("a-1", 1), ("b-2", 2))
    )
    return first, second


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(
    models: tuple[ModelFolder, ModelFolder], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[LocalEngine]:
    options = LocalOptions(
        model_folder=models[0].folder,
        served_name=models[0].version,
        log_file=tmp_path_factory.mktemp("logs") / "engine.log",
        threads=1,
        dtype="float32",
        images_per_prompt=2,
        kv_cache_bytes=64 * 1024 * 1024,
    )
    async with serving(options, 240) as engine:
        yield engine


async def check(engine: LocalEngine, model: ModelFolder) -> list[Completion]:
    found = []
    for prompt in prompts():
        answer = await engine.generate(prompt, Sampling(COUNT))
        given = (answer.prompt_tokens, whole(answer.text))
        # tests/unit/test_page_view.py says the same of training's tiles.
        assert given == answered_by_transformers(model.folder, prompt, COUNT)
        found.append(answer)
    return found


async def test_pages_are_cut_and_read_as_in_training(
    engine: LocalEngine, models: tuple[ModelFolder, ModelFolder]
) -> None:
    found = await check(engine, models[0])
    beside, _, alone, _, two, blind = (answer.prompt_tokens for answer in found)
    assert beside - blind > 3 * 64, "three tiles"
    assert alone > 64 * 7, "seven tiles"
    assert two > 64 * 6
    assert len({answer.text for answer in found}) == len(found), "the page decides"


async def test_after_a_reload_every_part_is_the_new_versions(
    engine: LocalEngine, models: tuple[ModelFolder, ModelFolder]
) -> None:
    for model in (models[1], models[0]):
        await engine.reload(model, smoke_test)
        await check(engine, model)
