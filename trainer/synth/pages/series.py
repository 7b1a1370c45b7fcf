"""A series of pages -> shards, a manifest and a contact sheet in a folder.

Each place of the series has its own seed, so a shard is made from its places alone: a run that was
stopped goes on behind the last whole shard, and gives the same bytes.
"""

import asyncio
import hashlib
import json
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from trainer.synth.pages.contact_sheet import contact_sheet
from trainer.synth.pages.generate import Made, PageWishes, SyntheticPage, make_page
from trainer.synth.pages.renderer import Renderer
from trainer.synth.pages.shards import MANIFEST, StoredPage, read_shard, shard_path, write_shard

if TYPE_CHECKING:
    from trainer.progress import Stage

CONTACT: Final = "contact.jpg"
_SAMPLE = 36


@dataclass
class SeriesCounts:
    """What has been made.

    Attributes:
        pages: by style, language, columns and so on: "style report" -> how many.
        tests: by kind.
        faults: layouts that were thrown away, by what was wrong.
        dropped: tests that the truth did not pass, by kind; each is a fault of ours.
        empty: places that no attempt filled.
    """

    pages: Counter[str] = field(default_factory=Counter)
    tests: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    empty: list[int] = field(default_factory=list)

    def add(self, index: int, made: Made) -> None:
        """One place more."""
        self.faults.update(made.faults)
        if made.page is None:
            self.empty.append(index)
        else:
            self.dropped.update(made.page.tests_dropped)

    def count(self, page: StoredPage) -> None:
        """One stored page more."""
        for name in ("style", "language", "columns", "degraded"):
            self.pages[f"{name} {page.facts[name]}"] += 1
        self.pages["all"] += 1
        self.pages["with a graph"] += page.graph is not None
        self.pages["turned"] += not page.record["is_rotation_valid"]
        self.tests.update(test["type"] for test in page.tests)


@dataclass(frozen=True, slots=True)
class Series:
    """What is to be made.

    Attributes:
        folder: for the shards.
        count: how many pages.
        seed: of the series; the pages of a longer one begin with those of a shorter one.
        wishes: what pages.
        shard_size: pages a shard.
        tabs: pages that are laid out at a time.
        keep_pdf: whether the shards hold the PDFs too.
    """

    folder: Path
    count: int
    seed: int
    wishes: PageWishes = field(default_factory=PageWishes)
    shard_size: int = 250
    tabs: int = 2
    keep_pdf: bool = False


async def make_series(series: Series, stage: "Stage | None" = None) -> SeriesCounts:
    """Makes what is missing of a series, and writes its manifest and contact sheet.

    Raises:
        NoBrowser: Chromium cannot be started.
        OtherSeries: the folder holds the shards of another series.
    """
    series.folder.mkdir(parents=True, exist_ok=True)
    _refuse_other(series)
    counts, began = SeriesCounts(), time.monotonic()
    shards: list[dict[str, Any]] = []
    sample: list[tuple[bytes, str]] = []
    every = max(1, series.count // _SAMPLE)
    executor = ThreadPoolExecutor(1)
    async with Renderer(series.tabs) as renderer:
        _write_manifest(series, counts, shards, {"browser": renderer.version})
        for number, start in enumerate(range(0, series.count, series.shard_size)):
            places = range(start, min(start + series.shard_size, series.count))
            path = shard_path(series.folder, number)
            if not path.exists():
                pages = await _make(renderer, executor, series, places, counts, stage)
                write_shard(path, pages)
            elif stage is not None:
                stage.advance(len(places))
            for position, page in enumerate(read_shard(path)):
                counts.count(page)
                if (start + position) % every == 0 and len(sample) < _SAMPLE:
                    sample.append((page.image, f"{page.facts['style']} {page.facts['language']}"))
            shards.append(_entry(path, places))
        seconds = round(time.monotonic() - began, 1)
        _write_manifest(series, counts, shards, {"browser": renderer.version, "seconds": seconds})
    executor.shutdown()
    contact_sheet(sample).save(series.folder / CONTACT, quality=85)
    return counts


class OtherSeries(ValueError):
    """The folder's shards were made with another seed or other wishes."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        super().__init__(
            f"{folder} holds another series ({', '.join(names)} differ). Take another folder, or "
            "the same values to go on."
        )


async def _make(
    renderer: Renderer,
    executor: ThreadPoolExecutor,
    series: Series,
    places: range,
    counts: SeriesCounts,
    stage: "Stage | None",
) -> list[StoredPage]:
    room = asyncio.Semaphore(series.tabs + 2)  # so that a tab never waits for the drawing thread

    async def one(index: int) -> Made:
        async with room:
            made = await make_page(renderer, executor, series.seed, index, series.wishes)
        counts.add(index, made)
        if stage is not None:
            stage.advance()
        return made

    made = await asyncio.gather(*(one(index) for index in places))
    return [stored(item.page, keep_pdf=series.keep_pdf) for item in made if item.page is not None]


def stored(page: SyntheticPage, *, keep_pdf: bool = False) -> StoredPage:
    """The page as a shard has it."""
    extra = {"html": page.html.encode()}
    if keep_pdf:
        extra["pdf"] = page.pdf
    names = ("key", "style", "language", "columns", "size", "degraded")
    return StoredPage(
        name=page.name,
        image=page.image,
        record=page.record,
        tests=page.tests,
        lines=page.lines,
        graph=page.graph,
        facts={name: getattr(page, name) for name in names},
        extra=extra,
    )


def _same(series: Series) -> dict[str, Any]:
    """What makes two series one."""
    return {
        "seed": series.seed,
        "count": series.count,
        "shard_size": series.shard_size,
        "keep_pdf": series.keep_pdf,
        "wishes": json.loads(json.dumps(asdict(series.wishes))),
    }


def _refuse_other(series: Series) -> None:
    path = series.folder / MANIFEST
    if not path.exists():
        return
    kept = json.loads(path.read_text(encoding="utf-8"))
    differing = [name for name, value in _same(series).items() if kept.get(name) != value]
    if differing:
        raise OtherSeries(series.folder, differing)


def _entry(path: Path, places: range) -> dict[str, Any]:
    return {
        "file": path.name,
        "first": places.start,
        "last": places.stop - 1,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def _write_manifest(
    series: Series,
    counts: SeriesCounts,
    shards: Sequence[dict[str, Any]],
    run: dict[str, Any],
) -> None:
    content = {
        **_same(series),
        "pages": dict(sorted(counts.pages.items())),
        "tests": dict(sorted(counts.tests.items())),
        "faults": dict(counts.faults.most_common()),
        "tests_dropped": dict(counts.dropped),
        "empty_places": sorted(counts.empty),
        "run": run,
        "shards": list(shards),
    }
    path = series.folder / MANIFEST
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)
