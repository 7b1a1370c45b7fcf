"""First stage: the tower learns which characters lie where, the connector what to call them.

Two questions of the same drawn pieces. The tower is asked which character lies in each cell of a
patch, by a head that is thrown away afterwards. The connector is to say it in the decoder's own
words: the decoder knows its tokens' embeddings and copies them since it reads lines, so where a
token of the text begins, the image token of that place shall be like the token's embedding; where
none begins, like that of a space. Neither needs a pass through the decoder, and the next stage
begins with image tokens that the decoder understands already.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn import functional
from torch.utils.tensorboard import SummaryWriter
from transformers import Idefics3ForConditionalGeneration, Trainer, TrainerCallback
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from trainer.default_model.vision.arguments import stage_arguments
from trainer.default_model.vision.characters import BLANK, CELLS, CLASSES
from trainer.default_model.vision.optimizer import MuonAndAdamW
from trainer.default_model.vision.pictures import reading_picture
from trainer.default_model.vision.plan import PlaceSection
from trainer.default_model.vision.quarters import ACROSS, normalised
from trainer.default_model.vision.seeing import connect, load_seeing, save_parts
from trainer.default_model.vision.tiles import CELL, PIECES, AskedTiles, together
from trainer.default_model.vision.tower import HIDDEN, PATCH, encode_window
from trainer.stage import newest_checkpoint
from trainer.vocabulary import NAME

_HOW: dict[str, Any] = {
    "max_grad_norm": 0.0,  # neither optimiser minds how large a slope is
    # Tiles are drawn beside the step.
    "dataloader_num_workers": 1,
    "dataloader_prefetch_factor": 8,
}
_HELD_OUT = 4  # tiles that are measured and never learned from
_OTHERS = 4096  # tokens that a place's token is told from, beside those of the same step
_SHARPNESS = 16.0  # of the likelihoods, which are of cosines


class PlaceReader(torch.nn.Module):
    """Tower and connector, a head for the characters, and the embeddings that are to be spoken.

    Args:
        model: the seeing model, of which the decoder is not used.
        space: the token of a place where no token begins.
        section: the weights of the loss.
    """

    def __init__(
        self, model: Idefics3ForConditionalGeneration, space: int, section: PlaceSection
    ) -> None:
        super().__init__()
        self.tower = model.model.vision_model
        self.connector = model.model.connector
        self.head = torch.nn.Linear(HIDDEN, CELLS * CLASSES)
        words = model.get_input_embeddings().weight.detach().float().clone()
        self.words: torch.Tensor
        self.register_buffer("words", words, persistent=False)
        weights = torch.ones(CLASSES)
        weights[BLANK] = section.blank_weight
        self.weights: torch.Tensor
        self.register_buffer("weights", weights, persistent=False)
        self._space, self._section = space, section
        self._variance = float(words.var())

    def see(self, pixels: torch.Tensor, places: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the tower reads and what the connector says.

        Args:
            pixels: uint8 [batch, height, width], grey.
            places: [batch, patches], each patch's position in its tile.

        Returns:
            Logits of each cell's character [batch, patches, 8, classes]; the image tokens, row by
            row and one piece after the other [n, width of the decoder].
        """
        height, width = (edge // PATCH for edge in pixels.shape[1:])
        with torch.autocast("cpu", torch.bfloat16):
            hidden = encode_window(self.tower, normalised(pixels), places)
            logits = self.head(hidden).unflatten(-1, (CELLS, CLASSES))
            share = self._section.tower_share
            lent = share * hidden + (1 - share) * hidden.detach()  # its value; a share of its slope
            said = connect(self.connector, lent, height, width)
        return logits.float(), said.flatten(0, 1).float()

    def forward(
        self,
        pixels: torch.Tensor,
        places: torch.Tensor,
        characters: torch.Tensor,
        cells: torch.Tensor,
        tokens: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """The loss of a batch as `tiles.together` makes it: of the characters and of the tokens."""
        logits, said = self.see(pixels, places)
        loss = functional.cross_entropy(
            logits.flatten(0, 2), characters.flatten(), weight=self.weights
        )
        return {"loss": loss + self._loss_of_tokens(said, cells, tokens)}

    def _loss_of_tokens(
        self, said: torch.Tensor, cells: torch.Tensor, tokens: torch.Tensor
    ) -> torch.Tensor:
        """Likelihood of the right tokens, and distance from their embeddings."""
        counts = torch.bincount(cells, minlength=len(said))
        empty = torch.nonzero(counts == 0).flatten()
        cells = torch.cat([cells, empty])
        tokens = torch.cat([tokens, torch.full_like(empty, self._space)])
        weights = torch.where(counts > 0, 1.0 / counts.clamp(min=1), self._section.space_weight)[
            cells
        ]
        likelihood = self._likelihood(said, cells, tokens)
        distance = (said[cells] - self.words[tokens]).square().mean(1) / self._variance
        return (weights * (distance - likelihood)).sum() / weights.sum()

    def _likelihood(
        self, said: torch.Tensor, cells: torch.Tensor, tokens: torch.Tensor
    ) -> torch.Tensor:
        """Logarithm of the probability of each token in its cell, among the step's and others."""
        others = torch.randint(len(self.words), (_OTHERS,))
        classes, index = torch.unique(torch.cat([tokens, others]), return_inverse=True)
        known = functional.normalize(self.words[classes], dim=1)
        logits = _SHARPNESS * functional.normalize(said, dim=1) @ known.T
        likelihood: torch.Tensor = logits.log_softmax(1)[cells, index[: len(tokens)]]
        return likelihood

    def nearest(self, said: torch.Tensor) -> torch.Tensor:
        """The token of the whole vocabulary whose embedding each image token is most like: [n]."""
        known = functional.normalize(self.words, dim=1)
        nearest: torch.Tensor = (functional.normalize(said, dim=1) @ known.T).argmax(1)
        return nearest


def make_optimizer(reader: PlaceReader, section: PlaceSection) -> MuonAndAdamW:
    """Muon for the tower's layers; AdamW for all else: the tower's ends and head, the connector."""
    layers = reader.tower.encoder.parameters()
    matrices = [weight for weight in layers if weight.ndim == 2]  # noqa: PLR2004 - a matrix
    of_muon = {id(weight) for weight in matrices}
    tower = [*reader.tower.parameters(), *reader.head.parameters()]
    rest = [weight for weight in tower if id(weight) not in of_muon]
    return MuonAndAdamW(
        (matrices, section.learning_rate),
        [
            {"params": rest, "lr": section.other_learning_rate},
            {"params": list(reader.connector.parameters()), "lr": section.connector_learning_rate},
        ],
        betas=(0.9, 0.98),
    )


def train_places(
    section: PlaceSection, *, seed: int, threads: int, out: Path, decoder: str = NAME
) -> Path:
    """Trains tower and connector; goes on from the newest checkpoint under `out`.

    Args:
        section: how long and how fast.
        seed: of the pictures and of the start.
        threads: of torch.
        out: checkpoints, logs, pictures, and at the end the weights.
        decoder: as `load_base` takes it.

    Returns:
        The file of tower and connector, as `seeing.load_parts` takes it.
    """
    torch.set_num_threads(threads)
    model, processor = load_seeing(seed, decoder)
    tokenizer = processor.tokenizer
    space = tokenizer(" ", add_special_tokens=False)["input_ids"][0]
    reader = PlaceReader(model, space, section)
    tiles = section.batch // PIECES
    trainer = Trainer(
        model=reader,
        args=stage_arguments(section, out, seed, batch=tiles, logging_steps=20, **_HOW),
        train_dataset=AskedTiles(seed, section.steps * tiles, tokenizer),
        data_collator=together,
        optimizers=(make_optimizer(reader, section), None),
        callbacks=[_Measure(seed, section.picture_steps, out / "pictures", tokenizer)],
    )
    trainer.train(resume_from_checkpoint=newest_checkpoint(out))
    return save_parts(model, out)


def measure(reader: PlaceReader, tiles: dict[str, torch.Tensor]) -> dict[str, float]:
    """How much of tiles is read.

    Returns:
        `found`: of the cells with a character, the share read as that character; `precision`: of
        the cells read as a character, the share that hold it; `known`: of the places where tokens
        begin, the share whose image token is most like one of these tokens.
    """
    with torch.no_grad():
        logits, said = reader.see(tiles["pixels"], tiles["places"])
    read, asked = logits.argmax(-1), tiles["characters"]
    right = ((read == asked) & (asked != BLANK)).sum()
    is_known = reader.nearest(said)[tiles["cells"]] == tiles["tokens"]
    places, known = torch.unique(tiles["cells"]), torch.unique(tiles["cells"][is_known])
    return {
        "found": float(right / (asked != BLANK).sum().clamp(min=1)),
        "precision": float(right / (read != BLANK).sum().clamp(min=1)),
        "known": len(known) / max(len(places), 1),
    }


class _Measure(TrainerCallback):  # type: ignore[misc]
    """Figures of held-out tiles, and the first one's piece as it is read, as files too."""

    def __init__(
        self, seed: int, every: int, folder: Path, tokenizer: PreTrainedTokenizerBase
    ) -> None:
        self._every, self._folder, self._tokenizer = every, folder, tokenizer
        self._tiles = AskedTiles(seed, 0, tokenizer).held_out(_HELD_OUT)
        folder.mkdir(parents=True, exist_ok=True)
        self._board = SummaryWriter(str(folder))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Every so many steps."""
        if state.global_step % self._every:
            return
        reader: PlaceReader = kwargs["model"]
        figures = measure(reader, self._tiles)
        for name, value in figures.items():
            self._board.add_scalar(f"held_out/{name}", value, state.global_step)
        picture, text = self._first_piece(reader)
        picture.save(self._folder / "latest.png")
        (self._folder / "latest.txt").write_text(text + "\n")
        self._board.add_image(
            "held_out/read", np.asarray(picture), state.global_step, dataformats="HWC"
        )
        self._board.add_text(
            "held_out/said", f"    {text}".replace("\n", "\n    "), state.global_step
        )
        shown = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
        print(f"step {state.global_step}: {shown}", flush=True)

    def _first_piece(self, reader: PlaceReader) -> tuple[Image.Image, str]:
        """Its characters as a picture; the tokens nearest to what is said, row by row."""
        pixels = self._tiles["pixels"][:1]
        with torch.no_grad():
            logits, said = reader.see(pixels, self._tiles["places"][:1])
        classes = logits.argmax(-1)[0].reshape(ACROSS, ACROSS, CELLS).numpy()
        wide = pixels.shape[2] // CELL
        lines = [
            "|".join(self._tokenizer.decode([int(token)]).strip() for token in row)
            for row in reader.nearest(said).reshape(-1, wide)
        ]
        return reading_picture(pixels[0].numpy(), classes), "\n".join(lines)
