"""First stage: tower and connector learn which character stands in each cell of a page.

The connector says it in the decoder's own words: each image token is to be like the embedding of
its character's token, and like a space's where there is none. The decoder, which copies text since
it reads lines, understands a little of that before it has seen a page: asked for a receipt's
fields with such tokens in place of its lines, it gave every third right. Nothing here needs a pass
through the decoder.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.utils.tensorboard import SummaryWriter
from transformers import Idefics3ForConditionalGeneration, Trainer, TrainerCallback
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from extraction.tower_reader import CHARACTERS
from trainer.default_model.vision.alignment import align
from trainer.default_model.vision.arguments import stage_arguments
from trainer.default_model.vision.grid import grid_text
from trainer.default_model.vision.optimizer import MuonAndAdamW
from trainer.default_model.vision.pictures import reading_picture
from trainer.default_model.vision.plan import PlaceSection
from trainer.default_model.vision.read_characters import ReadPage
from trainer.default_model.vision.seeing import connect, load_parts, load_seeing, save_parts
from trainer.default_model.vision.tower import encode_window, normalised
from trainer.default_model.vision.windows import AskedWindows, held_out_windows
from trainer.stage import newest_checkpoint
from trainer.vocabulary import NAME

_DRAWN_AHEAD = 6  # steps
_HELD_OUT = 24  # windows that are measured and never learned from
_SHARPNESS = 16.0  # of the likelihoods, which are of cosines
_BLANK = 0


class PlaceReader(torch.nn.Module):
    """Tower and connector, and the embeddings that are to be spoken.

    Args:
        model: the seeing model, of which the decoder is not used.
        tokenizer: its tokenizer.
        section: the weights of the loss.
    """

    def __init__(
        self,
        model: Idefics3ForConditionalGeneration,
        tokenizer: PreTrainedTokenizerBase,
        section: PlaceSection,
    ) -> None:
        super().__init__()
        self.tower = model.model.vision_model
        self.connector = model.model.connector
        ids = [tokenizer(c, add_special_tokens=False)["input_ids"][0] for c in CHARACTERS]
        words = model.get_input_embeddings().weight.detach().float()
        self.words: torch.Tensor
        self.register_buffer("words", words[ids].clone(), persistent=False)
        self._variance = float(self.words.var())
        self._section = section

    def say(self, pixels: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """The image tokens [batch, cells, width of the decoder].

        Args:
            pixels: uint8 [batch, height, width], grey.
            places: [batch, cells], each cell's position in its page.
        """
        with torch.autocast("cpu", torch.bfloat16):
            hidden = encode_window(self.tower, normalised(pixels), places)
            return connect(self.connector, hidden).float()

    def likeness(self, said: torch.Tensor) -> torch.Tensor:
        """Logits of each image token's character: [..., characters]."""
        known = functional.normalize(self.words, dim=1)
        return _SHARPNESS * functional.normalize(said, dim=-1) @ known.T

    def forward(
        self, pixels: torch.Tensor, places: torch.Tensor, characters: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """The loss of a batch of windows: likelihood of the characters, distance from their words.

        What `UNKNOWN` marks is not counted; characters are where `align` finds them.
        """
        said = self.say(pixels, places)
        likeness = self.likeness(said)
        asked = aligned(likeness.detach(), characters).flatten()
        known = asked >= 0
        said, likeness = said.flatten(0, 1)[known], likeness.flatten(0, 1)[known]
        asked = asked[known]
        weights = torch.where(asked == _BLANK, self._section.blank_weight, 1.0)
        surprise = functional.cross_entropy(likeness, asked, reduction="none")
        distance = (said - self.words[asked]).square().mean(1) / self._variance
        loss = surprise + self._section.distance_weight * distance
        return {"loss": (loss * weights).sum() / weights.sum()}

    def read(self, pixels: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """The likeness of each image token to each character: [batch, cells, characters]."""
        with torch.no_grad():
            return self.likeness(self.say(pixels, places))


def aligned(likeness: torch.Tensor, characters: torch.Tensor) -> torch.Tensor:
    """The characters of windows where the tower sees them: [batch, cells].

    Args:
        likeness: [batch, cells, characters], as `PlaceReader.likeness` gives.
        characters: [batch, rows, columns].
    """
    rows = characters.flatten(0, 1)
    likelihoods = likeness.log_softmax(-1).reshape(*rows.shape, -1)
    return align(likelihoods, rows).reshape(characters.shape).flatten(1)


def make_optimizer(reader: PlaceReader, section: PlaceSection) -> MuonAndAdamW:
    """Muon for the tower's layers; AdamW for all else: the tower's ends, the connector."""
    layers = reader.tower.encoder.parameters()
    matrices = [weight for weight in layers if weight.ndim == 2]  # noqa: PLR2004 - a matrix
    of_muon = {id(weight) for weight in matrices}
    rest = [weight for weight in reader.parameters() if id(weight) not in of_muon]
    return MuonAndAdamW(
        (matrices, section.learning_rate),
        [{"params": rest, "lr": section.other_learning_rate}],
        betas=(0.9, 0.98),
    )


def train_places(
    section: PlaceSection,
    *,
    seed: int,
    threads: int,
    out: Path,
    pages: Sequence[ReadPage] = (),
    start: Path | None = None,
    decoder: str = NAME,
) -> Path:
    """Trains tower and connector; goes on from the newest checkpoint under `out`.

    Args:
        section: how long and how fast.
        seed: of the pictures and of the start.
        threads: of torch.
        out: checkpoints, logs, pictures, and at the end the weights.
        pages: real pages to learn from beside what is drawn; the last `section.measured` of them
            are held out and measured.
        start: a file of tower and connector to begin from; None begins with untrained ones.
        decoder: as `load_base` takes it.

    Returns:
        The file of tower and connector, as `seeing.load_parts` takes it.
    """
    torch.set_num_threads(threads)
    model, processor = load_seeing(seed, decoder)
    if start is not None:
        load_parts(model, start)
    reader = PlaceReader(model, processor.tokenizer, section)
    learned = pages[: max(0, len(pages) - section.measured)]
    held_out = held_out_windows(seed, pages[len(learned) :], _HELD_OUT)
    trainer = Trainer(
        model=reader,
        args=stage_arguments(
            section,
            out,
            seed,
            batch=1,
            logging_steps=20,
            max_grad_norm=0.0,  # neither optimiser minds how large a slope is
            dataloader_num_workers=section.workers,
            dataloader_prefetch_factor=_DRAWN_AHEAD if section.workers else None,
        ),
        train_dataset=AskedWindows(seed, section.steps, section.batch, learned),
        data_collator=lambda batches: batches[0],
        optimizers=(make_optimizer(reader, section), None),
        callbacks=[_Measure(held_out, section.picture_steps, out / "pictures")],
    )
    trainer.train(resume_from_checkpoint=newest_checkpoint(out))
    return save_parts(model, out)


def measure(reader: PlaceReader, windows: dict[str, torch.Tensor]) -> dict[str, float]:
    """How much of windows is read.

    Returns:
        `found`: of the characters, the share that is read in its cell or, in order, in the one
        before or after; `precision`: of the cells read as a character, the share that is right so.
    """
    likeness = reader.read(windows["pixels"], windows["places"])
    asked, read = aligned(likeness, windows["characters"]), likeness.argmax(-1)
    right = ((read == asked) & (asked > _BLANK)).sum()
    named = ((read != _BLANK) & (asked >= 0)).sum()
    return {
        "found": float(right / (asked > _BLANK).sum().clamp(min=1)),
        "precision": float(right / named.clamp(min=1)),
    }


class _Measure(TrainerCallback):  # type: ignore[misc]
    """Figures of held-out windows, and the first one as it is read, as files too."""

    def __init__(self, windows: dict[str, torch.Tensor], every: int, folder: Path) -> None:
        self._every, self._folder, self._windows = every, folder, windows
        folder.mkdir(parents=True, exist_ok=True)
        self._board = SummaryWriter(str(folder))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Every so many steps."""
        if state.global_step % self._every:
            return
        reader: PlaceReader = kwargs["model"]
        figures = measure(reader, self._windows)
        for name, value in figures.items():
            self._board.add_scalar(f"held_out/{name}", value, state.global_step)
        first = {name: tensor[:1] for name, tensor in self._windows.items()}
        side = first["characters"].shape[1:]
        likeness = reader.read(first["pixels"], first["places"])
        grid = likeness[0].argmax(-1).reshape(side).numpy()
        picture = reading_picture(first["pixels"][0].numpy(), grid)
        picture.save(self._folder / "latest.png")
        (self._folder / "latest.txt").write_text(grid_text(grid) + "\n")
        pixels = np.asarray(picture)
        self._board.add_image("held_out/read", pixels, state.global_step, dataformats="HWC")
        shown = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
        print(f"step {state.global_step}: {shown}", flush=True)
