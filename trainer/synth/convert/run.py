"""PDFs -> converted pages in shards: `convert_pages` does what `docloop synth convert` says."""

import asyncio
import hashlib
import io
import json
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from PIL import Image

from extraction.errors import UnreadableDocument
from extraction.page_limits import PageLimits
from extraction.pdf import read_pdf
from trainer.synth.convert.endpoint import (
    BudgetSpent,
    EndpointFailed,
    EndpointSettings,
    VisionEndpoint,
)
from trainer.synth.convert.steps import Rebuilt, rebuild
from trainer.synth.pages.compose import PageSource
from trainer.synth.pages.contact_sheet import contact_sheet
from trainer.synth.pages.generate import PageWishes, SyntheticPage, finish
from trainer.synth.pages.renderer import Renderer
from trainer.synth.pages.series import CONTACT, stored
from trainer.synth.pages.shards import MANIFEST, StoredPage, shard_path, write_shard

if TYPE_CHECKING:
    from trainer.progress import Stage

STYLE: Final = "converted"

_AT_A_TIME = 4
_SHOWN_PIXELS = 1288
_LONGEST_SIDE = 1123  # CSS pixels, as A4 has
_MOST_GROWTH = 1.6  # of the sheet's height where the model's text runs longer
_LONGER = "longer than the sheet"
_SAMPLE = 24


@dataclass(frozen=True, slots=True)
class Conversion:
    """What is to be converted.

    Attributes:
        pdfs: in order.
        folder: for the shards, and for the answers in `answers/`.
        settings: of the endpoint.
        budget: most tokens.
        most_pages: of all PDFs together.
        seed: draws what is asked of the pages, and the model's sampling.
        shard_size: pages a shard.
    """

    pdfs: list[Path]
    folder: Path
    settings: EndpointSettings
    budget: int
    most_pages: int = 1000
    seed: int = 0
    shard_size: int = 100


@dataclass
class ConversionOutcome:
    """What came of it."""

    pages: int = 0
    refined: int = 0
    tests: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    requests: int = 0
    budget_spent: bool = False

    def as_rows(self) -> dict[str, str]:
        """For a table."""
        return {
            "pages": str(self.pages),
            "refined": str(self.refined),
            "tests": ", ".join(f"{kind} {n}" for kind, n in sorted(self.tests.items())),
            "thrown away": ", ".join(f"{why} {n}" for why, n in self.faults.most_common()),
            "tokens": f"{self.tokens}{', budget spent' if self.budget_spent else ''}",
            "requests": str(self.requests),
        }


@dataclass(frozen=True, slots=True)
class _Shown:
    """A page that is to be rebuilt."""

    source: str
    number: int
    picture: bytes
    width: int
    height: int


async def convert_pages(
    job: Conversion, stage: "Stage | None" = None, *, first_pause_seconds: float = 1.0
) -> ConversionOutcome:
    """Converts pages until all are done or the budget is spent; what was made is written.

    Args:
        job: what is to be converted.
        stage: is told of each page.
        first_pause_seconds: before a request is repeated.

    Raises:
        NoBrowser: Chromium cannot be started.
        EndpointFailed: the endpoint refused before it gave a single page.
    """
    outcome = ConversionOutcome()
    shown = [page for pdf in job.pdfs for page in _pages(pdf, outcome)][: job.most_pages]
    if stage is not None:
        stage.update(0, max(1, len(shown)))
    job.folder.mkdir(parents=True, exist_ok=True)
    endpoint = VisionEndpoint(
        job.settings, job.folder / "answers", job.budget, first_pause_seconds=first_pause_seconds
    )
    renderer, executor = Renderer(2), ThreadPoolExecutor(1)
    converter = _Converter(job, outcome, endpoint, renderer, executor, stage)
    try:
        async with endpoint, renderer, asyncio.TaskGroup() as tasks:
            for index, page in enumerate(shown):
                tasks.create_task(converter.convert(index, page))
    except* EndpointFailed as failed:
        raise failed.exceptions[0] from None
    finally:
        executor.shutdown()
    outcome.tokens, outcome.requests = endpoint.used_tokens, endpoint.request_count
    _write(job, [converter.made[index] for index in sorted(converter.made)], outcome)
    return outcome


