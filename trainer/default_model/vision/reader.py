"""The seeing model while it learns: pieces of any size in, the text that stands on them out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file
from torch.nn import functional
from transformers import Idefics3ForConditionalGeneration
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from trainer.adapters import WEIGHTS
from trainer.default_model.vision.pieces import Piece, batch_of
from trainer.default_model.vision.quarters import normalised
from trainer.default_model.vision.seeing import connect
from trainer.default_model.vision.tower import PATCH, encode_window

TARGETS = r".*text_model.*\.(q|k|v|o|gate|up|down)_proj"
LEARNED = "learned.safetensors"


def autocast() -> torch.autocast:
    """Arithmetic in bfloat16 on the CPU; what learns stays in float32.

    A tile's step took 3.1 s of one core (AVX-512 BF16) with the adapter's products in bfloat16, 4.1
    with them in float32.
    """
    return torch.autocast("cpu", torch.bfloat16)


class Reader(torch.nn.Module):
    """The seeing model, fed with pieces of any size.

    The adapter, tower and connector are in float32, the frozen decoder in bfloat16.

    Args:
        model: decoder, tower, connector.
        rank: of the decoder's adapter; alpha is twice the rank.
        start: folder of an adapter of this rank that the decoder's begins from.
    """

    def __init__(
        self, model: Idefics3ForConditionalGeneration, rank: int, start: Path | None = None
    ) -> None:
        super().__init__()
        self.image_token_id = int(model.config.image_token_id)
        model.model.text_model.to(torch.bfloat16)
        model.lm_head.to(torch.bfloat16)
        model.tie_weights()
        self.model: PeftModel = get_peft_model(
            model,
            LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=TARGETS, task_type="CAUSAL_LM"),
            autocast_adapter_dtype=True,
        )
        for module in self.model.modules():
            if isinstance(module, LoraLayer):
                # Autocast rounds what goes in; to cast it to float32 before is lost work.
                module.cast_input_dtype_enabled = False
        self.seeing: Idefics3ForConditionalGeneration = self.model.get_base_model()
        for part in self.sight():
            part.requires_grad_()
        if start is not None:
            self._begin_from(start)

    def sight(self) -> tuple[torch.nn.Module, torch.nn.Module]:
        """Tower and connector."""
        return self.seeing.model.vision_model, self.seeing.model.connector

    def adapter(self) -> list[torch.nn.Parameter]:
        """The matrices of the decoder's adapter."""
        return [weight for name, weight in self.named_parameters() if "lora_" in name]

    def _begin_from(self, adapter: Path) -> None:
        """Takes the weights of an adapter; one that was trained on text alone names no tower."""
        stored = {_own_name(name): tensor for name, tensor in load_file(adapter / WEIGHTS).items()}
        own = {name: weight for name, weight in self.model.named_parameters() if "lora_" in name}
        if {n: w.shape for n, w in own.items()} != {n: t.shape for n, t in stored.items()}:
            raise ValueError(f"{adapter} is no adapter of this decoder and this rank")
        with torch.no_grad():
            for name, weight in own.items():
                weight.copy_(stored[name])

    def embed(
        self, pixels: torch.Tensor | None, places: torch.Tensor | None, ids: torch.Tensor
    ) -> torch.Tensor:
        """The decoder's input [n, tokens, width] of pieces and their chats, or of chats alone."""
        core = self.seeing.model
        if pixels is None or places is None:
            words: torch.Tensor = core.text_model.get_input_embeddings()(ids)
            return words
        height, width = (edge // PATCH for edge in pixels.shape[1:])
        moving = core.vision_model.embeddings.patch_embedding.weight.requires_grad
        with torch.set_grad_enabled(moving and torch.is_grad_enabled()):
            hidden = encode_window(core.vision_model, normalised(pixels), places)
        tokens = connect(core.connector, hidden, height, width)
        embedded = core.text_model.get_input_embeddings()(ids)
        mask = (ids == self.image_token_id)[:, :, None]
        merged: torch.Tensor = embedded.masked_scatter(mask, tokens.to(embedded.dtype))
        return merged

    def learned(self) -> dict[str, torch.Tensor]:
        """Tower, connector and adapter, by their names."""
        kept = ("vision_model.", "connector.", "lora_")
        return {
            name: weight.detach().contiguous()
            for name, weight in self.named_parameters()
            if any(part in name for part in kept)
        }

    def load_learned(self, file: Path) -> None:
        """Takes what `learned` gave; raises `KeyError` where something is missing."""
        stored = load_file(file)
        with torch.no_grad():
            for name, weight in self.learned().items():
                weight.copy_(stored[name])

    def write_out(self, piece: Piece, tokenizer: PreTrainedTokenizerBase, most: int = 400) -> str:
        """The text of a piece, greedily; at most so many tokens."""
        core = self.seeing.model.text_model
        batch = batch_of([piece], tokenizer)
        prompt = batch["ids"][:, : batch["spans"][0][0]]
        written: list[int] = []
        with torch.no_grad(), autocast():
            embedded = self.embed(batch["pixels"], batch["places"], prompt)
            cache = None
            while len(written) < most:
                out = core(inputs_embeds=embedded, past_key_values=cache, use_cache=True)
                cache = out.past_key_values
                token = int(self.seeing.lm_head(out.last_hidden_state[0, -1]).argmax())
                if token == tokenizer.eos_token_id:
                    break
                written.append(token)
                embedded = core.get_input_embeddings()(torch.tensor([[token]]))
        return str(tokenizer.decode(written))

    def forward(
        self,
        ids: torch.Tensor,
        spans: Sequence[tuple[int, int]],
        pixels: torch.Tensor | None = None,
        places: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of the answers' tokens alone, and the tokens: [answers' tokens, ...].

        What fills a row up stands behind its answer, where no token of the answer sees it.
        """
        with autocast():
            embedded = self.embed(pixels, places, ids)
            hidden = self.seeing.model.text_model(
                inputs_embeds=embedded, use_cache=False
            ).last_hidden_state
            wanted = [hidden[row, begin - 1 : end - 1] for row, (begin, end) in enumerate(spans)]
            logits = self.seeing.lm_head(torch.cat(wanted))
        tokens = torch.cat([ids[row, begin:end] for row, (begin, end) in enumerate(spans)])
        return logits, tokens

    def loss(self, **batch: Any) -> tuple[torch.Tensor, int]:
        """Sum of the negative log-likelihoods of the answers' tokens, and their count."""
        logits, tokens = self(**batch)
        return functional.cross_entropy(logits.float(), tokens, reduction="sum"), len(tokens)


def _own_name(stored: str) -> str:
    """The name here of an adapter's weight; a decoder alone has no `text_model`."""
    name = stored.replace("model.model.layers.", "model.model.text_model.layers.")
    for factor in ("lora_A", "lora_B"):
        name = name.replace(f".{factor}.weight", f".{factor}.default.weight")
    return name
