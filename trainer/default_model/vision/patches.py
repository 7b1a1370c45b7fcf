"""First stage: the tower learns which characters lie in each patch.

Pages drawn here come with each character's place, so every patch has an answer of its own. That
teaches reading with far fewer pages than answers of whole pages would: a piece of 256 x 256 pixels
asks 2,048 questions. The stage's head is thrown away afterwards; the connector takes its place.
"""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.utils.data import Dataset
from torch.utils.tensorboard import SummaryWriter
from transformers import Trainer, TrainerCallback

from trainer.default_model.vision.arguments import DRAWN_AHEAD, stage_arguments
from trainer.default_model.vision.characters import BLANK, CELLS, CLASSES, cell_classes
from trainer.default_model.vision.pictures import reading_picture
from trainer.default_model.vision.plan import PatchSection
from trainer.default_model.vision.quarters import ACROSS, normalised, quarters_of
from trainer.default_model.vision.tower import HIDDEN, TILE, build_tower, encode_window
from trainer.stage import newest_checkpoint
from trainer.synth.vision.glyphs import make_tile

_HELD_OUT = 4  # tiles that are measured and never learned from


class PatchReader(torch.nn.Module):
    """The tower with a head that names each cell's character."""

    def __init__(self, seed: int, blank_weight: float) -> None:
        super().__init__()
        self.tower = build_tower(seed)
        self.head = torch.nn.Linear(HIDDEN, CELLS * CLASSES)
        weights = torch.ones(CLASSES)
        weights[BLANK] = blank_weight
        self.weights: torch.Tensor
        self.register_buffer("weights", weights, persistent=False)

    def forward(
        self, pixels: torch.Tensor, places: torch.Tensor, labels: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """Logits of each cell and, with labels, the weighted cross-entropy.

        Args:
            pixels: uint8 [batch, height, width], grey.
            places: [batch, patches], each patch's position in its tile.
            labels: [batch, patches, 8], classes.
        """
        with torch.autocast("cpu", torch.bfloat16):
            hidden = encode_window(self.tower, normalised(pixels), places)
            logits = self.head(hidden).unflatten(-1, (CELLS, CLASSES))
        if labels is None:
            return {"logits": logits}
        loss = functional.cross_entropy(
            logits.float().flatten(0, 2), labels.flatten(), weight=self.weights
        )
        return {"loss": loss, "logits": logits}


class Quarters(Dataset[dict[str, torch.Tensor]]):
    """Quarters of drawn tiles, four of each; the same for the same seed and index."""

    def __init__(self, seed: int, count: int) -> None:
        self._seed, self._count = seed, count

    def __len__(self) -> int:
        """How many tiles."""
        return self._count

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """The four pieces of one tile, stacked."""
        return pieces_of_tile(random.Random(f"{self._seed}/tile/{index}"))


def pieces_of_tile(rng: random.Random) -> dict[str, torch.Tensor]:
    """One tile as four pieces: `pixels` [4, 256, 256], `places` [4, 256], `labels` [4, 256, 8]."""
    glyphs = make_tile(rng, TILE)
    classes = cell_classes(glyphs.characters, glyphs.boxes, TILE, TILE)
    found: dict[str, list[np.ndarray]] = {"pixels": [], "places": [], "labels": []}
    for quarter in quarters_of(glyphs.image):
        found["pixels"].append(quarter.pixels)
        found["places"].append(quarter.places)
        found["labels"].append(classes[quarter.rows, quarter.columns].reshape(-1, CELLS))
    return {name: torch.from_numpy(np.stack(arrays)) for name, arrays in found.items()}


def together(tiles: Sequence[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The pieces of several tiles as one batch."""
    return {name: torch.cat([tile[name] for tile in tiles]) for name in tiles[0]}


def train_patches(section: PatchSection, *, seed: int, threads: int, out: Path) -> Path:
    """Trains the tower; goes on from the newest checkpoint under `out`.

    Returns:
        The file of the tower's weights.
    """
    torch.set_num_threads(threads)
    reader = PatchReader(seed, section.blank_weight)
    tiles = section.batch // 4
    trainer = Trainer(
        model=reader,
        args=stage_arguments(
            section,
            out,
            seed,
            batch=tiles,
            logging_steps=20,
            learning_rate=section.learning_rate,
            weight_decay=0.05,
            adam_beta2=0.98,
            **DRAWN_AHEAD,
        ),
        train_dataset=Quarters(seed, section.steps * tiles),
        data_collator=together,
        callbacks=[_Measure(seed, section.picture_steps, out / "pictures")],
    )
    trainer.train(resume_from_checkpoint=newest_checkpoint(out))
    weights = out / "tower.pt"
    torch.save(reader.tower.state_dict(), weights)
    return weights


def measure(reader: PatchReader, tiles: dict[str, torch.Tensor]) -> dict[str, float]:
    """How much of held-out tiles is read.

    Returns:
        `found`: of the cells with a character, the share read as that character; `precision`: of
        the cells read as a character, the share that hold it.
    """
    with torch.no_grad():
        read = reader(tiles["pixels"], tiles["places"])["logits"].argmax(-1)
    labels = tiles["labels"]
    right = ((read == labels) & (labels != BLANK)).sum()
    return {
        "found": float(right / (labels != BLANK).sum().clamp(min=1)),
        "precision": float(right / (read != BLANK).sum().clamp(min=1)),
    }


class _Measure(TrainerCallback):  # type: ignore[misc]
    """Figures and pictures of held-out tiles in TensorBoard and as files."""

    def __init__(self, seed: int, every: int, folder: Path) -> None:
        self._every, self._folder = every, folder
        self._tiles = together(
            [pieces_of_tile(random.Random(f"{seed}/held-out/{i}")) for i in range(_HELD_OUT)]
        )
        folder.mkdir(parents=True, exist_ok=True)
        self._board = SummaryWriter(str(folder))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Every so many steps."""
        if state.global_step % self._every:
            return
        reader = kwargs["model"]
        figures = measure(reader, self._tiles)
        with torch.no_grad():
            one = self._tiles["pixels"][:1]
            read = reader(one, self._tiles["places"][:1])["logits"].argmax(-1)
        classes = read[0].reshape(ACROSS, ACROSS, CELLS).numpy()
        picture = reading_picture(one[0].numpy(), classes)
        picture.save(self._folder / "latest.png")
        for name, value in figures.items():
            self._board.add_scalar(f"held_out/{name}", value, state.global_step)
        self._board.add_image(
            "held_out/read", np.asarray(picture), state.global_step, dataformats="HWC"
        )
        shown = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
        print(f"step {state.global_step}: {shown}", flush=True)
