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
    """The stage of tower and connector, on windows of 16 x 16 cells.

    Attributes:
        steps: optimiser steps.
        batch: windows in a step.
        generated: receipts, and as many travel documents, that are drawn and learned from beside
            the real receipts.
        workers: processes that draw windows beside the step; 0 draws them in between.
        learning_rate: Muon's, of the matrices of the tower's layers; peak, falls as a cosine after
            `warmup_steps`.
        other_learning_rate: AdamW's, of all else in the tower and of the connector, likewise.
        blank_weight: of the loss of cells without a character.
        distance_weight: of an image token's distance from its character's embedding, beside the
            likelihood of the character.
        measured: real pages that are held out and measured.
        save_steps: steps between checkpoints.
        picture_steps: steps between measurements with pictures and samples in TensorBoard.
    """

    steps: int = Field(gt=0)
    batch: int = Field(gt=0)
    generated: int = Field(ge=0)
    workers: int = Field(ge=0)
    learning_rate: float = Field(gt=0)
    other_learning_rate: float = Field(gt=0)
    warmup_steps: int = Field(ge=0)
    blank_weight: float = Field(gt=0, le=1)
    distance_weight: float = Field(ge=0)
    measured: int = Field(ge=0)
    save_steps: int = Field(gt=0)
    picture_steps: int = Field(gt=0)


class DocumentSection(_Section):
    """The documents that the decoder is asked about, and how they are shown.

    Attributes:
        sroie: examples from real receipts, drawn in whole passes; each is asked from its lines and
            from its page.
        receipts: generated receipts, likewise.
        passports: generated travel documents, likewise.
        others: pages that are neither; the answer to every question about them is empty.
        parts: bands of pages of real receipts and generated documents, of which the text is asked.
        read_documents: generated documents of each kind that our OCR reads; the lines of the others
            get its typical errors by imitation.
        measured: documents of each kind that are held out, asked in both ways, and measured.
        layout: how the prompts show where lines stand.
        pages: the view of pages, as a version's card has it; see `extraction.page_view`.
    """

    sroie: int = Field(ge=0)
    receipts: int = Field(ge=0)
    passports: int = Field(ge=0)
    others: int = Field(ge=0)
    parts: int = Field(ge=0)
    read_documents: int = Field(ge=0)
    measured: int = Field(ge=0)
    layout: Layout
    pages: dict[str, bool | int]

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
        """How pages are shown."""
        return PageView.read(self.pages)


class AnswerSection(_Section):
    """A stage in which the decoder's adapter learns to answer.

    Attributes:
        adapter: folder of an adapter that it begins from; empty for what the stage before came to,
            or for the one that ships where there is none.
        rank: of the adapter; alpha is twice the rank.
        steps: optimiser steps.
        lines_in_step: questions of a step that are answered from lines, so that the adapter does
            not forget how.
        alone_in_step: questions that are answered from the page alone.
        parts_in_step: bands that are written out.
        learning_rate: of the adapter; peak, falls as a cosine after `warmup_steps`.
        share: of what was learned in the adapter that comes out; the rest is the one that the first
            of these stages began from.
        save_steps: steps between checkpoints.
        picture_steps: steps between measurements with pictures and samples in TensorBoard.
    """

    adapter: str
    rank: int = Field(gt=0)
    steps: int = Field(gt=0)
    lines_in_step: int = Field(ge=0)
    alone_in_step: int = Field(ge=0)
    parts_in_step: int = Field(ge=0)
    learning_rate: float = Field(gt=0)
    warmup_steps: int = Field(ge=0)
    share: float = Field(gt=0, le=1)
    save_steps: int = Field(gt=0)
    picture_steps: int = Field(gt=0)


class Curriculum(_Section):
    """The stages in their order, and what the last two ask about."""

    seed: int
    threads: int = Field(gt=0)
    places: PlaceSection
    documents: DocumentSection
    bands: AnswerSection
    fields: AnswerSection


def load_curriculum(path: Path = CURRICULUM) -> Curriculum:
    """Reads a curriculum.

    Raises:
        pydantic.ValidationError: an unknown key, or a value out of its range.
    """
    return Curriculum.model_validate(tomllib.loads(path.read_text()))
