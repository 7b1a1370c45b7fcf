"""Shards and graph texts -> the rows that SFT and GRPO take: prompt, completion, task, picture.

The prompt is built by the code that serves, and the task carries the unit tests, so that the page
rewards judge by them.
"""

import io
import json
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from extraction.document_types.document import DOCUMENT
from extraction.document_types.graph import graph_type
from extraction.plain_text import text_lines
from extraction.prompt import Asked
from extraction.traits import ModelTraits
from trainer.examples import make_example
from trainer.rewards.task import Task, encode_task
from trainer.stage import EXAMPLES
from trainer.synth.ocr_noise import misread
from trainer.synth.pages.facts import ENTITIES, RELATIONS
from trainer.synth.pages.shards import StoredPage, read_shards

Kind = Literal["document", "graph"]

MISREAD_RATE = 0.15
"""Of lines that are imitated as OCR would have read them; no OCR runs."""

_TEXTS = "graph_texts.jsonl"


@dataclass(frozen=True, slots=True)
class GraphText:
    """A plain text with the graph that it states.

    Attributes:
        key: makes it again.
        language: ISO 639-1.
        text: paragraphs apart by a blank line.
        graph: as the type `graph` has it.
    """

    key: str
    language: str
    text: str
    graph: Mapping[str, Any]


def page_rows(
    folder: Path,
    traits: ModelTraits,
    kind: Kind = "document",
    *,
    with_images: bool | None = None,
    complete_only: bool = False,
) -> Iterator[dict[str, Any]]:
    """A row for each page of a folder of shards, in their order.

    Args:
        folder: of `docloop synth pages` or `docloop synth pseudo-label`.
        traits: of the model that is trained; how it is asked.
        kind: "document" asks for the page, "graph" for its graph; then pages without one are left
            out.
        with_images: whether rows have `images`; as the model sees where None.
        complete_only: leaves out pseudo-labelled pages of which something was not kept: their
            Markdown is no answer to learn, though their tests hold.

    Raises:
        NoShards: the folder holds none.
    """
    shown = traits.sees_images if with_images is None else with_images
    for page in read_shards(folder):
        cut = complete_only and not page.facts.get("complete", True)
        if cut or (kind == "graph" and page.graph is None):
            continue
        row = _page_row(page, traits, kind)
        if shown:
            row["images"] = [Image.open(io.BytesIO(page.image)).convert("RGB")]
        yield row


def text_rows(texts: Iterable[GraphText], traits: ModelTraits) -> Iterator[dict[str, Any]]:
    """A row for each plain text: a graph is asked of its lines."""
    for text in texts:
        asked = Asked(graph_type(ENTITIES, tuple(RELATIONS)), style=traits.style)
        lines = tuple(text_lines(text.text))
        example = make_example(asked, lines, text.graph, source=f"synth/{text.key}")
        task = Task(asked, dict(text.graph), lines)
        yield {**example.as_row(), "task": encode_task(task)}


def write_examples(rows: Iterable[dict[str, Any]], folder: Path) -> int:
    """Writes rows as a training stage reads them: `examples.jsonl`, pictures as files beside it.

    Returns:
        How many there were.
    """
    pictures = folder / "pages"
    pictures.mkdir(parents=True, exist_ok=True)
    count = 0
    with (folder / EXAMPLES).open("w", encoding="utf-8") as file:
        for count, row in enumerate(rows, start=1):
            images = row.pop("images", [])
            paths = []
            for number, image in enumerate(images):
                path = pictures / f"{count:06}-{number}.jpg"
                image.save(path, quality=90)
                paths.append(str(path.resolve()))
            if paths:
                row["image_files"] = paths
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return count


def has_texts(folder: Path) -> bool:
    """Whether it is a folder of plain texts."""
    return (folder / _TEXTS).is_file()


def read_texts(folder: Path) -> list[GraphText]:
    """The plain texts of a folder, as `docloop synth texts` writes them."""
    rows = (folder / _TEXTS).read_text(encoding="utf-8").splitlines()
    return [GraphText(**json.loads(row)) for row in rows]


def write_texts(texts: Iterable[GraphText], folder: Path) -> Path:
    """Writes plain texts, one JSON object a line."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _TEXTS
    with path.open("w", encoding="utf-8") as file:
        for text in texts:
            row = {"key": text.key, "language": text.language, "text": text.text}
            file.write(json.dumps({**row, "graph": text.graph}, ensure_ascii=False) + "\n")
    return path


def _page_row(page: StoredPage, traits: ModelTraits, kind: Kind) -> dict[str, Any]:
    rng = random.Random(f"rows/{page.name}")
    lines = tuple(misread(list(page.lines), rng, MISREAD_RATE))
    if kind == "graph":
        document_type = graph_type(ENTITIES, tuple(RELATIONS))
        record: dict[str, Any] = dict(page.graph or {})
        tests: tuple[dict[str, Any], ...] = ()
    else:
        document_type = DOCUMENT
        record = {"pages": [dict(page.record)]}
        tests = tuple(dict(test) for test in page.tests)
    asked = Asked(document_type, style=traits.style, layout=traits.layout)
    example = make_example(asked, lines, record, source=f"synth/{page.name}")
    task = Task(asked, record, lines, tests)
    return {**example.as_row(), "task": encode_task(task)}
