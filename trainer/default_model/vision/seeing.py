"""Tower, connector and decoder as one Idefics3 model, as transformers and vLLM know it."""

import torch
from transformers import Idefics3Config, Idefics3ForConditionalGeneration, Idefics3Processor
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.idefics3.modeling_idefics3 import Idefics3Connector
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from trainer.base_model import load_base
from trainer.default_model.vision.tower import FOLD, SIDE, TILE, tower_config

IMAGE, AROUND, WHOLE = "<image>", "<fake_token_around_image>", "<global-img>"
TILE_TOKENS = (SIDE // FOLD) ** 2
_MOST_TILES = 4  # along one edge of a page that is cut up
_PAGE_EDGE = 2 * TILE


def image_tokens() -> tuple[str, ...]:
    """The tokens that frame an image's tiles."""
    places = range(1, _MOST_TILES + 1)
    tiles = tuple(f"<row_{row}_col_{column}>" for row in places for column in places)
    return (IMAGE, AROUND, WHOLE, "<end_of_utterance>", *tiles)


def load_seeing(seed: int) -> tuple[Idefics3ForConditionalGeneration, Idefics3Processor]:
    """The base decoder with an untrained tower and connector, in float32, and its processor."""
    decoder, tokenizer = load_base(image_tokens())
    config = Idefics3Config(
        text_config=decoder.config.to_dict(),
        vision_config=tower_config().to_dict(),
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE),
        scale_factor=FOLD,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
    )
    torch.manual_seed(seed)
    model = Idefics3ForConditionalGeneration(config)
    model.model.text_model.load_state_dict(decoder.model.state_dict())
    model.tie_weights()
    return model, processor_of(tokenizer)


def processor_of(tokenizer: PreTrainedTokenizerBase) -> Idefics3Processor:
    """Cuts pages into tiles and writes their tokens into a prompt."""
    images = Idefics3ImageProcessorPil(
        size={"longest_edge": _PAGE_EDGE}, max_image_size={"longest_edge": TILE}
    )
    return Idefics3Processor(
        images, tokenizer, image_seq_len=TILE_TOKENS, chat_template=tokenizer.chat_template
    )


def fold(hidden: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Pixel shuffle of a grid that need not be square, as the connector does it for a square one.

    Args:
        hidden: [batch, height * width, n] of patches, row by row.
        height: patches, a multiple of 2.
        width: as height.

    Returns:
        [batch, height * width / 4, 4 n].
    """
    batch, _, wide = hidden.shape
    squares = hidden.view(batch, height // FOLD, FOLD, width // FOLD, FOLD, wide)
    return squares.permute(0, 1, 3, 2, 4, 5).reshape(batch, -1, FOLD * FOLD * wide)


def connect(
    connector: Idefics3Connector, hidden: torch.Tensor, height: int, width: int
) -> torch.Tensor:
    """The decoder's tokens of a piece of a page: [batch, height * width / 4, decoder's width]."""
    tokens: torch.Tensor = connector.modality_projection(fold(hidden, height, width))
    return tokens
