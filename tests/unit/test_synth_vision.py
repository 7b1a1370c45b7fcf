"""Every glyph's box lies on its ink, whatever happened to the picture."""

import random
from collections.abc import Callable

import numpy as np
import pytest

from tests.factories_glyphs import ink_shares
from trainer.synth import fonts
from trainer.synth.vision import words
from trainer.synth.vision.alphabet import ALPHABET, fold
from trainer.synth.vision.glyphs import make_block, make_crop, make_tile
from trainer.synth.vision.plate import Glyphs, Plate, Writing
from trainer.synth.vision.typeface import typeface_of_height
from trainer.synth.vision.warp import about_centre, smooth_field, through_corners, warp

SEEDS = range(8)
MAKERS: dict[str, Callable[[random.Random], Glyphs]] = {
    "crop": lambda rng: make_crop(rng, 300, 48),
    "block": lambda rng: make_block(rng, 400, 200),
    "tile": make_tile,
}


@pytest.mark.parametrize("kind", MAKERS)
def test_boxes_lie_on_ink_and_hold_most_of_it(kind: str) -> None:
    shares = np.array([ink_shares(MAKERS[kind](random.Random(seed))) for seed in SEEDS])
    inside, outside = shares.mean(axis=0)
    assert inside > 0.2
    assert inside > 4 * outside


@pytest.mark.parametrize("kind", MAKERS)
def test_text_characters_and_boxes_agree(kind: str) -> None:
    for seed in SEEDS:
        glyphs = MAKERS[kind](random.Random(seed))
        width, height = glyphs.image.size
        assert glyphs.characters == "".join(glyphs.text.split())
        assert glyphs.boxes.shape == (len(glyphs.characters), 4)
        assert glyphs.boxes.dtype == np.float32
        assert glyphs.characters
        assert set(glyphs.characters) <= set(ALPHABET)
        assert (glyphs.boxes >= 0).all()
        assert (glyphs.boxes <= [width, height, width, height]).all()
        assert (glyphs.boxes[:, :2] < glyphs.boxes[:, 2:]).all()


@pytest.mark.parametrize("kind", MAKERS)
def test_a_seed_makes_one_picture(kind: str) -> None:
    first, again, other = (MAKERS[kind](random.Random(seed)) for seed in (3, 3, 4))
    assert np.array_equal(np.asarray(first.image), np.asarray(again.image))
    assert (first.text, first.boxes.tolist()) == (again.text, again.boxes.tolist())
    assert first.text != other.text


def test_a_tile_has_letters_of_reading_size() -> None:
    heights = []
    for seed in range(12):
        glyphs = make_tile(random.Random(seed))
        tall = [c in "ABDEFHIKLMNPRTUVXYZ" for c in glyphs.characters]
        heights += (glyphs.boxes[:, 3] - glyphs.boxes[:, 1])[tall].tolist()
    assert 11 <= np.median(heights) <= 18
    assert np.mean((np.array(heights) > 8) & (np.array(heights) < 31)) > 0.9


def marks() -> tuple[np.ndarray, Writing]:
    """Black squares on white with their boxes."""
    pixels = np.full((240, 320), 255, dtype=np.uint8)
    boxes = []
    for y in range(30, 220, 60):
        for x in range(30, 300, 70):
            pixels[y : y + 14, x : x + 12] = 0
            boxes.append((x, y, x + 12, y + 14))
    return pixels, Writing(["X"] * len(boxes), [1] * len(boxes), np.array(boxes, np.float32))


@pytest.mark.parametrize("bent", [False, True])
def test_boxes_follow_every_change_of_geometry(bent: bool) -> None:
    pixels, writing = marks()
    corners = np.array([[22, 5], [300, 18], [318, 230], [3, 236]], dtype=np.float32)
    noise = np.random.default_rng(5)
    bend = np.dstack([smooth_field(noise, (320, 240), (4, 4), 5.0) for _ in "xy"]) if bent else None
    matrix = through_corners(corners, 320, 240)
    ground = np.full((240, 320), 255, dtype=np.uint8)
    moved, after = warp(pixels, writing, matrix, size=(320, 240), bend=bend, ground=ground)
    for left, top, right, bottom in after.boxes:
        around = moved[int(top) - 8 : int(bottom) + 9, int(left) - 8 : int(right) + 9] < 128
        rows, columns = np.nonzero(around)
        assert abs(int(left) - 8 + columns.min() - left) < 2.5
        assert abs(int(left) - 8 + columns.max() + 1 - right) < 2.5
        assert abs(int(top) - 8 + rows.min() - top) < 2.5
        assert abs(int(top) - 8 + rows.max() + 1 - bottom) < 2.5
    assert np.abs(after.boxes - writing.boxes).max() > 8


def test_what_stands_outside_is_neither_in_the_text_nor_among_the_boxes() -> None:
    plate = Plate(60, 30)
    face = typeface_of_height(fonts.choose_face(random.Random(0), "mono")[0], 10)
    plate.line()
    plate.write(-2.1 * face.advance("A"), 20, "ABCD EF", face)
    plate.line()
    plate.write(4, 60, "below", face)
    seen = plate.writing.within(60, 30)
    assert seen.text == "CD EF"
    assert "".join(seen.characters) == "CDEF"


def test_turning_about_the_centre_keeps_the_centre() -> None:
    matrix = about_centre(np.diag([2.0, 3.0, 1.0]), 40, 20)
    assert np.allclose(matrix @ [20, 10, 1], [20, 10, 1])


def test_a_face_writes_what_it_lacks_plainly() -> None:
    paths = [
        pair[0]
        for family in ("mono", "sans", "serif")
        for pair in fonts._faces(family, fonts._NEEDED)
    ]
    for path in paths:
        face = typeface_of_height(path, 12)
        written = face.write("Kč Łódź €9")
        assert set(written) - {" "} <= fonts.characters(path)
        assert written.endswith(" €9")
    assert [fold(c) for c in ("é", "Ł", "ß", "₺")] == ["e", "L", "ss", ""]


def test_every_character_of_the_alphabet_is_drawn_sooner_or_later() -> None:
    rng = random.Random(1)
    seen = set("".join(words.phrase(rng, 60) for _ in range(6000)))
    assert len(set(ALPHABET) - seen) < 0.05 * len(ALPHABET)


def test_faces_have_the_characters_of_a_receipt() -> None:
    for family in ("mono", "sans", "serif", "italic", "hand"):
        regular, bold = fonts.choose_face(random.Random(2), family)
        assert fonts.characters(regular) & fonts.characters(bold) >= set("Total 0123456789,€ŁŐșŽğ")
    assert set("<0Z") <= fonts.characters(fonts.ocr_b(random.Random(2)))
    assert set(fonts.files()) >= {
        path for pair in fonts._faces("mono", fonts._NEEDED) for path in pair
    }
