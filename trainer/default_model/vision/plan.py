"""The curriculum as values: `curriculum.toml`, checked."""

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

CURRICULUM = Path(__file__).with_name("curriculum.toml")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PatchSection(_Section):
    """The tower's own stage.

    Attributes:
        steps: optimiser steps.
        batch: pieces of 256 x 256 pixels in a step, a multiple of four.
        learning_rate: peak; falls as a cosine after `warmup_steps`.
        blank_weight: of the loss of cells without a character.
        save_steps: steps between checkpoints.
        picture_steps: steps between measurements with pictures in TensorBoard.
    """

    steps: int = Field(gt=0)
    batch: int = Field(gt=0, multiple_of=4)
    learning_rate: float = Field(gt=0)
    warmup_steps: int = Field(ge=0)
    blank_weight: float = Field(gt=0, le=1)
    save_steps: int = Field(gt=0)
    picture_steps: int = Field(gt=0)


class ReadingSection(_Section):
    """The stage in which connector and decoder learn to write out what the tower sees.

    Attributes:
        steps: optimiser steps.
        batch: tiles in a step.
        learning_rate: of the decoder's adapter and, where it moves, the tower.
        connector_learning_rate: of the connector.
        rank: of the decoder's adapter; alpha is twice the rank.
        crops: share of images with a few lines.
        blocks: share of images with one block; whole tiles are the rest.
        frozen_tower: share of the steps in which the tower is held still.
    """

    steps: int = Field(gt=0)
    batch: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    connector_learning_rate: float = Field(gt=0)
    warmup_steps: int = Field(ge=0)
    rank: int = Field(gt=0)
    crops: float = Field(ge=0, le=1)
    blocks: float = Field(ge=0, le=1)
    frozen_tower: float = Field(ge=0, le=1)
    save_steps: int = Field(gt=0)
    picture_steps: int = Field(gt=0)


class Curriculum(_Section):
    """All stages, in order."""

    seed: int
    threads: int = Field(gt=0)
    patches: PatchSection
    reading: ReadingSection


def load_curriculum(path: Path = CURRICULUM) -> Curriculum:
    """Reads a curriculum.

    Raises:
        pydantic.ValidationError: an unknown key, or a value out of its range.
    """
    return Curriculum.model_validate(tomllib.loads(path.read_text()))
