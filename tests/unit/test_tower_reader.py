"""What the default model's own tower reads of a page, and what is made of its grids."""

import random
from pathlib import Path

import numpy as np
import openvino
import pytest
import torch
from PIL import Image, ImageDraw
from rapidfuzz import fuzz

from api.model_source import load_extractor
from api.settings import Settings
from extraction.page_view import PageView
from extraction.pages import Page
from extraction.tower_reader import (
    CELL_PIXELS,
    CHARACTERS,
    FILE,
    TOWER,
    WEIGHTS,
    WINDOW,
    TowerReader,
)
from extraction.traits import ModelTraits
from extraction.written import dense_part, written_part
from tests.factories_seeing import write_shipped
from tests.fakes import FakeEngine
from trainer.default_model.assemble import assemble
from trainer.default_model.vision.places import PlaceReader
from trainer.default_model.vision.plan import load_curriculum
from trainer.default_model.vision.seeing import connect, load_sight
from trainer.default_model.vision.tower import encode_window, normalised
from trainer.synth.fonts import choose_face, font

SHIPPED = Path(__file__).parents[2] / "build" / "model" / TOWER
TEXTS = ("CORNER STORE SDN BHD", "12, JALAN AMAN 3/4", "DATE 25/12/2018", "TOTAL RM 19.70")


@pytest.fixture(scope="module")
def reader() -> TowerReader:
    if not TowerReader.is_in(SHIPPED):
        pytest.fail("build/model is missing: run `make assemble`")
    return TowerReader(SHIPPED)


def drawn(texts: tuple[str, ...], spaced: int = 60) -> Page:
    """Print as a till's, on a white page."""
    image = Image.new("RGB", (700, 1000), "white")
    draw = ImageDraw.Draw(image)
    face = font(choose_face(random.Random(0), "mono")[0], 28)
    for row, text in enumerate(texts):
        draw.text((60, 80 + row * spaced), text, "black", font=face)
    return Page(0, image)


def test_print_is_read_where_it_stands(reader: TowerReader) -> None:
    lines = reader.read(drawn(TEXTS))
    assert len(lines) == len(TEXTS), lines
    for row, (line, text) in enumerate(zip(lines, TEXTS, strict=True)):
        assert fuzz.ratio(line.text, text) > 80, (line.text, text)
        middle = (line.box.top + line.box.bottom) / 2 * 1000
        assert abs(middle - (80 + row * 60 + 16)) < 25, (text, middle)
        assert line.box.left < 0.12
        assert 0.4 < line.score <= 1


def test_specks_around_it_do_not_hide_small_print(reader: TowerReader) -> None:
    page = Page(0, Image.new("RGB", (1600, 2200), "white"))
    page.image.paste(drawn(TEXTS * 3).image.crop((40, 60, 480, 820)), (500, 400))
    draw = ImageDraw.Draw(page.image)
    dice = random.Random(3)
    for _ in range(120):
        x, y = dice.randrange(1590), dice.randrange(2190)
        draw.rectangle((x, y, x + 3, y + 3), "black")
    whole, dense = written_part(page.image), dense_part(page.image)
    assert dense.area < whole.area / 3
    told = " ".join(line.text for line in reader.read(page))
    for text in TEXTS:
        assert fuzz.partial_ratio(text, told) > 80, told


def test_a_broken_reader_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = tmp_path / "model"
    (model / TOWER).mkdir(parents=True)
    (model / TOWER / FILE).write_text("<net")
    (model / TOWER / WEIGHTS).write_bytes(bytes(64))
    settings = Settings(model_dir=model, ocr_enabled=False)
    traits = ModelTraits("v-1", pages=PageView(tile_pixels=1536, stretched=True))
    extractor = load_extractor(settings, traits, FakeEngine())
    assert extractor.readers.tower is None
    assert "cannot be loaded" in caplog.text


def test_the_same_page_is_read_alike_again(reader: TowerReader) -> None:
    page = drawn(TEXTS)
    assert reader.read(page) == reader.read(page)


@pytest.mark.parametrize("size", [(700, 1000), (4, 900), (1, 1), (3000, 20)])
def test_nothing_is_read_of_a_page_without_print(
    reader: TowerReader, size: tuple[int, int]
) -> None:
    assert reader.read(Page(0, Image.new("RGB", size, "white"))) == []


@pytest.mark.timeout(300)
def test_what_assembling_writes_computes_what_was_trained(tmp_path: Path) -> None:
    shipped = write_shipped(tmp_path)
    assemble(shipped, tmp_path / "model")
    assert TowerReader.is_in(tmp_path / "model" / TOWER)
    written = tmp_path / "model" / TOWER / FILE
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    core = openvino.Core()
    model = core.read_model(written, written.with_name(WEIGHTS))
    compiled = core.compile_model(model, "CPU", options)
    random_numbers = np.random.default_rng(7)
    side = WINDOW * CELL_PIXELS
    pixels = random_numbers.integers(0, 256, (3, side, side), np.uint8)
    positions = random_numbers.integers(0, 2304, (3, WINDOW**2))
    answered = compiled((pixels, positions))[0]
    assert answered.shape == (3, WINDOW**2, len(CHARACTERS))
    seeing, processor = load_sight(shipped / TOWER)
    places = PlaceReader(seeing, processor.tokenizer, load_curriculum().places)
    with torch.no_grad():
        windows = normalised(torch.from_numpy(pixels))
        hidden = encode_window(places.tower, windows, torch.from_numpy(positions))
        said = places.likeness(connect(places.connector, hidden)).softmax(-1).numpy()
    # Weights are kept in half precision.
    assert np.abs(answered - said).max() < 0.01


def test_a_model_without_its_reader_is_assembled_anew(tmp_path: Path) -> None:
    shipped = write_shipped(tmp_path)
    name = assemble(shipped, tmp_path / "model")
    (tmp_path / "model" / TOWER / FILE).unlink()
    assert assemble(shipped, tmp_path / "model") == name
    assert TowerReader.is_in(tmp_path / "model" / TOWER)
