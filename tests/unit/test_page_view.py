"""How large pages are shown, and what the model's own processor makes of that."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from transformers import AutoProcessor

from api.engine.client import build_request
from extraction.engine import Sampling
from extraction.extract import ExtractRequest
from extraction.page_view import PageView, tiles_of
from extraction.pages import Page
from extraction.prompt import Asked, build_prompt
from extraction.traits import ModelTraits
from tests.factories_extract import RECEIPT, SEEING, TILL, extractor
from tests.fakes import FakeEngine
from trainer.page_size import by_page_size
from trainer.tiny_models import build_idefics3

TILE = 128
VIEW = PageView(tile_pixels=TILE, most_tiles=3, most_tiles_alone=9)
sides = st.integers(16, 700)


def page(width: int, height: int, index: int = 0) -> Page:
    return Page(index, Image.new("RGB", (width, height), "white"))


def size_of(content: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(content)).size


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_idefics3(tmp_path_factory.mktemp("tiled"))


@pytest.mark.parametrize(
    ("size", "alone", "side", "shown"),
    [
        ((100, 120), False, 128, (100, 120)),
        ((256, 600), False, 256, (109, 256)),
        ((256, 600), True, 512, (218, 512)),
        ((400, 600), False, 128, (85, 128)),
        ((400, 600), True, 384, (256, 384)),
        ((90, 250), True, 256, (90, 250)),
        ((600, 90), False, 256, (256, 38)),
    ],
)
def test_the_side_follows_the_shape_and_the_tiles_that_are_allowed(
    size: tuple[int, int], alone: bool, side: int, shown: tuple[int, int]
) -> None:
    made = VIEW.show([page(*size)], 1, alone=alone)
    assert made.options == {"size": {"longest_edge": side}}
    assert size_of(made.images[0]) == shown


def test_several_pages_share_the_tiles() -> None:
    pages = [page(250, 600, index) for index in range(4)]
    beside = VIEW.show(pages, 4, alone=False)
    assert (len(beside.images), beside.options) == (3, {"size": {"longest_edge": TILE}})
    alone = VIEW.show(pages, 3, alone=True)
    assert (len(alone.images), alone.options) == (3, {"size": {"longest_edge": 2 * TILE}})
    assert VIEW.show([], 3, alone=True).images == ()


def test_a_view_without_tiles_bounds_the_side_alone() -> None:
    view = PageView(side_pixels=300, side_pixels_alone=500)
    big = page(400, 600)
    assert size_of(view.show([big], 1, alone=False).images[0]) == (200, 300)
    assert size_of(view.show([big], 1, alone=True).images[0]) == (333, 500)
    assert view.show([big], 1, alone=True).options == {}
    assert PageView().show([big], 1, alone=False).images == (big.jpeg,)


@given(sides, sides, st.integers(1, 16), st.booleans())
def test_no_page_takes_more_tiles_than_allowed(
    width: int, height: int, most: int, alone: bool
) -> None:
    view = PageView(tile_pixels=TILE, most_tiles=most, most_tiles_alone=most)
    side = view.side([(width, height)], alone=alone)
    assert side is not None
    assert side % TILE == 0
    assert tiles_of((width, height), side // TILE) <= most
    assert side < max(width, height) + TILE


@given(sides, sides, st.integers(1, 5))
def test_the_processor_makes_no_more_tiles_than_are_counted(
    width: int, height: int, count: int
) -> None:
    """It drops fractions of a pixel, so it may make a column less."""
    from transformers.models.idefics3.image_processing_pil_idefics3 import (
        Idefics3ImageProcessorPil,
    )

    processor = Idefics3ImageProcessorPil(max_image_size={"longest_edge": TILE})
    kwargs = {"size": {"longest_edge": count * TILE}}
    made, _, _ = processor.get_number_of_image_patches(height, width, kwargs)
    counted = tiles_of((width, height), count)
    assert counted - count <= max(made, 1) <= counted


@given(sides, sides, st.integers(1, 16), st.booleans())
def test_a_padded_page_keeps_its_shape_and_its_tiles(
    width: int, height: int, most: int, white: bool
) -> None:
    from transformers.models.idefics3.image_processing_pil_idefics3 import (
        Idefics3ImageProcessorPil,
    )

    view = PageView(tile_pixels=TILE, most_tiles=most, most_tiles_alone=most, padded=True)
    side = view.side([(width, height)], alone=True)
    assert side is not None
    image = Image.new("RGB", (width, height), "white" if white else "black")
    shown = view.fit(image, side)
    bare = replace(view, padded=False).fit(image, side)
    assert shown.crop((0, 0, *bare.size)).tobytes() == bare.tobytes()
    rest = (np.asarray(shown) == 255).all(axis=2).sum() - (np.asarray(bare) == 255).all(
        axis=2
    ).sum()
    assert rest == shown.width * shown.height - bare.width * bare.height
    count = side // TILE
    processor = Idefics3ImageProcessorPil(max_image_size={"longest_edge": TILE})
    kwargs = {"size": {"longest_edge": side}}
    _, rows, columns = processor.get_number_of_image_patches(*shown.size[::-1], kwargs)
    assert tiles_of((width, height), count) >= max(rows * columns + 1 if count > 1 else 1, 1)
    # How far the processor's rounding up to whole tiles stretches it.
    across, down = max(columns, 1) * TILE / shown.width, max(rows, 1) * TILE / shown.height
    assert abs(across / down - 1) <= 4 / min(shown.size)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(
    "size", [(100, 120), (117, 256), (180, 256), (200, 384), (300, 40), (129, 129)]
)
def test_training_cuts_a_page_as_serving_does(
    folder: Path, size: tuple[int, int], padded: bool
) -> None:
    view = PageView(tile_pixels=TILE, most_tiles=9, most_tiles_alone=9, padded=padded)
    made = view.show([page(*size)], 1, alone=True)
    image = Image.open(io.BytesIO(made.images[0]))
    serving = AutoProcessor.from_pretrained(folder)
    training = by_page_size(AutoProcessor.from_pretrained(folder))
    asked: dict[str, Any] = {"images": [[image]], "text": ["<image>read"], "return_tensors": "pt"}
    served = serving(**asked, images_kwargs=dict(made.options))
    trained = training(**asked)
    assert served["pixel_values"].equal(trained["pixel_values"])
    assert served["input_ids"].equal(trained["input_ids"])


def test_a_card_says_how_pages_are_shown(tmp_path: Path) -> None:
    card = tmp_path / "docloop.json"
    pages = '{"tile_pixels": 512, "most_tiles": 3, "most_tiles_alone": 9}'
    card.write_text(f'{{"version": "v-1", "layout": "marked", "pages": {pages}}}')
    traits = ModelTraits.load(tmp_path)
    assert traits is not None
    assert traits.pages == PageView(tile_pixels=512, most_tiles=3, most_tiles_alone=9)
    assert traits.layout == "marked"
    card.write_text('{"version": "v-1"}')
    assert ModelTraits.load(tmp_path) == ModelTraits("v-1")
    card.write_text('{"version": "v-1", "pages": {"tile_pixels": 96, "most_tiles": 0}}')
    beside_none = ModelTraits.load(tmp_path)
    assert beside_none is not None
    assert [beside_none.pages.shows_any(alone=alone) for alone in (False, True)] == [False, True]
    for wrong in (
        '{"tiles": 3}',
        '{"most_tiles": -1}',
        '{"most_tiles_alone": 0}',
        '{"side_pixels": 0}',
        '{"most_tiles": "3"}',
        '{"tile_pixels": true}',
        '{"padded": 1}',
    ):
        card.write_text(f'{{"version": "v-1", "pages": {wrong}}}')
        with pytest.raises(ValueError, match=r"pages: (tiles|most_t|tile_p|side_p|padded)"):
            ModelTraits.load(tmp_path)


@pytest.mark.parametrize(
    ("use_lines", "page_count", "most", "side", "images", "warned"),
    [
        (True, 1, 1, 256, 1, False),
        (False, 1, 1, 384, 1, False),
        (True, 3, 3, 128, 3, False),
        (False, 2, 1, 384, 1, True),
        (False, 12, 12, 128, 9, True),
    ],
)
async def test_a_model_alone_is_shown_more_of_a_page(
    use_lines: bool, page_count: int, most: int, side: int, images: int, warned: bool
) -> None:
    engine = FakeEngine('{"total":"RM9.00"}')
    await engine.start()
    traits = replace(SEEING, pages=VIEW)
    tills = [TILL] * page_count
    asked = ExtractRequest(b"", RECEIPT, ("total",), use_lines=use_lines)
    sentence = extractor(engine, *tills, traits=traits, max_images=most)
    found = await sentence.extract(asked, [page(180, 360, n) for n in range(page_count)])
    (prompt,) = engine.prompts
    assert prompt.image_options == {"size": {"longest_edge": side}}
    assert len(prompt.messages[1].images) == images
    assert ("pages-left-out" in found.warnings) == warned
    request = build_request(prompt, Sampling(8), model="m")
    assert request["mm_processor_kwargs"] == prompt.image_options


def test_a_prompt_without_images_says_nothing_of_their_size() -> None:
    prompt = build_prompt(Asked(RECEIPT), TILL)
    assert "mm_processor_kwargs" not in build_request(prompt, Sampling(8), model="m")
