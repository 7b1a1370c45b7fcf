"""The seeing model while it learns: pieces of any size in, the text that stands on them out."""

from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from torch.nn import functional
from transformers import Idefics3ForConditionalGeneration
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from trainer.default_model.vision.patches import normalised
from trainer.default_model.vision.pieces import Piece, chat_ids
from trainer.default_model.vision.seeing import connect
from trainer.default_model.vision.tower import PATCH, SIDE, encode_window

TARGETS = r".*text_model.*\.(q|k|v|o|gate|up|down)_proj"


class Reader(torch.nn.Module):
    """The seeing model, fed with pieces of any size.

    The adapter, tower and connector are in float32, the frozen decoder in bfloat16.
    """

    def __init__(self, model: Idefics3ForConditionalGeneration, rank: int) -> None:
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
        self.seeing: Idefics3ForConditionalGeneration = self.model.get_base_model()
        for part in (self.seeing.model.vision_model, self.seeing.model.connector):
            part.requires_grad_()

    def embed(
        self, pixels: torch.Tensor, corner: tuple[int, int], ids: torch.Tensor
    ) -> torch.Tensor:
        """The decoder's input [1, tokens, width] of one piece and its chat."""
        core = self.seeing.model
        height, width = (edge // PATCH for edge in pixels.shape)
        rows = torch.arange(corner[0], corner[0] + height) * SIDE
        places = rows[:, None] + torch.arange(corner[1], corner[1] + width)[None, :]
        moving = core.vision_model.embeddings.patch_embedding.weight.requires_grad
        with torch.autocast("cpu", torch.bfloat16), torch.set_grad_enabled(moving):
            hidden = encode_window(
                core.vision_model, normalised(pixels[None]), places.flatten()[None]
            )
        with torch.autocast("cpu", torch.bfloat16):
            tokens = connect(core.connector, hidden, height, width)
        embedded = core.text_model.get_input_embeddings()(ids[None])
        mask = (ids == self.image_token_id)[None, :, None]
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
        """The text of a piece, greedily."""
        prompt, _ = chat_ids(tokenizer, piece)
        core = self.seeing.model.text_model
        written: list[int] = []
        with torch.no_grad():
            embedded = self.embed(
                torch.from_numpy(piece.pixels.copy()), piece.corner, torch.tensor(prompt)
            )
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
        self, pixels: torch.Tensor, corner: tuple[int, int], ids: torch.Tensor, answer_count: int
    ) -> torch.Tensor:
        """Sum of the negative log-likelihoods of the answer's tokens."""
        embedded = self.embed(pixels, corner, ids)
        core = self.seeing.model.text_model(inputs_embeds=embedded, use_cache=False)
        hidden = core.last_hidden_state[0, -answer_count - 1 : -1]
        logits = self.seeing.lm_head(hidden)
        return functional.cross_entropy(logits.float(), ids[-answer_count:], reduction="sum")
