"""What a run learns from and what it is judged on: corrections -> examples, replay, holdout.

    learnable -> type -> what is confirmed -> as the page prints it -> example

A document that is held out is never trained on, and neither is one that looks like it. The same
corrections and the same seed give the same set in the same order.
"""

import hashlib
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from db.queries.learning import Learnable, list_learnable
from db.queries.models import get_model
from db.queries.runs import LEARNT, list_run_examples
from db.tables import ExamplePart
from extraction.lines import Line
from extraction.prompt import Asked
from extraction.traits import ModelTraits
from trainer.confirmed import lines_of
from trainer.examples import Example, make_example
from trainer.manifest import BaseEntry, Entry, Manifest, hash_of
from trainer.printed import Printer, predicted_of
from trainer.profile import Profile
from trainer.replay import BaseExample, base_examples
from trainer.sides import Usable, shown_lines, sort
from trainer.type_lookup import Types, find_types

Part = Literal["train", "replay"]
Subset = Literal["selection", "gate"]

_SELECTION_MARK = b"docloop selection"
_ASKED = ("reasoning", "format", "ocr", "entity_types", "relation_types")


@dataclass(frozen=True, slots=True)
class ExampleIds:
    """The rows behind an example."""

    tenant_id: UUID
    correction_id: UUID
    prediction_id: UUID
    document_id: UUID
    content_sha256: bytes


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """What a model learns from.

    Attributes:
        example: prompt and answer.
        asked: the question: the type with the confirmed fields.
        reference: the confirmed values as JSON, nested; None (or []) is confirmed to be absent.
        lines: what was shown.
        part: "train", or "replay" for what the champion has learnt before and for base examples.
        ids: the rows behind it; None for a base example.
        page_blob_keys: the pages, in order, for a model that sees; else empty.
        base_key: makes a base example's page again (`trainer.replay.generate`); else None.
    """

    example: Example
    asked: Asked
    reference: Mapping[str, Any]
    lines: tuple[Line, ...]
    part: Part
    ids: ExampleIds | None = None
    page_blob_keys: tuple[str, ...] = ()
    base_key: str | None = None


@dataclass(frozen=True, slots=True)
class HoldoutItem:
    """A question that champion and candidates answer through the serving code.

    Attributes:
        tenant_id: whose.
        document_id: which document.
        prediction_id: what was corrected.
        correction_id: the human's word.
        document_type: name of the type.
        version: of the type.
        asked_fields: as the caller asked; None for all.
        options: of the request, as the prediction keeps them.
        reference: confirmed values as JSON, of the confirmed fields alone.
        subset: "selection" chooses ingredients, "gate" is for the gate alone.
    """

    tenant_id: UUID
    document_id: UUID
    prediction_id: UUID
    correction_id: UUID
    document_type: str
    version: int | None
    asked_fields: tuple[str, ...] | None
    options: Mapping[str, Any]
    reference: Mapping[str, Any]
    subset: Subset

    @property
    def set_name(self) -> str:
        """The set's name in the table `evaluations`."""
        return "selection" if self.subset == "selection" else "holdout"


@dataclass(frozen=True)
class RunDataset:
    """The set of a run.

    Attributes:
        train: from new corrections, shuffled with the seed.
        replay: from corrections that the champion learnt from, and generated; shuffled likewise.
        holdout: by correction.
        manifest: all of it as ids and hashes.
    """

    train: tuple[TrainingExample, ...]
    replay: tuple[TrainingExample, ...]
    holdout: tuple[HoldoutItem, ...]
    manifest: Manifest

    def mixed(self) -> tuple[TrainingExample, ...]:
        """Training and replay in the one order in which they are learnt."""
        examples = [*self.train, *self.replay]
        random.Random(f"{self.manifest.seed}/mixed").shuffle(examples)
        return tuple(examples)


async def read_dataset(
    session: AsyncSession,
    profile: Profile,
    *,
    traits: ModelTraits,
    champion_id: str | None,
    seed: int | None = None,
) -> RunDataset:
    """The set of a run that begins now: of all tenants' corrections that nobody doubts.

    Args:
        session: to read with.
        profile: the run's.
        traits: of the champion; how it is asked.
        champion_id: the version to begin from; what it and its parents learnt from is replayed.
        seed: the profile's where None.
    """
    learnables = await list_learnable(session)
    return build_dataset(
        learnables,
        profile,
        types=await find_types(session, learnables),
        learnt=await learnt_by(session, champion_id),
        traits=traits,
        seed=seed,
    )


async def learnt_by(session: AsyncSession, version: str | None) -> frozenset[UUID]:
    """The corrections that a version and its parents were trained on."""
    learnt: set[UUID] = set()
    while version is not None:
        model = await get_model(session, version)
        if model.training_run_id is not None:
            rows = await list_run_examples(session, model.training_run_id)
            learnt |= {row.correction_id for row in rows if row.part in LEARNT}
        version = model.parent_id
    return frozenset(learnt)


