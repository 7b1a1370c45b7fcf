"""Corrections as a data set that TRL takes as it is, so that nobody's work is locked in here.

    train.jsonl, holdout.jsonl   a row a correction: prompt and completion as chats, and facts
    images/                      the pages, where they were asked for
    README.md                    what it is

Prompts are built by the code that serves and answers by the code that trains, so that a row is what
a cycle would learn from; `record` is the whole corrected record for whoever wants another form.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from db.blobs import BlobStore
from db.queries.learning import Learnable, list_given, list_learnable
from extraction.prompt import Asked, PromptStyle
from trainer.confirmed import confirmed_of, lines_of
from trainer.examples import make_example
from trainer.printed import Printer, predicted_of
from trainer.sides import shown_lines
from trainer.type_lookup import Types, find_types, type_key

IMAGES = "images"
_README = """\
# Corrections, exported from docloop

{counts}

Each line of `train.jsonl` and `holdout.jsonl` is one correction: `prompt` and `completion` are
chats as TRL's `SFTTrainer` takes them. `reference` holds the confirmed values, `record` the whole
corrected record, `images` the pages' files where they were exported. `accepted` is false where a
correction waits for a second person, or was never screened. Keep the holdout out of training: the
service compares versions by it.

    from datasets import load_dataset
    rows = load_dataset("json", data_files={{"train": "train.jsonl", "test": "holdout.jsonl"}})
"""


@dataclass(frozen=True, slots=True)
class Choice:
    """What to export; None does not restrict.

    Attributes:
        tenant_id: whose.
        document_type: of this type alone.
        everything: also what is held in quarantine or was not screened yet.
        style: of the prompts.
    """

    tenant_id: UUID | None = None
    document_type: str | None = None
    everything: bool = False
    style: PromptStyle = PromptStyle.COMPACT


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote.

    Attributes:
        counts: (document type, part) -> rows.
        skipped: corrections that say nothing a model could be asked for.
    """

    counts: Mapping[tuple[str, str], int]
    skipped: int


async def export_corrections(
    session: AsyncSession, folder: Path, choice: Choice, blobs: BlobStore | None = None
) -> Exported:
    """Write the data set.

    Args:
        session: to read with.
        folder: made; it must be new.
        choice: which corrections.
        blobs: where the pages are; None leaves them out.

    Raises:
        FileExistsError: the folder is there.
    """
    await asyncio.to_thread(folder.mkdir, parents=True)
    accepted = await list_learnable(session)
    known = {one.correction.id for one in accepted}
    wanted = [
        one
        for one in (await list_given(session) if choice.everything else accepted)
        if choice.tenant_id in {None, one.tenant_id}
        and choice.document_type in {None, one.prediction.document_type}
    ]
    types = await find_types(session, wanted)
    counts: Counter[tuple[str, str]] = Counter()
    with (folder / "train.jsonl").open("w") as train, (folder / "holdout.jsonl").open("w") as held:
        for one, row in _rows(wanted, types, choice):
            row["accepted"] = one.correction.id in known
            row["images"] = await _pages(folder, one, blobs)
            part = "holdout" if one.holdout else "train"
            (held if one.holdout else train).write(json.dumps(row, ensure_ascii=False) + "\n")
            counts[one.prediction.document_type, part] += 1
    lines = [f"- {kind}, {part}: {count}" for (kind, part), count in sorted(counts.items())]
    (folder / "README.md").write_text(_README.format(counts="\n".join(lines) or "It is empty."))
    return Exported(dict(counts), len(wanted) - counts.total())


def _rows(
    learnables: Sequence[Learnable], types: Types, choice: Choice
) -> Iterator[tuple[Learnable, dict[str, Any]]]:
    for one in learnables:
        document_type = types.get(type_key(one.prediction))
        confirmed = None if document_type is None else confirmed_of(one, document_type)
        if confirmed is None:
            continue
        asked = Asked(confirmed.document_type, confirmed.answer_format, style=choice.style)
        printer = Printer(lines_of(one.pages), predicted_of(one.prediction.fields))
        printed = {
            spec.name: printer.printed(spec, confirmed.reference[spec.name])
            for spec in confirmed.document_type.fields
        }
        example = make_example(
            asked, shown_lines(one), printed, source=f"correction/{one.correction.id}"
        )
        yield (
            one,
            {
                **example.as_row(),
                "document_type": one.prediction.document_type,
                "verdict": str(one.correction.verdict),
                # Texts: other rows' fields differ, and a column of a data set has one type.
                "reference": json.dumps(confirmed.reference, ensure_ascii=False),
                "record": json.dumps(
                    _merged(one.prediction.record, one.correction.record), ensure_ascii=False
                ),
                "model_version": one.prediction.model_version or "",
                "correction_id": str(one.correction.id),
                "prediction_id": str(one.prediction.id),
                "document_id": str(one.document_id),
                "content_sha256": one.content_sha256.hex(),
                "corrected_at": one.correction.created_at.isoformat(),
            },
        )


async def _pages(folder: Path, one: Learnable, blobs: BlobStore | None) -> list[str]:
    """The pages' files, relative to the folder."""
    if blobs is None:
        return []
    (folder / IMAGES).mkdir(exist_ok=True)
    names = []
    for page in one.pages:
        content = await blobs.get(page.blob_key)
        suffix = "png" if content.startswith(b"\x89PNG") else "jpg"
        name = f"{IMAGES}/{one.document_id}-{page.index}.{suffix}"
        (folder / name).write_bytes(content)
        names.append(name)
    return names


def _merged(record: Mapping[str, Any] | None, said: Mapping[str, Any] | None) -> dict[str, Any]:
    """The record with a person's words over it; a list is sent whole."""
    merged = dict(record or {})
    for name, value in (said or {}).items():
        old = merged.get(name)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[name] = _merged(old, value) if both else value
    return merged
