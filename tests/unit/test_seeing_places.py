"""The first stage: which character stands in which cell; that it is learned."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch.nn import functional

from extraction.tower_reader import CHARACTERS, SIDE
from tests.factories_seeing import write_decoder
from trainer.default_model.__main__ import sight_of
from trainer.default_model.sight import WEIGHTS
from trainer.default_model.vision import read_characters
from trainer.default_model.vision.grid import UNKNOWN, grid_text
from trainer.default_model.vision.places import (
    PlaceReader,
    aligned,
    make_optimizer,
    measure,
    train_places,
)
from trainer.default_model.vision.plan import load_curriculum
from trainer.default_model.vision.read_characters import ReadPage, draw_pages, read_pages
from trainer.default_model.vision.seeing import load_parts, load_seeing, save_parts
from trainer.default_model.vision.tower import PATCH
from trainer.default_model.vision.windows import (
    WINDOW,
    AskedWindows,
    held_out_windows,
    together,
    window_of_page,
    windows_of_drawing,
    worn,
)
from trainer.synth.vision.plate import Glyphs

PLAN = load_curriculum().places


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_decoder(tmp_path_factory.mktemp("decoder"))


def read_page(unsure: list[list[float]]) -> ReadPage:
    """A page of 480 x 960 whose cells are 10 x 20 pixels, with a line of digits in row 20."""
    places = [((0.5 + column) / SIDE, 20.5 / SIDE) for column in range(10)]
    image = Image.new("L", (480, 960), "white")
    ImageDraw.Draw(image).rectangle([0, 400, 99, 419], fill="black")
    boxes = np.array(unsure).reshape(-1, 4)
    return ReadPage(image, (0.0, 0.0, 1.0, 1.0), "0123456789", np.array(places), boxes)


def test_a_window_of_a_page_has_its_pixels_and_its_characters() -> None:
    window = window_of_page(read_page([]), None, (16, 4))
    lines = grid_text(window.characters).split("\n")
    assert lines[4] == "456789"
    assert sum(map(len, lines)) == 6
    dark = np.argwhere(np.asarray(window.pixels) < 128) // PATCH
    assert dark.min(axis=0).tolist() == [4, 0]
    assert dark.max(axis=0).tolist() == [4, 5]
    places = window.tensors()["places"]
    assert int(places[0]) == 16 * SIDE + 4
    assert int(places[-1]) == 31 * SIDE + 19


def test_nothing_is_said_of_lines_that_were_not_read_well() -> None:
    window = window_of_page(
        read_page([[5 / SIDE, 20 / SIDE, 7 / SIDE, 20.5 / SIDE]]), None, (16, 0)
    )
    assert window.characters[4, :10].tolist() == [
        CHARACTERS.index(c) if c != "?" else UNKNOWN for c in "01234???89"
    ]
    assert (window.characters == UNKNOWN).sum() == 3


def test_edges_that_move_keep_characters_on_their_ink() -> None:
    page = read_page([])
    for seed in range(20):
        window = window_of_page(page, random.Random(seed), (16, 0))
        rows, columns = np.nonzero(window.characters)
        ink = np.asarray(window.pixels).reshape(WINDOW, PATCH, WINDOW, PATCH).min(axis=(1, 3)) < 128
        assert len(rows) >= 6
        assert ink[rows, columns].mean() > 0.8


def drawing(text: str) -> Glyphs:
    """Letters of 8 x 14 pixels, ten apart, black in their boxes."""
    image = Image.new("L", (512, 512), "white")
    draw = ImageDraw.Draw(image)
    boxes = [(40 + 10 * n, 100, 48 + 10 * n, 114) for n in range(len(text))]
    for box in boxes:
        draw.rectangle(box, fill="black")
    return Glyphs(image, text, text, np.array(boxes, dtype=np.float32))


def test_windows_of_a_drawing_keep_its_order_and_its_ink() -> None:
    text = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    for window in windows_of_drawing(random.Random(3), drawing(text), 12):
        read = "".join(grid_text(window.characters).split())
        assert read
        assert "".join(sorted(read)) == read, "in the order of the line"
        rows = np.flatnonzero(window.characters.any(axis=1))
        ink = np.asarray(window.pixels).reshape(WINDOW, PATCH, -1).min(axis=(1, 2)) < 128
        assert ink[rows].all()


def test_nothing_is_asked_of_an_empty_drawing() -> None:
    assert windows_of_drawing(random.Random(3), drawing(""), 4) == []


def test_steps_come_again_from_their_seed_and_half_of_them_are_real() -> None:
    steps = AskedWindows(3, 5, 4, [read_page([])])
    assert len(steps) == 5
    first, again, other = steps[1], steps[1], steps[2]
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["pixels"], other["pixels"])
    assert first["pixels"].shape == (4, WINDOW * PATCH, WINDOW * PATCH)
    assert int(first["places"].max()) < SIDE * SIDE
    drawn = AskedWindows(3, 5, 4, [])[1]
    assert drawn["characters"].shape == (4, WINDOW, WINDOW)
    held_out = held_out_windows(3, [], 4)
    assert not any(torch.equal(held_out["pixels"][0], window) for window in drawn["pixels"])


def test_worn_windows_are_asked_the_same() -> None:
    window = window_of_page(read_page([]), None, (16, 0))
    changed = 0
    for seed in range(10):
        old = worn(random.Random(seed), window)
        assert np.array_equal(old.characters, window.characters)
        changed += old.pixels != window.pixels
    assert changed > 5


def test_what_is_measured(decoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, processor = load_seeing(1, decoder)
    reader = PlaceReader(model, processor.tokenizer, PLAN)
    page = read_page([[0, 20 / SIDE, 0.5 / SIDE, 20.5 / SIDE]])
    windows = together([window_of_page(page, None, (16, 0))])

    def half(pixels: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        del pixels, places
        read = windows["characters"].flatten(1).clamp(min=1)  # a character where nobody knows
        read[windows["characters"].flatten(1) == 0] = 0
        read[0, torch.nonzero(read[0])[1::2]] = 0
        read[0, -1] = 7
        return functional.one_hot(read, len(CHARACTERS)).float()

    monkeypatch.setattr(reader, "read", half)
    figures = measure(reader, windows)
    # Of nine known digits the odd ones are not found; one more is read where none is.
    assert figures == pytest.approx({"found": 4 / 9, "precision": 4 / 5})


def test_a_character_that_is_read_one_cell_beside_its_label_is_found(decoder: str) -> None:
    model, processor = load_seeing(1, decoder)
    reader = PlaceReader(model, processor.tokenizer, PLAN)
    labels = torch.zeros(1, WINDOW, WINDOW, dtype=torch.long)
    labels[0, 3, 4:7] = torch.tensor([5, 6, 7])
    beside = labels.roll(1, dims=2)
    likeness = 9.0 * functional.one_hot(beside, len(CHARACTERS)).flatten(1, 2).float()
    assert torch.equal(aligned(likeness, labels), beside.flatten(1))
    windows = AskedWindows(3, 1, 1, [])[0] | {"characters": labels}
    shape = (1, WINDOW * WINDOW, len(CHARACTERS))
    assert reader.read(windows["pixels"], windows["places"]).shape == shape


def test_what_is_shown_often_is_read(decoder: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, processor = load_seeing(1, decoder)
    # Without the stage's slow start its own rates are too fast for the first steps.
    section = PLAN.model_copy(update={"learning_rate": 1e-3, "other_learning_rate": 5e-4})
    reader = PlaceReader(model, processor.tokenizer, section)
    windows = AskedWindows(3, 1, 4, [])[0]
    optimizer = make_optimizer(reader, section)
    losses = []
    for _ in range(30):
        loss = reader(**windows)["loss"]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]
    fresh, _ = load_seeing(2, decoder)
    load_parts(fresh, save_parts(model, tmp_path))
    other = PlaceReader(fresh, processor.tokenizer, section)
    said = [one.say(windows["pixels"], windows["places"]).detach() for one in (reader, other)]
    torch.testing.assert_close(*said, atol=0.05, rtol=0.05)


def test_cells_that_nobody_knows_teach_nothing(decoder: str) -> None:
    model, processor = load_seeing(1, decoder)
    reader = PlaceReader(model, processor.tokenizer, PLAN)
    windows = AskedWindows(3, 1, 2, [])[0]
    whole = reader(**windows)["loss"]
    some = windows["characters"].clone()
    some[:, 8:] = UNKNOWN
    assert not torch.isclose(reader(**{**windows, "characters": some})["loss"], whole)
    windows["pixels"][:, 8 * PATCH :] = 255
    some[0, 0, 0] = UNKNOWN
    assert torch.isfinite(reader(**{**windows, "characters": some})["loss"])


def test_a_stopped_run_goes_on(decoder: str, tmp_path: Path) -> None:
    # No worker: a process that all the other tests were run in does not survive to be forked.
    few = {
        "steps": 2, "batch": 2, "save_steps": 1, "picture_steps": 1, "measured": 1, "workers": 0,
    }  # fmt: skip
    section = PLAN.model_copy(update=few)
    pages = [read_page([]), read_page([])]
    how: Any = {"seed": 2, "threads": 1, "pages": pages, "decoder": decoder}
    out = tmp_path / "run"
    train_places(section.model_copy(update={"steps": 1}), out=out, **how)
    file = train_places(section, out=out, **how)
    assert file.name == WEIGHTS
    assert (out / "checkpoint-2").is_dir()
    with Image.open(out / "pictures" / "latest.png") as picture:
        assert picture.width > 2 * WINDOW * PATCH
    began = train_places(section, out=tmp_path / "other", start=file, **how)
    load_parts(load_seeing(1, decoder)[0], began)


def test_the_ocr_says_where_characters_stand_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "page.png"
    image = Image.new("RGB", (700, 300), "white")
    draw = ImageDraw.Draw(image)
    draw.text((60, 60), "TOTAL 12.50", fill="black", font_size=48)
    draw.text((60, 180), "CASH", fill="black", font_size=48)
    image.save(file)
    cache = tmp_path / "work" / "characters.jsonl"
    (page,) = read_pages([file], cache, threads=1)
    order = np.argsort(page.places[:, 1] > 0.5, kind="stable")
    assert "".join(page.characters[index] for index in order) == "TOTAL12.50CASH"
    columns = page.places[order][:10, 0]
    assert (np.diff(columns) > 0).all()
    assert 60 / 700 < columns[0] < 0.2
    assert page.part[0] < 0.1
    monkeypatch.setattr(read_characters, "_load", None)
    again = read_pages([file], cache, threads=1)
    assert again[0].characters == page.characters


def test_generated_pages_are_drawn_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = draw_pages(2, tmp_path / "work", 5)
    assert [file.name for file in files] == [
        "receipt-0.jpg", "passport-0.jpg", "receipt-1.jpg", "passport-1.jpg",
    ]  # fmt: skip
    assert len({file.read_bytes() for file in files}) == 4
    others = draw_pages(1, tmp_path / "other", 6)
    assert others[0].read_bytes() != files[0].read_bytes(), "of another seed"
    files[3].unlink()
    drawn = []
    monkeypatch.setattr(read_characters, "make_receipt", drawn.append)
    assert draw_pages(2, tmp_path / "work", 5) == files
    assert files[3].is_file()
    assert not drawn, "what is there is kept"
    assert draw_pages(0, tmp_path / "none", 5) == []


def test_fields_begin_from_the_newest_sight(tmp_path: Path) -> None:
    kept = sight_of(tmp_path)
    assert kept.is_file(), "it is kept with the code"
    load_parts(load_seeing(1)[0], kept)
    own = tmp_path / kept.name
    own.write_bytes(b"newer")
    assert sight_of(tmp_path) == own
