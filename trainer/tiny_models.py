"""Tiny models with random weights, built here: no hub, no download.

What they write is noise; held to a grammar it is valid noise, which is all that a test or a bench
of the service needs. torch and transformers are imported only when a model is built.
"""

import json
from pathlib import Path
from typing import Any

SPECIAL_TOKENS = ("<passport_number>", "</passport_number>", "<think>", "</think>")
_CHAT = "<|im_start|>", "<|im_end|>"
_TEMPLATE = """{% for message in messages %}<|im_start|>{{ message['role'] }}
{% if message['content'] is string %}{{ message['content'] }}{% else %}\
{% for part in message['content'] %}{% if part['type'] == 'image' %}IMAGE\
{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}\
{% if not (loop.last and continue_final_message) %}<|im_end|>
{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
_DIMENSIONS = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 2048,
}


def build_tokenizer(
    extra: tuple[str, ...] = (), image: str = "", named: dict[str, str] | None = None
) -> Any:
    """A byte-level tokenizer: 256 bytes, the chat tokens and some special ones; no merges."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(letters)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token=_CHAT[1],
        bos_token=_CHAT[0],
        pad_token="<|pad|>",  # noqa: S106 - a token of text
        unk_token="<|unk|>",  # noqa: S106 - as above
        chat_template=_TEMPLATE.replace("IMAGE", image),
        model_max_length=2048,
        extra_special_tokens=named or {},
    )
    # No tokens of the class itself: they would replace the named ones.
    tokenizer.add_tokens([*SPECIAL_TOKENS, *extra], special_tokens=True)
    return tokenizer


def _text_config(tokenizer: Any) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "tie_word_embeddings": True,
        **_DIMENSIONS,
    }


def build_llama(folder: Path) -> Path:
    """A text-only Llama of two layers, bf16, about 0.1 million parameters."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = build_tokenizer()
    torch.manual_seed(0)
    config = LlamaConfig(**_text_config(tokenizer))
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def build_idefics3(folder: Path) -> Path:
    """SmolVLM's shape: a SigLIP-like tower, pixel shuffle, a Llama.

    A page is one tile of 128 pixels and 64 tokens, or as many as the request's size asks for.
    """
    import torch
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration, Idefics3Processor
    from transformers.models.idefics3.image_processing_pil_idefics3 import (
        Idefics3ImageProcessorPil,
    )

    parts = tuple(f"<row_{row + 1}_col_{col + 1}>" for row in range(6) for col in range(6))
    tokenizer = build_tokenizer(
        (
            "<image>",
            "<fake_token_around_image>",
            "<end_of_utterance>",
            "<global-img>",
            *parts,
        ),
        image="<image>",
    )
    edge, patch, scale = 128, 8, 2
    images = Idefics3ImageProcessorPil(
        size={"longest_edge": edge},
        max_image_size={"longest_edge": edge},
        do_image_splitting=True,
    )
    processor = Idefics3Processor(
        images,
        tokenizer,
        image_seq_len=(edge // patch // scale) ** 2,
        chat_template=tokenizer.chat_template,
    )
    torch.manual_seed(0)
    config = Idefics3Config(
        text_config={"model_type": "llama", **_text_config(tokenizer)},
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": edge,
            "patch_size": patch,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=scale,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
    )
    Idefics3ForConditionalGeneration(config).to(torch.bfloat16).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def build_lighton_ocr(folder: Path) -> Path:
    """LightOnOCR's shape: a Pixtral tower that keeps the page's proportions, a Qwen3."""
    import torch
    from transformers import (
        LightOnOcrConfig,
        LightOnOcrForConditionalGeneration,
        LightOnOcrProcessor,
    )
    from transformers.models.pixtral.image_processing_pil_pixtral import PixtralImageProcessorPil

    names = {
        "image_token": "<|image_pad|>",
        "image_break_token": "<|vision_pad|>",
        "image_end_token": "<|vision_end|>",
    }
    tokenizer = build_tokenizer(image=names["image_token"], named=names)
    patch, merge = 14, 2
    images = PixtralImageProcessorPil(
        patch_size=patch * merge, size={"longest_edge": 8 * patch * merge}
    )
    processor = LightOnOcrProcessor(
        images,
        tokenizer,
        patch_size=patch,
        spatial_merge_size=merge,
        chat_template=tokenizer.chat_template,
    )
    torch.manual_seed(0)
    config = LightOnOcrConfig(
        text_config={"model_type": "qwen3", "head_dim": 32, **_text_config(tokenizer)},
        vision_config={
            "model_type": "pixtral",
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "head_dim": 16,
            "image_size": 8 * patch * merge,
            "patch_size": patch,
        },
        image_token_id=tokenizer.convert_tokens_to_ids(names["image_token"]),
        spatial_merge_size=merge,
    )
    LightOnOcrForConditionalGeneration(config).to(torch.bfloat16).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def write_card(folder: Path, version: str, *, sees_images: bool) -> Path:
    """Makes a built model one that the service can serve as `version`."""
    card = {"version": version, "style": "compact", "sees_images": sees_images}
    (folder / "docloop.json").write_text(json.dumps(card))
    return folder
