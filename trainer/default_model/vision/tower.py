"""The vision tower and its connector: the shape of SmolVLM's (Idefics3), small enough to ship.

A page is cut into square tiles of 512 pixels, a tile into patches of 16. The tower turns a patch
into 256 numbers; the connector folds each square of 2 x 2 patches into one token of the decoder
(pixel shuffle), so that a tile costs 256 tokens and a token sees 32 x 32 pixels: a few characters.
SmolVLM folds 4 x 4; a token would then hold some twenty characters of several lines, which a tower
of this size does not learn on two cores.
"""

import math

import torch
from transformers import Idefics3VisionConfig
from transformers.models.idefics3.modeling_idefics3 import Idefics3VisionTransformer

TILE, PATCH, FOLD = 512, 16, 2
SIDE = TILE // PATCH  # patches along a tile's edge
HIDDEN, LAYERS, HEADS = 256, 8, 4
_BASE = 100.0  # of the sinusoids: positions run to 32, not to the thousands of a text


def tower_config() -> Idefics3VisionConfig:
    """7 million parameters, 14 MB in bfloat16."""
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
    quarter of a tile costs an eighth of it and teaches as much for each patch.

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
