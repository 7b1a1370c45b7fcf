"""The vision tower and its connector: the shape of SmolVLM's (Idefics3), small enough to ship.

A page is one square tile of 1,536 pixels, and a patch of 32 x 32 is one cell of its grid of
characters (`grid.py`). The tower turns a patch into 256 numbers, the connector these into one token
of the decoder: 2,304 tokens a page, each about one character, in the order of reading. SmolVLM
folds 4 x 4 patches into a token, which then holds some twenty characters of several lines: nothing
that a tower of this size learns on two cores.
"""

import math

import torch
from transformers import Idefics3VisionConfig
from transformers.models.idefics3.modeling_idefics3 import Idefics3VisionTransformer

from extraction.tower_reader import CELL_PIXELS, SIDE

PATCH = CELL_PIXELS
FOLD = 1  # patches along the edge of what the connector makes one token of
TILE = SIDE * PATCH
HIDDEN, LAYERS, HEADS = 256, 8, 4
_BASE = 100.0  # of the sinusoids: positions run to 48, not to the thousands of a text


def tower_config() -> Idefics3VisionConfig:
    """8 million parameters, 16 MB in bfloat16."""
    return Idefics3VisionConfig(
        hidden_size=HIDDEN,
        intermediate_size=4 * HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        image_size=TILE,
        patch_size=PATCH,
    )


def build_tower(seed: int) -> Idefics3VisionTransformer:
    """An untrained tower. Its positions start as sinusoids, so that near patches are near."""
    torch.manual_seed(seed)
    tower = Idefics3VisionTransformer(tower_config())
    with torch.no_grad():
        tower.embeddings.position_embedding.weight.copy_(grid_sinusoids(SIDE, HIDDEN))
    return tower


def grid_sinusoids(side: int, width: int) -> torch.Tensor:
    """Positions of a square grid, row by row: [side * side, width].

    A quarter of the width each for sine and cosine of row and column (Vaswani et al. 2017, in two
    dimensions as Chen et al. 2021, MoCo v3).
    """
    quarter = width // 4
    rates = torch.exp(torch.arange(quarter) * (-math.log(_BASE) / quarter))
    turns = torch.arange(side).float()[:, None] * rates[None, :]
    axis = torch.cat([turns.sin(), turns.cos()], dim=1)
    rows = axis[:, None, :].expand(side, side, -1)
    columns = axis[None, :, :].expand(side, side, -1)
    return torch.cat([rows, columns], dim=2).reshape(side * side, width)


def encode_window(
    tower: Idefics3VisionTransformer, pixels: torch.Tensor, places: torch.Tensor
) -> torch.Tensor:
    """The tower on pieces of tiles, at the positions where the pieces lie.

    Attention grows with the square of the patches, and characters are read from what is near: a
    ninth of a page costs less than a ninth of its time and teaches as much for each patch.

    Args:
        tower: the tower.
        pixels: [batch, 3, height, width], multiples of a patch, normalised to -1..1.
        places: [batch, patches], the position of each patch in its tile, row by row.

    Returns:
        [batch, patches, HIDDEN].
    """
    patches = tower.embeddings.patch_embedding(pixels).flatten(2).transpose(1, 2)
    embedded = patches + tower.embeddings.position_embedding(places)
    hidden = tower.encoder(inputs_embeds=embedded, attention_mask=None).last_hidden_state
    normalised: torch.Tensor = tower.post_layernorm(hidden)
    return normalised


def normalised(pixels: torch.Tensor) -> torch.Tensor:
    """Grey bytes [batch, height, width] -> [batch, 3, height, width] in -1..1, as the processor."""
    return (pixels.float() / 127.5 - 1.0)[:, None].expand(-1, 3, -1, -1)
