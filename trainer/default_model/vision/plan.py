"""The curriculum as values: `curriculum.toml`, checked."""

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator

from extraction.layout import Layout
from extraction.page_view import PageView
from trainer.default_model.sight import Sight

CURRICULUM = Path(__file__).with_name("curriculum.toml")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PlaceSection(_Section):
    """The stage of tower and connector, on drawn tiles of which each is four pieces.

    Attributes:
        steps: optimiser steps.
        batch: pieces of 256 x 256 pixels in a step, a multiple of four.
        learning_rate: Muon's, of the matrices of the tower's layers; peak, falls as a cosine after
            `warmup_steps`.
        other_learning_rate: AdamW's, of all else in the tower and of its head, likewise.
        connector_learning_rate: AdamW's, of the connector, likewise.
        tower_share: how much of the slope of the tokens' loss reaches the tower. At first it is a
            hundred times that of the characters, which teach the tower more.
        blank_weight: of the loss of cells without a character.
        space_weight: of the loss of places where no token begins.
        save_steps: steps between checkpoints.
        picture_steps: steps between measurements with pictures and samples in TensorBoard.
    """

    steps: int = Field(gt=0)
    batch: int = Field(gt=0, multiple_of=4)
    learning_rate: float = Field(gt=0)
    other_learning_rate: float = Field(gt=0)
    connector_learning_rate: float = Field(gt=0)
    tower_share: float = Field(ge=0, le=1)
    warmup_steps: int = Field(ge=0)
    blank_weight: float = Field(gt=0, le=1)
    space_weight: float = Field(gt=0, le=1)
    save_steps: int = Field(gt=0)
    picture_steps: int = Field(gt=0)


class ReadingSection(_Section):
    """The stage in which connector and decoder learn to write out what the tower sees.

    Attributes:
        steps: optimiser steps, each of one kind of image.
        learning_rate: Muon's, of the decoder's adapter; the tower is held still.
        connector_learning_rate: AdamW's, of the connector.
        rank: of the decoder's adapter; alpha is twice the rank.
        adapter: folder of an adapter that the decoder's begins from; empty for none. One that was
            trained on text alone knows already how fields are asked and answered.
        crops: share of steps with images of a few lines.
        blocks: share of steps with images of one block; whole tiles are the rest.
        crops_in_step: images of a step of crops.
        blocks_in_step: images of a step of blocks.
        tiles_in_step: images of a step of tiles.
        rehearsed: questions about fields, from lines alone, beside the images of every step; so
            that the adapter does not forget what it knew.
    """

    steps: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    connector_learning_rate: float = Field(gt=0)
    warmup_steps: int = Field(ge=0)
    rank: int = Field(gt=0)
    adapter: str
    crops: float = Field(ge=0, le=1)
    blocks: float = Field(ge=0, le=1)
    crops_in_step: int = Field(gt=0)
    blocks_in_step: int = Field(gt=0)
    tiles_in_step: int = Field(gt=0)
    rehearsed: int = Field(ge=0)
    save_steps: int = Field(gt=0)
    picture_steps: int = Field(gt=0)


class FieldSection(_Section):
    """The stage in which the model answers with fields, from lines and pages together.

    Attributes:
        sroie: examples from real receipts, drawn in whole passes.
        receipts: generated receipts.
        passports: generated travel documents.
        others: pages that are neither; the answer to every question about them is empty.
        parts: tiles of real receipts and generated documents, of which the text is asked.
        read_documents: generated documents of each kind that our OCR reads; the lines of the others
            get its typical errors by imitation.
        alone: share of the examples with the page and without its lines.
        lines_only: share with the lines and without the page, as a caller's own text.
        layout: how the prompts show where lines stand.
        pages: the view of pages, as a version's card has it; see `extraction.page_view`.
        batch: examples of a step, one after the other.
        learning_rate: of the decoder's adapter.
        sight_learning_rate: of tower and connector; 0 holds them still.
        measured: documents of each kind that are held out, asked in all three ways, and measured.
    """

    sroie: int = Field(ge=0)
    receipts: int = Field(ge=0)
    passports: int = Field(ge=0)
    others: int = Field(ge=0)
    parts: int = Field(ge=0)
    read_documents: int = Field(ge=0)
    alone: float = Field(ge=0, le=1)
    lines_only: float = Field(ge=0, le=1)
    layout: Layout
    pages: dict[str, bool | int]
    batch: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    sight_learning_rate: float = Field(ge=0)
    warmup_steps: int = Field(ge=0)
    measured: int = Field(ge=0)
    save_steps: int = Field(gt=0)
    picture_steps: int = Field(gt=0)

    @field_validator("pages")
    @classmethod
    def _is_view(cls, pages: dict[str, bool | int]) -> dict[str, bool | int]:
        PageView.read(pages)
        return pages

    @property
    def sight(self) -> Sight:
        """How the model that comes out is asked."""
        return Sight(self.layout, self.pages)

    @property
    def view(self) -> PageView:
        """How large pages are shown."""
        return PageView.read(self.pages)


class Curriculum(_Section):
    """All stages, in order."""

    seed: int
    threads: int = Field(gt=0)
    places: PlaceSection
    reading: ReadingSection
    fields: FieldSection


def load_curriculum(path: Path = CURRICULUM) -> Curriculum:
    """Reads a curriculum.

    Raises:
        pydantic.ValidationError: an unknown key, or a value out of its range.
    """
    return Curriculum.model_validate(tomllib.loads(path.read_text()))