class _Converter:
    """Converts a few pages at a time."""

    def __init__(
        self,
        job: Conversion,
        outcome: ConversionOutcome,
        endpoint: VisionEndpoint,
        renderer: Renderer,
        executor: ThreadPoolExecutor,
        stage: "Stage | None",
    ) -> None:
        self.made: dict[int, StoredPage] = {}
        self._job = job
        self._outcome = outcome
        self._endpoint = endpoint
        self._renderer = renderer
        self._executor = executor
        self._stage = stage
        self._room = asyncio.Semaphore(_AT_A_TIME)

    async def convert(self, index: int, page: _Shown) -> None:
        """One page; what is wrong with it is counted."""
        async with self._room:
            if self._outcome.budget_spent:
                return
            try:
                result = await self._convert(index, page)
            except BudgetSpent:
                self._outcome.budget_spent = True
                return
            except EndpointFailed as error:
                if not self.made:
                    raise
                result = f"no answer ({error.why[:60]})"
        if isinstance(result, str):
            self._outcome.faults[result] += 1
        else:
            self.made[index] = result
        if self._stage is not None:
            self._stage.advance()

    async def _convert(self, index: int, page: _Shown) -> StoredPage | str:
        seed = self._job.seed
        rebuilt = await rebuild(
            self._endpoint, self._renderer, page.picture, page.width, page.height, seed
        )
        if rebuilt is None:
            return "no HTML in the answer"
        height = page.height
        printed = await self._renderer.print(rebuilt.html, page.width, height)
        if set(printed.faults) <= {_LONGER, "off the sheet"} and printed.content_ratio > 1:
            # A model's text rarely ends where the page's did; the sheet may grow with it.
            height = round(height * min(printed.content_ratio + 0.03, _MOST_GROWTH))
            printed = await self._renderer.print(rebuilt.html, page.width, height)
        if printed.faults:
            return printed.faults[0]
        source = _source(rebuilt, page, index, height, seed)
        wishes = PageWishes(degraded_share=0.0, turned_share=0.0, least_tests=2)
        loop = asyncio.get_running_loop()
        result = await loop.run_in_executor(self._executor, finish, source, printed, wishes)
        if not isinstance(result, SyntheticPage):
            return result
        self._outcome.pages += 1
        self._outcome.refined += rebuilt.refined
        self._outcome.tests.update(test["type"] for test in result.tests)
        kept = stored(result)
        origin = {"source": page.source, "page": page.number, "refined": rebuilt.refined}
        return replace(kept, graph=None, facts={**kept.facts, **origin})


def _pages(pdf: Path, outcome: ConversionOutcome) -> list[_Shown]:
    try:
        images = read_pdf(pdf.read_bytes(), PageLimits())
    except UnreadableDocument as error:
        outcome.faults[f"PDF not read: {error.why}"] += 1
        return []
    return [_shown(pdf.stem, number, image) for number, image in enumerate(images, start=1)]


def _shown(source: str, number: int, image: Image.Image) -> _Shown:
    scale = _LONGEST_SIDE / max(image.size)
    width, height = round(image.width * scale), round(image.height * scale)
    small = image.copy()
    small.thumbnail((_SHOWN_PIXELS, _SHOWN_PIXELS), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=90)
    return _Shown(source, number, buffer.getvalue(), width, height)


def _source(rebuilt: Rebuilt, page: _Shown, index: int, height: int, seed: int) -> PageSource:
    return PageSource(
        key=f"converted/{seed}/{index}",
        html=rebuilt.html,
        style=STYLE,
        language=rebuilt.language,
        columns=0,
        width=page.width,
        height=height,
        states_graph=False,
    )


def _write(job: Conversion, pages: list[StoredPage], outcome: ConversionOutcome) -> None:
    shards: list[dict[str, Any]] = []
    for number, start in enumerate(range(0, len(pages), job.shard_size)):
        path = shard_path(job.folder, number)
        part = pages[start : start + job.shard_size]
        digest = write_shard(path, part)
        shards.append({"file": path.name, "pages": len(part), "sha256": digest})
    sample = random.Random(job.seed).sample(pages, min(_SAMPLE, len(pages)))
    tiles = [(page.image, f"{page.facts['source']} {page.facts['page']}") for page in sample]
    if tiles:
        contact_sheet(tiles).save(job.folder / CONTACT, quality=85)
    content = {
        "seed": job.seed,
        "model": job.settings.model,
        "sources": {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in job.pdfs},
        "pages": outcome.pages,
        "refined": outcome.refined,
        "tests": dict(sorted(outcome.tests.items())),
        "faults": dict(outcome.faults.most_common()),
        "tokens": outcome.tokens,
        "budget_spent": outcome.budget_spent,
        "shards": shards,
    }
    (job.folder / MANIFEST).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