def build_dataset(
    learnables: Sequence[Learnable],
    profile: Profile,
    *,
    types: Types,
    traits: ModelTraits,
    learnt: Collection[UUID] = frozenset(),
    seed: int | None = None,
) -> RunDataset:
    """The set of a run.

    Args:
        learnables: predictions with their accepted corrections, holdout included.
        profile: how much is taken, and how much is replayed.
        types: the predictions' types; what has none is dropped.
        traits: of the champion: the prompt's style, and whether pages are shown.
        learnt: corrections that the champion has learnt from already.
        seed: of the order, the replay and the base examples; the profile's where None.
    """
    seed = profile.seed if seed is None else seed
    ordered = sorted(learnables, key=lambda item: item.correction.id)
    sides = sort(ordered, profile.data, types, traits, frozenset(learnt))
    rng = random.Random(f"{seed}/dataset")
    train = [_example(item, traits, "train") for item in sides.train]
    count = round(profile.data.replay_ratio * len(train))
    again = sorted(
        rng.sample(sides.learnt, min(count // 2, len(sides.learnt))),
        key=lambda item: item.learnable.correction.id,
    )
    replay = [_example(item, traits, "replay") for item in again]
    base = base_examples(count - len(again), traits, seed=seed)
    holdout = tuple(_holdout_item(item, ordered, profile) for item in sides.holdout)
    manifest = Manifest(
        seed=seed,
        entries=(
            *(_entry(item, made) for item, made in zip(sides.train, train, strict=True)),
            *(_entry(item, made) for item, made in zip(again, replay, strict=True)),
            *(_holdout_entry(u, i) for u, i in zip(sides.holdout, holdout, strict=True)),
        ),
        base=tuple(_base_entry(item) for item in base),
        dropped=tuple(sides.dropped),
    )
    replay += [_of_base(item) for item in base]
    rng.shuffle(train)
    rng.shuffle(replay)
    return RunDataset(tuple(train), tuple(replay), holdout, manifest)


def _example(item: Usable, traits: ModelTraits, part: Part) -> TrainingExample:
    learnable, confirmed = item.learnable, item.confirmed
    lines = shown_lines(learnable)
    asked = Asked(
        confirmed.document_type,
        confirmed.answer_format,
        style=traits.style,
        layout=traits.layout,
    )
    printer = Printer(lines_of(learnable.pages), predicted_of(learnable.prediction.fields))
    record = {
        spec.name: printer.printed(spec, confirmed.reference[spec.name])
        for spec in confirmed.document_type.fields
    }
    source = f"correction/{learnable.correction.id}"
    return TrainingExample(
        example=make_example(asked, lines, record, source=source),
        asked=asked,
        reference=confirmed.reference,
        lines=lines,
        part=part,
        ids=ExampleIds(
            tenant_id=learnable.tenant_id,
            correction_id=learnable.correction.id,
            prediction_id=learnable.prediction.id,
            document_id=learnable.document_id,
            content_sha256=learnable.content_sha256,
        ),
        page_blob_keys=tuple(page.blob_key for page in learnable.pages if page.has_image)
        if traits.sees_images
        else (),
    )


def _of_base(item: BaseExample) -> TrainingExample:
    return TrainingExample(
        example=item.example,
        asked=item.asked,
        reference=item.reference,
        lines=item.lines,
        part="replay",
        base_key=item.key,
    )


def _holdout_item(item: Usable, ordered: Sequence[Learnable], profile: Profile) -> HoldoutItem:
    learnable, confirmed = item.learnable, item.confirmed
    prediction = learnable.prediction
    # The cluster's first document decides for all of it, by its content alone.
    first = ordered[item.cluster].content_sha256
    drawn = hashlib.sha256(_SELECTION_MARK + first).digest()
    share = int.from_bytes(drawn[:8], "big") / 2**64
    return HoldoutItem(
        tenant_id=learnable.tenant_id,
        document_id=learnable.document_id,
        prediction_id=prediction.id,
        correction_id=learnable.correction.id,
        document_type=prediction.document_type,
        version=prediction.document_type_version,
        asked_fields=None if prediction.asked_fields is None else tuple(prediction.asked_fields),
        options={name: prediction.options[name] for name in _ASKED if name in prediction.options},
        reference=confirmed.reference,
        subset="selection" if share < profile.data.selection_ratio else "gate",
    )


def _entry(item: Usable, made: TrainingExample) -> Entry:
    content = [list(made.example.messages), made.example.completion]
    return _entry_of(item, ExamplePart(made.part), hash_of(content))


def _holdout_entry(item: Usable, made: HoldoutItem) -> Entry:
    return _entry_of(item, ExamplePart.HOLDOUT, hash_of(dict(made.reference)), made.subset)


def _entry_of(
    item: Usable, part: ExamplePart, example_sha256: str, subset: str | None = None
) -> Entry:
    learnable = item.learnable
    return Entry(
        part=part,
        correction_id=learnable.correction.id,
        prediction_id=learnable.prediction.id,
        document_id=learnable.document_id,
        content_sha256=learnable.content_sha256,
        document_type=learnable.prediction.document_type,
        document_type_version=learnable.prediction.document_type_version,
        fields=item.confirmed.fields,
        example_sha256=example_sha256,
        subset=subset,
    )


def _base_entry(item: BaseExample) -> BaseEntry:
    content = [list(item.example.messages), item.example.completion]
    return BaseEntry(
        key=item.key,
        document_type=item.asked.document_type.name,
        fields=item.asked.document_type.field_names,
        example_sha256=hash_of(content),
    )
