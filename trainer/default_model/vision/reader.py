"""The seeing model while it learns to answer: pages, bands of pages, or text alone."""

from collections.abc import Collection
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file
from torch.nn import functional
from transformers import Idefics3ForConditionalGeneration

from trainer.adapters import WEIGHTS
from trainer.default_model.vision.questions import Question
from trainer.default_model.vision.seeing import connect
from trainer.default_model.vision.tower import encode_window, normalised

TARGETS = r".*text_model.*\.(q|k|v|o|gate|up|down)_proj"
LEARNED = "learned.safetensors"


def autocast() -> torch.autocast:
    """Arithmetic in bfloat16 on the CPU; what learns stays in float32.

    A tile's step took 3.1 s of one core (AVX-512 BF16) with the adapter's products in bfloat16, 4.1
    with them in float32.
    """
    return torch.autocast("cpu", torch.bfloat16)


class Reader(torch.nn.Module):
    """The seeing model, fed with bands of any height. Tower and connector are held still.

    The adapter is in float32 as tower and connector are, the frozen decoder in bfloat16.

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
        if start is not None:
            self.blend(start, 0.0)

    def adapter(self) -> list[torch.nn.Parameter]:
        """The matrices of the decoder's adapter."""
        return [weight for name, weight in self.named_parameters() if "lora_" in name]

    def blend(self, adapter: Path, share: float) -> None:
        """Takes the average of its weights and another adapter's, factor by factor.

        What a model learns of a new task moves it further from the old one than it has to; weights
        between both lose less of the old task than they gain of the new (WiSE-FT, Wortsman et al.
        2022, arXiv 2109.01903).

        Args:
            adapter: its folder; one that was trained on text alone names no tower.
            share: of the weights that it has; 0 takes the other's.

        Raises:
            ValueError: the other adapter is of another decoder or rank.
        """
        stored = {_own_name(name): tensor for name, tensor in load_file(adapter / WEIGHTS).items()}
        own = {name: weight for name, weight in self.model.named_parameters() if "lora_" in name}
        if {n: w.shape for n, w in own.items()} != {n: t.shape for n, t in stored.items()}:
            raise ValueError(f"{adapter} is no adapter of this decoder and this rank")
        with torch.no_grad():
            for name, weight in own.items():
                weight.mul_(share).add_(stored[name], alpha=1 - share)

    def embed(
        self, ids: torch.Tensor, pixels: torch.Tensor | None, places: torch.Tensor | None
    ) -> torch.Tensor:
        """The decoder's input [1, tokens, width] of a chat, with its page or without.

        Args:
            ids: [1, tokens].
            pixels: uint8 [1, height, width] of a page or a band of it.
            places: [1, cells], their positions in the page.
        """
        core = self.seeing.model
        words: torch.Tensor = core.text_model.get_input_embeddings()(ids)
        if pixels is None or places is None:
            return words
        with torch.no_grad():
            hidden = encode_window(core.vision_model, normalised(pixels), places)
            said = connect(core.connector, hidden)
        mask = (ids == self.image_token_id)[:, :, None]
        return words.masked_scatter(mask, said.to(words.dtype))

    def learned(self) -> dict[str, torch.Tensor]:
        """The adapter, by its names."""
        return {
            name: weight.detach().contiguous()
            for name, weight in self.named_parameters()
            if "lora_" in name
        }

    def load_learned(self, file: Path) -> None:
        """Takes what `learned` gave; raises `KeyError` where something is missing."""
        stored = load_file(file)
        with torch.no_grad():
            for name, weight in self.learned().items():
                weight.copy_(stored[name])

    def write(self, question: Question, ends: Collection[int], most: int) -> list[int]:
        """The tokens of an answer, greedily; at most so many, and none of those that end it."""
        core = self.seeing.model.text_model
        written: list[int] = []
        with torch.no_grad(), autocast():
            embedded = self.embed(question.prompt, question.pixels, question.places)
            cache = None
            while len(written) < most:
                out = core(inputs_embeds=embedded, past_key_values=cache, use_cache=True)
                cache = out.past_key_values
                token = int(self.seeing.lm_head(out.last_hidden_state[0, -1]).argmax())
                if token in ends:
                    break
                written.append(token)
                embedded = core.get_input_embeddings()(torch.tensor([[token]]))
        return written

    def forward(self, question: Question) -> torch.Tensor:
        """Logits of the answer's tokens alone: [tokens, vocabulary]."""
        core = self.seeing.model.text_model
        with autocast():
            asked = self.embed(question.prompt, question.pixels, question.places)
            told = core.get_input_embeddings()(question.answer[:, :-1])
            out = core(inputs_embeds=torch.cat([asked, told], dim=1), use_cache=False)
            logits: torch.Tensor = self.seeing.lm_head(out.last_hidden_state[0, -question.length :])
        return logits

    def loss(self, question: Question) -> torch.Tensor:
        """Mean of the negative log-likelihoods of the answer's tokens."""
        return functional.cross_entropy(self(question).float(), question.answer[0])


def _own_name(stored: str) -> str:
    """The name here of an adapter's weight; a decoder alone has no `text_model`."""
    name = stored.replace("model.model.layers.", "model.model.text_model.layers.")
    for factor in ("lora_A", "lora_B"):
        name = name.replace(f".{factor}.weight", f".{factor}.default.weight")
    return name
