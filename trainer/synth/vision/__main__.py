"""`python -m trainer.synth.vision OUT.png --seed N`: what the generators draw, on one sheet."""

import argparse
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from trainer.synth.vision.glyphs import make_block, make_crop, make_tile
from trainer.synth.vision.odd_pages import KINDS, make_odd_page
from trainer.synth.vision.pages import drawn_page, make_page
from trainer.synth.vision.photo import photograph
from trainer.synth.vision.plate import Glyphs

_WIDTH = 2400
_GAP = 12
_GROUND = (70, 80, 96)
_BOX = (225, 40, 60)


def main() -> None:
    """Writes the sheet."""
    parser = argparse.ArgumentParser(prog="python -m trainer.synth.vision", description=__doc__)
    parser.add_argument("out", type=Path, help="picture to write")
    parser.add_argument("--seed", type=int, default=0, help="of every picture on the sheet")
    options = parser.parse_args()
    contact_sheet(options.seed).save(options.out)
    print(f"wrote {options.out}")


def contact_sheet(seed: int, *, fewer: int = 1) -> Image.Image:
    """Crops, blocks, tiles, pages, photographs and odd pages; every third with its boxes.

    Args:
        seed: of every picture.
        fewer: the count of each kind is divided by this.
    """
    rng = random.Random(seed)
    rows: list[list[Image.Image]] = [
        *_rows(
            lambda: make_crop(rng, 384, rng.choice((32, 48, 64))), -(-18 // fewer), (384, 64), 6
        ),
        *_rows(lambda: make_block(rng, 470, 200), -(-5 // fewer), (470, 200), 5),
        *_rows(lambda: make_tile(rng), -(-8 // fewer), (584, 584), 4),
        *_rows(lambda: make_page(rng), -(-10 // fewer), (460, 640), 5),
        *_rows(lambda: _photo(rng), -(-10 // fewer), (460, 640), 5),
    ]
    kinds = iter(KINDS)
    rows += _rows(lambda: make_odd_page(next(kinds), rng), -(-len(KINDS) // fewer), (384, 520), 6)
    height = sum(max(image.height for image in row) + _GAP for row in rows) + _GAP
    sheet = Image.new("RGB", (_WIDTH, height), _GROUND)
    y = _GAP
    for row in rows:
        step = _WIDTH // max(len(row), 1)
        for number, image in enumerate(row):
            sheet.paste(image, (number * step + (step - image.width) // 2, y))
        y += max(image.height for image in row) + _GAP
    return sheet


def _photo(rng: random.Random) -> Glyphs:
    pixels, writing = drawn_page(rng)
    image, writing = photograph(Image.fromarray(pixels), writing, rng)
    return writing.within(image.width, image.height).on(image)


def _rows(
    make: Callable[[], Glyphs], count: int, room: tuple[int, int], across: int
) -> list[list[Image.Image]]:
    """`count` pictures that fit `room`, `across` to a row."""
    pictures = [_shown(make(), room, boxed=number % 3 == 1) for number in range(count)]
    return [pictures[start : start + across] for start in range(0, count, across)]


def _shown(glyphs: Glyphs, room: Sequence[int], *, boxed: bool) -> Image.Image:
    image = glyphs.image.convert("RGB")
    if boxed:
        pen = ImageDraw.Draw(image)
        for box in glyphs.boxes.tolist():
            pen.rectangle(box, outline=_BOX)
    image.thumbnail((room[0], room[1]))
    return image


if __name__ == "__main__":
    main()
