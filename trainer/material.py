"""What a run learns from and is judged on, fixed in its folder when it begins.

Corrections go on coming while a run trains, and a run that goes on after a crash must see what it
saw before; so the set is read from the database once.
"""

import io
import json
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from pydantic import TypeAdapter

from db.blobs import BlobStore
from db.queries.runs import add_run_examples
from db.tables import TrainingRun
from extraction.document_types.document import DOCUMENT
from extraction.document_types.graph import GRAPH
from extraction.errors import DocloopError
from extraction.page_view import PageView
from extraction.traits import ModelTraits
from trainer.confirmed_pages import confirmed_tests
from trainer.dataset import RunDataset, TrainingExample, read_dataset
from trainer.evaluate import EvaluationItem
from trainer.rewards import Task, encode_task
from trainer.run import Run
from trainer.spelling_habit import answers_in_capitals
from trainer.stage import EXAMPLES, MATERIAL, read_json, write_json

_PAGES = "pages"
_ITEMS = TypeAdapter(tuple[EvaluationItem, ...])


class NoTraits(DocloopError):
    """The champion's folder does not say how it is asked.

    Args:
        folder: it.
    """

    slug = "no-traits"

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        super().__init__(f"{folder} has no docloop.json, so nothing can be trained from it.")


@dataclass(frozen=True, slots=True)
class Material:
    """The set of a run.

    Attributes:
        examples: file with a row an example: `prompt`, `completion`, `task`, `image_files`.
        selection: what ingredients are chosen by.
        gate: what nothing is chosen by.
        capitals: whether people answer in capitals what the page does not; None: nothing told.
        types: what the versions' cards say of types that they write; None leaves it as it was.
        manifest: all of it as ids and hashes.
    """

    examples: Path
    selection: tuple[EvaluationItem, ...]
    gate: tuple[EvaluationItem, ...]
    capitals: bool | None
    types: tuple[str, ...] | None
    manifest: Mapping[str, Any]

    def task(self) -> dict[str, Any]:
        """What a stage that trains is told of it."""
        return {"examples": str(self.examples)}

    def forget(self) -> None:
        """Removes what holds the documents' text and pages; ids and hashes stay."""
        self.examples.unlink(missing_ok=True)
        shutil.rmtree(self.examples.with_name(_PAGES), ignore_errors=True)
        kept: dict[str, Any] = {
            "items": [],
            "capitals": self.capitals,
            "types": self.types,
            "manifest": dict(self.manifest),
        }
        write_json(self.examples.with_name(MATERIAL), kept)


def read_traits(folder: Path) -> ModelTraits:
    """How a version is asked.

    Raises:
        NoTraits: its folder does not say.
    """
    traits = ModelTraits.load(folder)
    if traits is None:
        raise NoTraits(folder)
    return traits


async def gather(run: Run, blobs: BlobStore | None) -> Material:
    """The run's set: as it was fixed, or from the database where the run begins."""
    kept = read_json(run.folder / MATERIAL)
    if kept is None:
        async with run.shown("examples"):
            kept = await _fix(run, blobs)
    items = _ITEMS.validate_python(kept["items"])
    return Material(
        examples=run.folder / EXAMPLES,
        selection=tuple(item for item in items if item.set_name == "selection"),
        gate=tuple(item for item in items if item.set_name != "selection"),
        capitals=kept["capitals"],
        types=None if kept.get("types") is None else tuple(kept["types"]),
        manifest=kept["manifest"],
    )


async def _fix(run: Run, blobs: BlobStore | None) -> dict[str, Any]:
    traits = read_traits(run.champion_folder)
    async with run.sessions.begin() as session:
        dataset = await read_dataset(session, run.profile, traits=traits, champion_id=run.champion)
        await add_run_examples(session, run.id, dataset.manifest.rows())
        row = await session.get(TrainingRun, run.id)
        if row is not None:
            row.manifest = dataset.manifest.as_json()
    await _write_rows(run, dataset, traits, blobs)
    items = tuple(EvaluationItem.of_holdout(item) for item in dataset.holdout)
    kept = {
        "items": _ITEMS.dump_python(items, mode="json"),
        "capitals": answers_in_capitals([*dataset.train, *dataset.replay]),
        "types": _written_types(dataset, traits, run.profile.data.least_examples),
        "manifest": dataset.manifest.as_json(),
    }
    write_json(run.folder / MATERIAL, kept)
    return kept


def _written_types(dataset: RunDataset, traits: ModelTraits, least: int) -> list[str] | None:
    """The types that the run teaches a model to write; None where it knows them all.

    Pages and graphs are not asked of a model that never saw enough of them, and after so many
    examples it is: then the gate decides whether that is better.
    """
    counts = Counter(example.asked.document_type.name for example in dataset.train)
    learned = {name for name in (DOCUMENT.name, GRAPH.name) if counts[name] >= least}
    return sorted(traits.types | learned) if learned - traits.types else None


async def _write_rows(
    run: Run, dataset: RunDataset, traits: ModelTraits, blobs: BlobStore | None
) -> None:
    pages = run.folder / _PAGES
    pages.mkdir(exist_ok=True)
    partial = run.folder / f"{EXAMPLES}.partial"
    with partial.open("w") as file:
        for example in dataset.mixed():
            row = {
                **example.example.as_row(),
                "task": encode_task(_task(example)),
            }
            if traits.sees_images:
                row["image_files"] = await _keep_pages(example, pages, blobs, traits.pages)
            file.write(json.dumps(row) + "\n")
    partial.rename(run.folder / EXAMPLES)


def _task(example: TrainingExample) -> Task:
    name = str(example.ids.document_id) if example.ids else str(example.base_key)
    tests = confirmed_tests(example.asked, example.reference, name)
    return Task(example.asked, dict(example.reference), tuple(example.lines), tests)


async def _keep_pages(
    example: TrainingExample, pages: Path, blobs: BlobStore | None, view: PageView
) -> list[str]:
    """The first page of an example as a file, of the size in which serving shows it, if it does."""
    alone = not example.lines
    if not view.shows_any(alone=alone):
        return []
    if example.base_key is not None:
        from trainer.replay import generate

        name, content = example.base_key.replace("/", "-"), b""
        page = generate(example.base_key).image.convert("RGB")
    elif blobs is None or not example.page_blob_keys:
        return []
    else:
        name = example.page_blob_keys[0]
        content = await blobs.get(name)
        page = Image.open(io.BytesIO(content))
    shown = view.fit(page, view.side([page.size], alone=alone))
    path = pages / f"{name}{'-alone' if alone else ''}.jpg"
    if content and shown is page:
        path.write_bytes(content)  # not encoded a second time
    else:
        shown.save(path, quality=90)
    return [str(path)]


def count_parts(manifest: Mapping[str, Any]) -> dict[tuple[str, str], int]:
    """(document type, part) -> documents; the holdout by its two subsets, base data as replay."""
    counts: dict[tuple[str, str], int] = {}
    for entry in manifest["entries"]:
        key = (entry["document_type"], entry.get("subset") or entry["part"])
        counts[key] = counts.get(key, 0) + 1
    for entry in manifest["base"]:
        key = (entry["document_type"], "base")
        counts[key] = counts.get(key, 0) + 1
    return counts
